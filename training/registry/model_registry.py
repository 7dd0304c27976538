"""Runs, model versions and aliases in MLflow, and the ledger beside them. The only module that writes to MLflow.

MLflow's aliases keep no history, so every promotion, rejection and rollback is written to the ledger first; a
crash between the two is mended by saying the same thing again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from configs.errors import ConfigError, RegistryError
from configs.workspace import Workspace
from training.judge.gates import Decision
from training.judge.plots import save as save_figure
from training.model.bundle import Bundle, Task
from training.model.bundle import load as load_bundle
from training.registry import ledger
from training.registry.environment import code, environment

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)

TASKS: tuple[Task, ...] = ("churn", "clv")
CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_FILE = Path(__file__).parent / "pyfunc_model.py"
ENVIRONMENT, FEATURES = "environment.json", "features.json"
PINNED = ("lightgbm", "mlflow", "numpy", "pandas", "scipy")


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    model: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: dict[str, str]


def client(workspace: Workspace) -> MlflowClient:
    """Open the tracking store and registry of a workspace, made if there is none."""
    workspace.mlruns.mkdir(parents=True, exist_ok=True)
    _make_database(workspace.mlruns / "mlflow.db")
    mlflow.set_tracking_uri(workspace.tracking_uri)
    mlflow.set_registry_uri(workspace.tracking_uri)
    return MlflowClient(workspace.tracking_uri, workspace.tracking_uri)


def _make_database(path: Path) -> None:
    """Make MLflow's database whole before it appears: another process never meets one that is half made."""
    with open(path.with_name(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = path.with_name(f".{path.name}.part")
            part.unlink(missing_ok=True)
            MlflowClient(f"sqlite:///{part.resolve()}", f"sqlite:///{part.resolve()}").search_registered_models()
            os.replace(part, path)


@contextmanager
def run(workspace: Workspace, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
    """Open an MLflow run; it ends as failed if the body does."""
    connection = client(workspace)
    found = connection.get_experiment_by_name(experiment)
    place = (workspace.mlruns.resolve() / "artifacts").as_uri()
    number = found.experiment_id if found else connection.create_experiment(experiment, artifact_location=place)
    with mlflow.start_run(experiment_id=number, run_name=name, tags={**tags, **code()}) as active:
        opened = Run(connection, number, active.info.run_id)
        opened.document(environment(), ENVIRONMENT)
        yield opened


@dataclass(frozen=True)
class Run:
    """An open MLflow run."""

    client: MlflowClient
    experiment_id: str
    run_id: str

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        self.client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in values.items()])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log metrics, leaving out those that are not defined."""
        known = {k: float(v) for k, v in values.items() if math.isfinite(v)}
        self.client.log_batch(self.run_id, metrics=[Metric(k, v, 0, 0) for k, v in known.items()])

    def document(self, content: Any, path: str) -> None:
        """Log a JSON document."""
        self.client.log_text(self.run_id, json.dumps(content, indent=1, default=str), path)

    def figure(self, figure: Any, path: str) -> None:
        """Log a matplotlib figure as PNG."""
        with tempfile.TemporaryDirectory() as folder:
            saved = save_figure(figure, Path(folder) / Path(path).name)
            self.client.log_artifact(self.run_id, str(saved), str(Path(path).parent))

    def trials(self, trials: Iterable[Any]) -> None:
        """Log every trial of a search as a nested run."""
        for trial in trials:
            tags = {
                "mlflow.parentRunId": self.run_id,
                "mlflow.runName": f"trial-{trial.number:03d}",
                "state": trial.state.name,
            }
            nested = self.client.create_run(
                self.experiment_id, start_time=_millis(trial.datetime_start), tags=tags
            ).info.run_id
            steps = [Metric("fold_loss", v, 0, k) for k, v in trial.intermediate_values.items()]
            loss = [Metric("loss", trial.value, 0, 0)] if trial.value is not None else []
            self.client.log_batch(
                nested, metrics=steps + loss, params=[Param(k, str(v)) for k, v in trial.params.items()]
            )
            self.client.set_terminated(
                nested, RunStatus.to_string(RunStatus.FINISHED), _millis(trial.datetime_complete)
            )

    def register(self, bundle: Bundle, judged: Bundle, example: pd.DataFrame, tags: Mapping[str, str]) -> Version:
        """Store a model, with the one that was judged on the hold-out, as a new version.

        Parameters
        ----------
        bundle
            The model that serves, refitted on all labelled moments.
        judged
            The same recipe learned from the moments before the hold-out: the metrics are its.
        example
            A few feature rows, for signature and input example.
        tags
            Of the version.
        """
        with tempfile.TemporaryDirectory() as folder, _quiet():
            artifacts = {
                "bundle": str(bundle.save(Path(folder) / "bundle")),
                "judged": str(judged.save(Path(folder) / "judged")),
            }
            rows = example[list(bundle.features)]
            names = ["probability"] if bundle.interval is None else ["expected", "low", "high"]
            output = pd.DataFrame([[0.5] * len(names)], columns=names)
            logged = mlflow.pyfunc.log_model(
                name=bundle.task,
                python_model=str(MODEL_FILE),
                artifacts=artifacts,
                signature=infer_signature(rows, output),
                input_example=rows,
                pip_requirements=[f"{name}=={package_version(name)}" for name in PINNED],
            )
        self.document({"features": bundle.features, "categories": bundle.categories}, FEATURES)
        number = self._version(bundle.task, logged.model_uri)
        for key, value in tags.items():
            self.client.set_model_version_tag(bundle.task, number, key, value)
        return Version(bundle.task, number, self.run_id, (), dict(tags))

    def _version(self, model: str, uri: str) -> str:
        with suppress(MlflowException):
            self.client.create_registered_model(model)
        return str(self.client.create_model_version(model, uri, self.run_id).version)


def settle(workspace: Workspace, made: Version, decision: Decision, by: str) -> None:
    """Make a new version the champion, or record why not; either way the ledger says so."""
    action = "promote" if decision.promote else "reject"
    reason = "passed every gate" if decision.promote else "; ".join(decision.reasons)
    _decide(workspace, action, made.model, made.version, by, reason, decision)


def promote(workspace: Workspace, model: str, version: str, by: str, reason: str, override: bool = False) -> Version:
    """Make a version the champion because somebody says so.

    Raises
    ------
    RegistryError
        There is no such version.
    ConfigError
        It did not pass the gates, and `override` was not given; or no reason was.
    """
    found = get(workspace, model, version)
    passed = found.tags.get("gates") == "passed"
    if not passed and not override:
        raise ConfigError(
            f"{model}/{version} did not pass the gates: {found.tags.get('gate_reasons', 'no record')}; "
            "to promote it all the same, give --override and a --reason, which go on record"
        )
    _require_reason(reason)
    note = reason if passed else f"gates overridden: {reason}"
    _decide(workspace, "promote", model, version, by, note)
    return get(workspace, model, version)


def rollback(workspace: Workspace, model: str, by: str, reason: str) -> Version:
    """Make the champion before the present one the champion again.

    Raises
    ------
    RegistryError
        There was none.
    """
    _require_reason(reason)
    before = ledger.previous_champion(workspace.ledger, model)
    if before is None:
        raise RegistryError(f"{model}: no champion before the present one to go back to; see `staycast models`")
    get(workspace, model, before)
    _decide(workspace, "rollback", model, before, by, reason)
    return get(workspace, model, before)


def get(workspace: Workspace, model: str, version: str) -> Version:
    """Look up one version.

    Raises
    ------
    RegistryError
        There is no such version.
    """
    found = {v.version: v for v in versions(workspace, model)}
    if version not in found:
        raise RegistryError(
            f"no version {version} of '{model}'; there are {', '.join(found) or 'none'}: see `staycast models`"
        )
    return found[version]


def versions(workspace: Workspace, model: str) -> list[Version]:
    """All versions of a model, the newest first."""
    connection = client(workspace)
    try:
        aliases = connection.get_registered_model(model).aliases
    except MlflowException:
        return []
    found = connection.search_model_versions(f"name = '{model}'")
    return sorted(
        (
            Version(
                model,
                str(v.version),
                str(v.run_id),
                tuple(a for a, n in aliases.items() if str(n) == str(v.version)),
                dict(v.tags),
            )
            for v in found
        ),
        key=lambda v: -int(v.version),
    )


def champion(workspace: Workspace, model: str) -> Version | None:
    """The version that serves, or None."""
    return next((v for v in versions(workspace, model) if CHAMPION in v.aliases), None)


def bundles(workspace: Workspace, model: str, version: str) -> tuple[Bundle, Bundle]:
    """The model of a version, and the one of the same recipe that was judged on the hold-out."""
    folder = files(workspace, model, version)
    return load_bundle(folder / "bundle"), load_bundle(folder / "judged")


def files(workspace: Workspace, model: str, version: str) -> Path:
    """The folder of a version's files: ``bundle`` and ``judged``."""
    client(workspace)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{model}/{version}")) / "artifacts"


def find(workspace: Workspace, name: str) -> Version:
    """The version that a person means: by ``churn/3``, or by the id of the run that made it.

    Raises
    ------
    RegistryError
        There is none.
    """
    model, _, number = name.partition("/")
    if number:
        return get(workspace, model, number)
    found = [v for task in TASKS for v in versions(workspace, task) if v.run_id == name]
    if not found:
        raise RegistryError(f"no run '{name}' that made a model: give its id, or churn/3; see `staycast models`")
    return found[0]


def documents(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """The JSON documents of a run, by their name without ending."""
    connection = client(workspace)
    names = [f.path for f in connection.list_artifacts(run_id) if f.path.endswith(".json")]
    texts = {name: mlflow.artifacts.load_text(f"runs:/{run_id}/{name}") for name in names}
    return {name.removesuffix(".json"): json.loads(text) for name, text in texts.items()}


def attach(workspace: Workspace, run_id: str, folder: Path, path: str) -> None:
    """Put the files of a folder beside a run's other artifacts."""
    client(workspace).log_artifacts(run_id, str(folder), path)


def _decide(
    workspace: Workspace, action: str, model: str, version: str, by: str, reason: str, decision: Decision | None = None
) -> None:
    present = champion(workspace, model)
    checks = tuple(c.to_dict() for c in decision.checks) if decision else ()
    ledger.append(
        workspace.ledger,
        ledger.Entry(
            action=action,
            model=model,
            version=version,
            previous=present.version if present else None,
            by=by,
            reason=reason,
            checks=checks,
        ),
    )
    connection = client(workspace)
    alias = CHALLENGER if action == "reject" else CHAMPION
    connection.set_registered_model_alias(model, alias, version)
    if alias == CHAMPION and CHALLENGER in get(workspace, model, version).aliases:
        connection.delete_registered_model_alias(model, CHALLENGER)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ConfigError("say why with --reason: the ledger keeps it for whoever asks later")


def _millis(time: Any) -> int:
    return int(time.timestamp() * 1000)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
