"""The stages that several verbs run: each reuses its earlier result where nothing has changed since."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cli.session import OnProgress, Session, progress
from configs.errors import ConfigError, DataError
from configs.files import beside
from configs.fingerprint import fingerprint
from configs.settings import Task
from configs.workspace import SCORE_TABLE

MOST_ANSWERS = 1_000_000  # of a release that are looked at; nobody waits for an answer meanwhile


def ingest(s: Session) -> dict[str, Any]:
    """Read and check the tables."""
    from features.sources.fingerprint import ingest_fingerprint

    def body(on_progress: OnProgress) -> dict[str, Any]:
        from features import ingest

        return ingest.ingest(s.settings, s.workspace, on_progress=lambda text: on_progress(text.lower(), 0, 1))

    def is_newest(result: dict[str, Any]) -> bool:
        pointer = s.workspace.loads.pointer()
        return pointer is not None and pointer.newest == result.get("load") and s.workspace.quality_report.is_dir()

    return s.stage("ingest", ingest_fingerprint(s.settings), body, is_there=is_newest)


def features(s: Session) -> dict[str, Any]:
    """Build the feature rows and put them into the feature store."""
    from features.fingerprints import features_fingerprint
    from features.quality import quality_verdict

    def body(on_progress: OnProgress) -> dict[str, Any]:
        from features import build, refresh
        from features.store import feature_store

        result = build.build(s.settings, s.workspace, lambda done, of: on_progress("as-of dates", done, of))
        on_progress("feature store", 0, 1)
        feature_store.apply(s.workspace, s.settings)
        result["online"] = feature_store.materialize(s.workspace)
        result["refreshed"] = refresh.start_from_build(s.settings, s.workspace)
        return result

    def is_there(result: dict[str, Any]) -> bool:
        files = ("rows.parquet", "labels.parquet", "schema.json")
        return all((s.workspace.features / name).is_file() for name in files) and s.workspace.feast.is_dir()

    online = [s.settings.online_store, s.settings.redis.model_dump()]
    with s.workspace.exclusive("features"):
        result = s.gated_stage(
            "features",
            lambda: fingerprint(features_fingerprint(s.settings, s.workspace), online),
            body,
            is_there,
            False,
        )
        quality_verdict.note_features_load(s.workspace)  # features reused for a load with the same rows are of it, too
    return result


def refresh(s: Session, everyone: bool, as_of: datetime | None) -> dict[str, Any]:
    """Recompute the customers of whom something new is known, and put them online.

    Raises
    ------
    ConfigError
        The moment lies in the future.
    """
    from features import refresh

    if as_of is not None and as_of.replace(tzinfo=as_of.tzinfo or UTC) > datetime.now(UTC):
        raise ConfigError(
            f"--as-of {as_of.isoformat()} lies in the future, of which nothing is known: give a past moment"
        )

    with s.workspace.exclusive("features --refresh"):
        s.record_acceptance()
        with progress("refresh") as on_progress:
            result = refresh.refresh(s.settings, s.workspace, as_of=as_of, everyone=everyone, on_progress=on_progress)
        s.workspace.record("refresh", result["as_of"], result)
    return result


def train(s: Session, task: Task) -> dict[str, Any]:
    """Train, judge and register one model; an earlier result counts while the registry holds its version."""
    from training.fingerprints import training_fingerprint
    from training.model import catalog

    ended: str | None = None

    def body(on_progress: OnProgress) -> dict[str, Any]:
        nonlocal ended
        from training import run
        from training.registry import releases
        from training.registry.record import FIGURES_LEFT_OUT

        accepted = [name.strip() for name in s.accept_leaks.split(",") if name.strip()]
        trained = run.train(s.settings, s.workspace, task, s.who, on_progress, accepted, s.reason)
        release = releases.ended_by(s.workspace, (trained.stand_in or trained).version)
        ended = None if release is None else str(release)
        return {
            "version": trained.version.label,
            "run_id": trained.version.run_id,
            "basis": trained.basis,
            "ended_release": None,
            "horizons_left_out": trained.horizons_left_out,
            FIGURES_LEFT_OUT: trained.version.tags.get(FIGURES_LEFT_OUT, ""),
            **trained.decision.to_dict(),
            **(trained.examination.to_dict() if trained.examination else {}),
            "stand_in": trained.stand_in
            and {
                "version": trained.stand_in.version.label,
                "basis": trained.stand_in.basis,
                "horizons_left_out": trained.stand_in.horizons_left_out,
                **trained.stand_in.decision.to_dict(),
            },
        }

    def is_registered(result: dict[str, Any]) -> bool:
        known = {v.label: v for v in catalog.versions(s.workspace, task)}
        made = known.get(result["version"])
        return made is not None and made.run_id == result["run_id"] and catalog.has_files(s.workspace, made)

    result = s.gated_stage(
        f"train {task}", lambda: training_fingerprint(s.settings, s.workspace, task), body, is_registered
    )
    return {**result, "ended_release": ended}  # by this run: a reused one ends none


def train_each(s: Session, tasks: Sequence[Task]) -> dict[Task, dict[str, Any]]:
    """Train one model after the other: what one lacks keeps no other from being trained; ``untrained`` says what it is.

    Raises
    ------
    DataError
        None could be trained.
    """
    from features.quality.quality_verdict import QualityError

    trained: dict[Task, dict[str, Any]] = {}
    for task in tasks:
        try:
            trained[task] = train(s, task)
        except QualityError:
            raise
        except DataError as error:
            if len(tasks) == 1:
                raise
            trained[task] = {"untrained": str(error)}
    if all("untrained" in result for result in trained.values()):
        raise DataError("; ".join(result["untrained"] for result in trained.values()))
    return trained


def score(s: Session, csv: Path | None = None) -> dict[str, Any]:
    """Answer for every customer of the newest as-of date, and write the answers to a CSV file, if one is named.

    Raises
    ------
    ConfigError
        No such file can be written there; nothing was done.
    """
    from serving.bulk.csv_file import write_csv
    from serving.bulk.fingerprints import scoring_fingerprint

    def body(on_progress: OnProgress) -> dict[str, Any]:
        from serving.bulk import run

        return run.score_newest(s.settings, s.workspace, lambda done, of: on_progress("customers", done, of))

    def table(result: dict[str, Any]) -> Path:
        return s.workspace.scored(result) / SCORE_TABLE

    fingerprint = partial(scoring_fingerprint, s.settings, s.workspace)
    if csv is not None:
        _require_place(csv)
    with s.workspace.exclusive("score"):
        result = s.gated_stage("score", fingerprint, body, lambda result: table(result).is_file())
        if csv is not None:
            write_csv(table(result), csv, beside)
    return result


def _require_place(csv: Path) -> None:
    folder = csv.absolute().parent
    if not folder.is_dir():
        problem = f"lies in '{folder}', which is no folder: make it first, or mend the path"
    elif csv.exists() and not csv.is_file():
        problem = "is there already, and no file: name another"
    elif not os.access(folder, os.W_OK | os.X_OK):
        problem = f"lies in '{folder}', where this user may write nothing: name another folder"
    else:
        return
    raise ConfigError(f"--csv '{csv}' {problem}")


def monitor(s: Session) -> dict[str, Any]:
    """Write drift and fairness reports."""
    from features.quality import quality_verdict
    from monitoring.fingerprints import reports_fingerprint

    def body(on_progress: OnProgress) -> dict[str, Any]:
        from monitoring import run

        return run.monitor(s.settings, s.workspace, on_progress)

    def gate() -> None:
        quality_verdict.require_newest_features(s.workspace)

    return s.stage("monitor", reports_fingerprint(s.settings, s.workspace), body, gate)


def release_status(s: Session) -> list[dict[str, Any]]:
    """What the releases that run, and the last that ended, showed."""
    from serving.records.prediction_log import PredictionLog
    from serving.release.status import newest_releases, status

    if not newest_releases(s.workspace):
        return []
    with PredictionLog.of(s.workspace, s.settings.records) as log:
        return status(s.workspace, log, most=MOST_ANSWERS)
