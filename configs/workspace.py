"""The folder that holds all state of one business, and what was done in it already.

Two workspaces never share anything, so that two businesses, or two experiments, run side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, NotReadyError
from configs.files import write_text
from configs.loads import QUARANTINE, REPORT, TABLES, Loads
from configs.lock import exclusive

UNUSABLE = frozenset("?*")  # in a path: SQLAlchemy's addresses end at the one, DuckDB's file names match with the other
HERE = '"workspace:state/'  # stands for the folder in the record of a stage
SCORE_TABLE, SCORE_LINES = "scores.parquet", "scores.jsonl"  # in each folder of `Workspace.scores`
SCORE_CSV = "scores.csv"  # in those of which it was asked for


@dataclass(frozen=True)
class Workspace:
    """Paths under one root folder."""

    root: Path

    @property
    def state(self) -> Path:
        """All files that Staycast writes, but those of MLflow."""
        return self.root / "state"

    @property
    def loads(self) -> Loads:
        """What was ingested: the load that is used, the newest one, and how another becomes current."""
        return Loads(self.state)

    @property
    def tables(self) -> Path:
        """Checked tables of the load that is used, one parquet each. Who reads several asks once."""
        return self.loads.current(TABLES)

    @property
    def quarantine(self) -> Path:
        """Rows of the newest load that were not used, with their reasons, one parquet a table."""
        return self.loads.newest(QUARANTINE)

    @property
    def quality_report(self) -> Path:
        """The quality report of the newest load, used or refused: ``quality.html`` and ``quality.json``."""
        return self.loads.newest(REPORT)

    def exclusive(self, verb: str) -> AbstractContextManager[None]:
        """Be the only one who changes this workspace, see `configs.lock`."""
        return exclusive(self.state, verb)

    @property
    def features(self) -> Path:
        """Feature rows, labels and the feature schema."""
        return self.state / "features"

    @property
    def feast(self) -> Path:
        """Feast's registry, and the SQLite online store or where the Redis one is."""
        return self.state / "feast"

    @property
    def tuning(self) -> Path:
        """Optuna's storage."""
        return self.state / "tuning.db"

    @property
    def scores(self) -> Path:
        """Answers for all customers, one folder a moment."""
        return self.state / "scores"

    def scored(self, result: Mapping[str, Any]) -> Path:
        """The folder of the answers that a result of scoring tells of, wherever this workspace was then."""
        return self.scores / Path(result["folder"]).name

    @property
    def scoring(self) -> Path:
        """Parts of the answers for all customers that are being computed, or were when the process was killed."""
        return self.state / "scoring"

    @property
    def score_jobs(self) -> Path:
        """Who asked the service to answer for all customers, and how far that is."""
        return self.state / "score-jobs.db"

    @property
    def reports(self) -> Path:
        """Reports for people: HTML, with JSON beside."""
        return self.state / "reports"

    @property
    def ledger(self) -> Path:
        """Who promoted, rejected or rolled back which model, and why."""
        return self.state / "ledger.jsonl"

    @property
    def decision(self) -> Path:
        """A decision on models that is being written to ledger and registry, or was cut short there."""
        return self.state / "decision.json"

    @property
    def prediction_log(self) -> Path:
        """Every answer that was served."""
        return self.state / "predictions.db"

    @property
    def releases(self) -> Path:
        """What releases showed while they ran: times, failures, scores of shadows."""
        return self.state / "releases.db"

    @property
    def objections(self) -> Path:
        """Who objects to being forecast, and who no longer does."""
        return self.state / "objections.db"

    @property
    def outcomes(self) -> Path:
        """What came of contacts and forecasts, as a CRM told it."""
        return self.state / "outcomes.db"

    @property
    def repeats(self) -> Path:
        """Which answers were given under keys that callers chose, for a day."""
        return self.state / "repeats.db"

    @property
    def access_keys(self) -> Path:
        """Hashes of the API keys of the service."""
        return self.state / "access.db"

    @property
    def events(self) -> Path:
        """Every order and interaction that came between two ingests."""
        return self.state / "events.db"

    @property
    def refresh(self) -> Path:
        """What is known of each customer in short, and the tables sorted by customer."""
        return self.state / "refresh"

    @property
    def erased(self) -> Path:
        """Who was erased, as keyed hashes, and the record of who asked for it."""
        return self.state / "erased"

    @property
    def mlruns(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlruns"

    @property
    def tracking_uri(self) -> str:
        """Address of MLflow's tracking store and registry."""
        return f"sqlite:///{self.registry.resolve()}"

    @property
    def registry(self) -> Path:
        """MLflow's database of runs and versions."""
        return self.mlruns / "mlflow.db"

    @property
    def artifacts_uri(self) -> str:
        """Address of the folder that holds MLflow's artifacts."""
        return (self.mlruns.resolve() / "artifacts").as_uri()

    def require(self) -> None:
        """Check that something was done in this workspace already.

        Raises
        ------
        ConfigError
            It is a file.
        NotReadyError
            Nothing was, or there is no such folder: its name may be mistyped.
        """
        self._require_folder()
        if not self.state.is_dir():
            raise NotReadyError(
                f"no workspace at '{self.root}': there is no folder '{self.state}'; give the right one with "
                "--workspace, or run `staycast ingest` first"
            )

    def claim(self, name: str) -> None:
        """Make this the workspace of one business, or check that it is.

        Raises
        ------
        ConfigError
            The workspace belongs to another business already, or it is a file.
        """
        self._require_folder()
        if not self._marker.exists():
            write_text(self._marker, name)
        owner = self._marker.read_text("utf-8").strip()
        if owner != name:
            raise ConfigError(
                f"workspace '{self.root}' holds the business '{owner}', the configuration is for '{name}': "
                "give another folder with --workspace"
            )

    def belongs_to(self, name: str) -> bool:
        """True if this is the workspace of the business already; nothing is written."""
        return self._marker.is_file() and self._marker.read_text("utf-8").strip() == name

    @property
    def _marker(self) -> Path:
        return self.state / "business"

    def _require_folder(self) -> None:
        for path in (self.state, self.root, *self.root.parents):
            if path.is_file():
                raise ConfigError(f"workspace '{self.root}': '{path}' is a file: give a folder with --workspace")
        refused = sorted(UNUSABLE & set(str(self.root.resolve())))
        if refused:
            raise ConfigError(
                f"workspace '{self.root.resolve()}': {' and '.join(refused)} in a path mean something else to the "
                "databases that lie there: give another folder with --workspace, or rename this one"
            )

    def done(self, stage: str, fingerprint: str) -> dict[str, Any] | None:
        """What a stage recorded when it last ended, if it was for the same fingerprint; else None."""
        content = self._recorded(stage)
        return content["result"] if content.get("fingerprint") == fingerprint else None

    def record(self, stage: str, fingerprint: str, result: dict[str, Any]) -> None:
        """Record that a stage ended, for which fingerprint, and with what result.

        Paths below `state` are kept relative to it: they are right wherever the workspace is moved.
        """
        content = json.dumps({"fingerprint": fingerprint, "result": result}, indent=1, default=str)
        write_text(self._record(stage), content.replace(self._state_in_json, HERE))

    def last(self, stage: str) -> dict[str, Any] | None:
        """What a stage recorded when it last ended, whatever the fingerprint; None if it never did."""
        return self._recorded(stage).get("result")

    def _recorded(self, stage: str) -> dict[str, Any]:
        """The record of a stage; empty where there is none that can be read: the stage is run again."""
        try:
            text = self._record(stage).read_text("utf-8")
            content = json.loads(text.replace(HERE, self._state_in_json))
        except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
            return {}
        return content if isinstance(content, dict) and isinstance(content.get("result"), dict) else {}

    @property
    def _state_in_json(self) -> str:
        """How a path below `state` begins as a text in JSON."""
        return json.dumps(f"{self.state}/")[:-1]

    def _record(self, stage: str) -> Path:
        return self.state / "stages" / f"{stage}.json"
