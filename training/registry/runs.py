"""MLflow's tracking store: its database, and the runs in it.

With `model_registry` the only writer through MLflow. Where a workspace was moved, `configs.tracking` mends the paths in
the database.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from configs.tracking import open_database
from configs.workspace import Workspace
from training.json_text import json_text
from training.judge.plots import save as save_figure
from training.model.bundle import Bundle, Task
from training.model.catalog import MANIFESTS
from training.model.proof import manifest
from training.registry import empty_database
from training.registry.environment import code_version, environment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MLFLOW_ENVIRONMENT = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
TASKS: tuple[Task, ...] = ("churn", "clv")
MODEL_FILE = Path(__file__).parent / "pyfunc_model.py"
ENVIRONMENT, FEATURES = "environment.json", "features.json"
PINNED = ("lightgbm", "mlflow", "numpy", "pandas", "scipy")
VALUE_OUTPUT = ("expected", "low", "high", "q10", "q50", "q90")  # of the model as MLflow runs it
KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's pages open on runs and models, not on traces


def load_mlflow() -> ModuleType:
    """MLflow without telemetry, pickles and chatter: it reads the environment when it is first imported."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def client(workspace: Workspace) -> MlflowClient:
    """Open the tracking store and registry of a workspace, made if there is none.

    Raises
    ------
    RegistryError
        The database cannot be read.
    """
    mlflow = load_mlflow()
    open_database(workspace, partial(empty_database.create, mlflow))
    mlflow.set_tracking_uri(workspace.tracking_uri)
    mlflow.set_registry_uri(workspace.tracking_uri)
    return mlflow.MlflowClient(workspace.tracking_uri, workspace.tracking_uri)


def open_experiment(workspace: Workspace, name: str) -> tuple[MlflowClient, str]:
    """The id of an experiment, made if there is none; one that was deleted on MLflow's page comes back."""
    connection = client(workspace)
    existing = connection.get_experiment_by_name(name)
    if existing is None:
        return connection, connection.create_experiment(name, workspace.artifacts_uri)
    if existing.lifecycle_stage == "deleted":
        connection.restore_experiment(existing.experiment_id)
    return connection, existing.experiment_id


@contextmanager
def open_run(workspace: Workspace, experiment: str, name: str, started_at: datetime) -> Iterator[Run]:
    """Open an MLflow run that began at a moment of the past; it ends as failed if the body does."""
    connection, experiment_id = open_experiment(workspace, experiment)
    for key, value in KIND.items():
        connection.set_experiment_tag(experiment_id, key, value)
    from mlflow.tracking.context.registry import resolve_tags

    tags = {**resolve_tags(), **code_version(), "mlflow.runName": name}
    run_id = connection.create_run(experiment_id, start_time=_millis(started_at), tags=tags, run_name=name).info.run_id
    with load_mlflow().start_run(run_id=run_id):
        opened = Run(connection, experiment_id, run_id)
        opened.document(environment(), ENVIRONMENT)
        yield opened


