"""Two small real models, the customers they learned from, and a reader that holds them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import httpx
import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette

from configs import settings as configs
from configs.settings import Campaign, Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, LoadedModel, Running
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog
from training.model.bundle import Bundle, Score
from training.model.calibration import Affine
from training.model.conformal import fit_interval
from training.model.encoding import encode
from training.model.proof import ledger, manifest
from training.model.proof.releases import Release

AS_OF = pd.Timestamp("2024-03-01", tz="UTC")
NOW = datetime(2024, 3, 1, 1, 30, tzinfo=UTC)
FEATURES = ("days_since_last_order", "tenure_days", "spend_90d", "spend_total", "median_gap_days", "region")
GOOD, NEWER, ALTERED, MISNAMED = "1", "2", "3", "4"  # versions of churn in the fixture `registry`
Point = Callable[[str, str | None], None]
CATEGORIES = {"region": ("north", "south")}


def made_up_customers(count: int, seed: int) -> pd.DataFrame:
    """Customers of all stages, some with gaps in what is known."""
    rng = np.random.default_rng(seed)
    tenure = rng.uniform(1, 700, count)
    spend = rng.gamma(2.0, 60.0, count)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(count)],
            "as_of": pd.Series([AS_OF] * count).astype("datetime64[us, UTC]"),
            "days_since_last_order": np.minimum(rng.uniform(0, 120, count), tenure),
            "tenure_days": tenure,
            "spend_90d": spend,
            "spend_total": spend + rng.gamma(2.0, 150.0, count),
            "median_gap_days": np.where(rng.random(count) < 0.2, np.nan, rng.uniform(2, 40, count)),
            "region": rng.choice(np.array(["north", "south", "elsewhere", None], dtype=object), count),
        }
    )


def booster(matrix: np.ndarray, label: np.ndarray, objective: str, trees: int) -> lgb.Booster:
    params = {"objective": objective, "num_leaves": 7, "verbosity": -1, "seed": 1, "num_threads": 1}
    return lgb.train(params, lgb.Dataset(matrix, label, params={"verbosity": -1}), num_boost_round=trees)


def train(task: str, frame: pd.DataFrame, trees: int = 12, seed: int = 0) -> Bundle:
    """A bundle whose labels follow the features with noise."""
    rng = np.random.default_rng(seed)
    matrix = encode(frame, FEATURES, CATEGORIES)
    leaves = (rng.random(len(frame)) < 0.1 + frame["days_since_last_order"] / 150).to_numpy(dtype=float)
    value = frame["spend_90d"].to_numpy() * rng.gamma(4.0, 0.25, len(frame))
    bought = (1 - leaves) * value
    if task == "churn":
        scores: tuple[Score, ...] = (Score("leave", booster(matrix, leaves, "binary", trees), Affine(0.8, -0.1)),)
    else:
        scores = (
            Score("buy", booster(matrix, 1 - leaves, "binary", trees), Affine(0.9, 0.05)),
            Score("amount", booster(matrix, np.log(value + 1), "regression", trees), Affine(1.0, 0.1)),
        )
    bundle = Bundle(
        task="churn" if task == "churn" else "clv",
        link="sigmoid" if task == "churn" else "sigmoid_exp",
        scores=scores,
        features=FEATURES,
        categories=CATEGORIES,
        schema_hash="made-up",
        horizon_days=30 if task == "churn" else 90,
        trained_through="2024-01-01T00:00:00Z",
        interval=None,
        quantiles=(),
        reference=frame[list(FEATURES)],
        info={},
    )
    prediction = bundle.predict(matrix)
    interval = fit_interval(prediction, bought, 0.9) if task == "clv" else None
    scale = tuple(np.quantile(prediction, np.linspace(0, 1, 101)).tolist())
    return replace(bundle, interval=interval, quantiles=scale)


class MemoryReader:
    """A feature store in memory."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame.set_index("customer_id")
        self.asked: list[list[str]] = []

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        self.asked.append(customer_ids)
        rows = self.frame.reindex(customer_ids).rename_axis("customer_id").reset_index()
        return rows.astype({"as_of": "datetime64[us, UTC]"})


class FixedModels:
    """Champions that never move."""

    def __init__(self, champions: Champions) -> None:
        self.champions = champions

    def current(self) -> Champions:
        return self.champions


class Client:
    """Calls an app in this process, from any thread; an error that leaves the app is raised here."""

    def __init__(self, app: Starlette, portal: BlockingPortal) -> None:
        self._portal = portal
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self._portal.call(lambda: self._http.get(path, **request))

    def head(self, path: str) -> httpx.Response:
        return self._portal.call(lambda: self._http.head(path))

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self._portal.call(lambda: self._http.post(path, **request))


@pytest.fixture
def calling() -> Iterator[Callable[[Starlette], Client]]:
    """Open a client for an app, whose lifespan is left to the test."""
    with start_blocking_portal() as portal:
        yield lambda app: Client(app, portal)


@pytest.fixture
def living() -> Iterator[Callable[[Starlette], ExitStack]]:
    """Start the lifespan of an app; closing what is given ends it."""
    with start_blocking_portal() as portal:

        def start(app: Starlette) -> ExitStack:
            stack = ExitStack()
            stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
            return stack

        yield start


@pytest.fixture(scope="session")
def customers() -> pd.DataFrame:
    return made_up_customers(400, seed=1)


@pytest.fixture(scope="session")
def champions(customers: pd.DataFrame) -> Champions:
    return Champions(
        LoadedModel.from_bundle(train("churn", customers), "3"), LoadedModel.from_bundle(train("clv", customers), "4")
    )


