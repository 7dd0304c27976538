"""The record of answers and who objects to being forecast: what the verbs about them do."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime

import typer

from cli.screens.audit import objections_screen, verdict_screen
from cli.session import Session
from configs.errors import ConfigError
from serving.records import audit as records
from serving.records.objections import Objection, Objections
from serving.records.prediction_log import PredictionLog


def audit(s: Session, do: str, public_key: str) -> None:
    """Verify the record, change its key, remove what is too old, or move it; ends with 1 where it is not whole."""
    if do == "move":
        moved = {"moved": records.move(s.workspace, s.settings.records)}
        s.show(moved, lambda r: f"{r['moved']} entries lie in records.database now, and no more in the workspace")
        return
    with PredictionLog.of(s.workspace, s.settings.records) as log:
        if do == "rotate-key":
            s.show({"keys": records.rotate(log)}, lambda r: f"{r['keys']} keys are wrapped with a new master key")
        elif do == "prune":
            removed = records.prune(log, datetime.now(UTC), s.settings.records.keep_days)
            s.show({"removed": removed}, lambda r: f"{r['removed']} entries were older than they may be kept")
        else:
            verdict = records.verify(log, log.checkpoints.folder, public_key or None)
            s.show(asdict(verdict), verdict_screen)
            if verdict.faults:
                raise typer.Exit(1)


def objections(s: Session, do: str, ids: list[str], by: str) -> None:
    """Keep who objects, or no longer does; then show who does, and what came of each that was told."""
    if do != "list" and not ids:
        raise ConfigError(f"say whose objection to {do}: give a customer id or an alias")
    with closing(Objections(s.workspace)) as kept:
        told = [Objection(i, do == "add") for i in ids] if do != "list" else []
        statuses = kept.take(told, by, datetime.now(UTC)) if told else []
        taken = [{"customer_id": i, "status": status} for i, status in zip(ids, statuses, strict=False)]
        s.show({"taken": taken, "objecting": sorted(kept.persons()), "history": kept.history()}, objections_screen)