@dataclass(frozen=True)
class Run:
    """An open MLflow run."""

    client: MlflowClient
    experiment_id: str
    run_id: str

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        for key, value in values.items():
            self.client.set_tag(self.run_id, key, value)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        from mlflow.entities import Param

        self.client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in values.items()])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Log metrics, leaving out those that are not defined."""
        from mlflow.entities import Metric

        finite, now = {k: float(v) for k, v in values.items() if math.isfinite(v)}, _millis(datetime.now(UTC))
        self.client.log_batch(self.run_id, metrics=[Metric(k, v, now, 0) for k, v in finite.items()])

    def document(self, content: Any, path: str) -> None:
        """Log a JSON document."""
        self.client.log_text(self.run_id, json_text(content), path)

    def figure(self, figure: Any, path: str) -> None:
        """Log a matplotlib figure as PNG."""
        with tempfile.TemporaryDirectory() as folder:
            saved = save_figure(figure, Path(folder) / Path(path).name)
            self.client.log_artifact(self.run_id, str(saved), str(Path(path).parent))

    def data_set(self, rows: pd.DataFrame, fingerprint: str, source: str) -> None:
        """Log which rows were learned from: their columns, numbers and fingerprint, none of their content.

        Parameters
        ----------
        rows
            ``customer_id, as_of``, then the columns.
        fingerprint
            Of the rows.
        source
            Where they lie, relative to the workspace.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = [{"name": str(n), "type": "double" if t.kind in "fiub" else "string"} for n, t in rows.dtypes.items()]
        profile = {
            "num_rows": len(rows),
            "num_customers": int(rows["customer_id"].nunique()),
            "as_ofs": [f"{as_of:%Y-%m-%d}" for as_of in sorted(rows["as_of"].unique())],
        }
        logged = Dataset(
            name="labelled rows",
            digest=fingerprint,
            source_type="local",
            source=json.dumps({"uri": source}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps(profile),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])

    def trials(self, trials: Iterable[Any]) -> None:
        """Log every trial of a search as a nested run."""
        from mlflow.entities import Metric, Param, RunStatus

        for trial in trials:
            tags = {"mlflow.parentRunId": self.run_id, "state": trial.state.name}
            nested = self.client.create_run(
                self.experiment_id, _millis(trial.datetime_start), tags, run_name=f"trial {trial.number:03d}"
            ).info.run_id
            at = _millis(trial.datetime_complete)
            fold_losses = [Metric("fold_loss", v, at, k) for k, v in trial.intermediate_values.items()]
            loss = [Metric("loss", trial.value, at, 0)] if trial.value is not None else []
            self.client.log_batch(
                nested, metrics=fold_losses + loss, params=[Param(k, str(v)) for k, v in trial.params.items()]
            )
            self.client.set_terminated(nested, RunStatus.to_string(RunStatus.FINISHED), at)

    def register(self, bundle: Bundle, judged: Bundle, tags: Mapping[str, str], description: str) -> str:
        """Store a model, with the one that was judged on the hold-out, as a new version; return its number.

        Parameters
        ----------
        bundle
            The model that serves, refitted on all labelled as-of dates.
        judged
            The same recipe learned from the as-of dates before the hold-out: the metrics are its.
        tags, description
            Of the version.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.models import infer_signature

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            saved = {"bundle": bundle.save(Path(folder) / "bundle"), "judged": judged.save(Path(folder) / "judged")}
            manifests = {MANIFESTS[part]: manifest.verify(path) for part, path in saved.items()}
            artifacts = {part: str(path) for part, path in saved.items()}
            rows = bundle.reference[list(bundle.features)].head(5)  # of a profile: no customer is an example
            names = ["probability"] if bundle.interval is None else list(VALUE_OUTPUT)
            output = pd.DataFrame([[0.5] * len(names)], columns=names)
            logged = load_mlflow().pyfunc.log_model(
                name=bundle.task,
                python_model=str(MODEL_FILE),
                artifacts=artifacts,
                signature=infer_signature(rows, output),
                input_example=rows,
                pip_requirements=[f"{name}=={package_version(name)}" for name in PINNED],
            )
        self.document({"features": bundle.features, "categories": bundle.categories}, FEATURES)
        with suppress(MlflowException):
            self.client.create_registered_model(bundle.task)
        version = self.client.create_model_version(
            bundle.task, logged.model_uri, self.run_id, {**tags, **manifests}, description=description
        )
        return str(version.version)


def documents(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """The JSON documents of a run, by their name without ending."""
    connection, mlflow = client(workspace), load_mlflow()
    names = [f.path for f in connection.list_artifacts(run_id) if f.path.endswith(".json")]
    texts = {name: mlflow.artifacts.load_text(f"runs:/{run_id}/{name}") for name in names}
    return {name.removesuffix(".json"): json.loads(text) for name, text in texts.items()}


def attach(workspace: Workspace, run_id: str, folder: Path, path: str) -> None:
    """Put the files of a folder beside a run's other artifacts."""
    client(workspace).log_artifacts(run_id, str(folder), path)


def _millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)