def release(model: str, version: str, percent: float | None, id_: str = "0123456789abcdef") -> Release:
    """A canary, or with None a shadow."""
    kind = "shadow" if percent is None else "canary"
    return Release(id_, model, version, kind, percent or 0.0, "3", "", NOW, NOW, NOW, "ada", "try it")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def running(champions: Champions, customers: pd.DataFrame) -> Callable[..., Champions]:
    """The champions, with a release of churn beside them: other trees, as version 9."""
    other = LoadedModel.from_bundle(train("churn", customers, trees=5, seed=3), "9")

    def beside(percent: float | None, id_: str = "0123456789abcdef", model: LoadedModel = other) -> Champions:
        return replace(champions, releases={"churn": Running(release("churn", "9", percent, id_), model)})

    return beside


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Of a service that refuses nobody who waits: how long that takes is the machine's."""
    default = configs.load("default")
    return default.model_copy(update={"serving": default.serving.model_copy(update={"max_wait_ms": 60_000})})


@pytest.fixture(scope="session")
def plan(settings: Settings) -> Campaign:
    costs = {"contact_cost": 1.0, "offer_cost": 10.0, "success_rate": 0.3, "leaver_value_share": 0.0}
    return settings.decisions.campaign.model_copy(update=costs)


@pytest.fixture(scope="session")
def planned(settings: Settings, plan: Campaign) -> Settings:
    return settings.model_copy(update={"decisions": settings.decisions.model_copy(update={"campaign": plan})})


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def reader(customers: pd.DataFrame) -> MemoryReader:
    return MemoryReader(customers)


@pytest.fixture
def models(champions: Champions) -> FixedModels:
    return FixedModels(champions)


@pytest.fixture(scope="session")
def make_customers() -> Callable[[int, int], pd.DataFrame]:
    return made_up_customers


@pytest.fixture(scope="session")
def register() -> Callable[..., str]:
    """Register a bundle in a real MLflow registry as champion and return its version."""
    return register_champion


def register_champion(workspace: Workspace, bundle: Bundle, name: str | None = None) -> str:
    """As training does it: a models-from-code pyfunc with the bundle's folder as artifact."""
    import mlflow

    from training.registry import runs

    client = runs.client(workspace)
    if client.get_experiment_by_name("test") is None:
        client.create_experiment("test", artifact_location=(workspace.mlruns / "artifacts").as_uri())
    mlflow.set_experiment("test")
    code = workspace.root / "model_code.py"
    code.write_text(MODEL_CODE, "utf-8")
    number = len(list(workspace.root.glob("bundle-*")))
    folder = bundle.save(workspace.root / f"bundle-{number}" / "bundle")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={"bundle": str(folder)},
            registered_model_name=name or bundle.task,
            pip_requirements=["lightgbm"],
        )
    version = str(info.registered_model_version)
    sealed = manifest.verify(folder)
    client.set_model_version_tag(name or bundle.task, version, "manifest", sealed)
    client.set_registered_model_alias(name or bundle.task, "champion", version)
    decide(workspace, name or bundle.task, version, sealed)
    return version


def decide(workspace: Workspace, model: str, version: str, sealed: str = "") -> None:
    """Put on record that a version shall serve."""
    words = {"action": "promote", "model": model, "version": version, "manifest": sealed}
    ledger.append(workspace.ledger, ledger.Entry(**words, previous=None, by="the tests", reason="to be served"))  # type: ignore[arg-type]


MODEL_CODE = """
import mlflow


class Held(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


mlflow.models.set_model(Held())
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, champions: Champions, register: Callable[..., str]) -> Workspace:
    """A real registry: four versions of churn, of which two can be used, and one of clv."""
    workspace = Workspace(tmp_path_factory.mktemp("registry"))
    bundle = champions.churn.bundle
    register(workspace, champions.clv.bundle)
    made = [
        register(workspace, bundle),
        register(workspace, replace(bundle, horizon_days=60)),
        register(workspace, replace(bundle, horizon_days=90)),
        register(workspace, champions.clv.bundle, "churn"),
    ]
    assert made == [GOOD, NEWER, ALTERED, MISNAMED]
    (bundle_folder(workspace, ALTERED) / "leave.txt").write_text("tree\n", "utf-8")
    return workspace


def bundle_folder(workspace: Workspace, version: str) -> Path:
    """The folder of the bundle of a version of churn."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
    source = client.get_model_version_download_uri("churn", version)
    return Path(url2pathname(urlparse(source).path)) / "artifacts" / "bundle"


@pytest.fixture
def elsewhere(registry: Workspace, tmp_path: Path) -> Iterator[None]:
    """MLflow's global address names nothing: only the workspace may be asked."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def point(registry: Workspace) -> Iterator[Point]:
    """Move the alias of a model, or take it away; it goes back afterwards."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)

    def move(task: str, version: str | None) -> None:
        if version is None:
            client.delete_registered_model_alias(task, "champion")
        else:
            client.set_registered_model_alias(task, "champion", version)
            decide(registry, task, version)

    move("churn", GOOD)
    move("clv", "1")
    yield move
    move("churn", GOOD)
    move("clv", "1")


@pytest.fixture(scope="session")
def folder_of() -> Callable[[Workspace, str], Path]:
    """The folder of the bundle of a version of churn."""
    return bundle_folder


@pytest.fixture
def log(workspace: Workspace) -> Iterator[PredictionLog]:
    with PredictionLog(workspace.prediction_log) as opened:
        yield opened


@pytest.fixture
def app(models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime) -> Starlette:
    return create_app(models, reader, log, settings, clock=lambda: now)
