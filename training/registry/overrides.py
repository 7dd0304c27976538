"""A person goes on although something was found: who, why, and what it was, in the ledger before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.errors import ConfigError, nearest
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_verdict
from training.data.dataset import Dataset
from training.data.leakage import Leak, by_name, find_leaks, require_no_leaks
from training.model.proof import ledger

DATA = "data"


def accept_quality(workspace: Workspace, by: str, reason: str) -> ledger.Record | None:
    """Let the newest load pass although it was stopped, and record it.

    It then is the reference for the loads to come. Nothing is done, and None given, if nothing was stopped.

    Raises
    ------
    ConfigError
        No reason is given.
    """
    verdict = quality_verdict.latest_verdict(workspace)
    if verdict is None or verdict["passed"] or quality_verdict.is_accepted(workspace):
        return None
    checks = tuple(f for f in verdict["findings"] if f["severity"] == "stop")
    record = _record(workspace, "accept_quality", DATA, verdict["fingerprint"], by, reason, checks)
    quality_verdict.accept(workspace)
    return record


def check_leaks(
    settings: Settings,
    workspace: Workspace,
    data: Dataset,
    by: str,
    accepted: Sequence[str] = (),
    reason: str = "",
    by_values: bool = True,
) -> list[Leak]:
    """Stop a training whose columns know the label, unless they are accepted by name, which is recorded.

    Parameters
    ----------
    settings, workspace, data
        Of the business; what is about to be learned from.
    by, accepted, reason
        Who asks for the training, the columns it may learn from although they are suspicious, and why.
    by_values
        Whether there are rows enough to look at what the columns hold; else their names alone are.

    Returns
    -------
    list of Leak
        What was found and accepted.

    Raises
    ------
    LeakError
        A column is suspicious, not accepted, and not under `leaks.known_before`.
    ConfigError
        A name among the accepted is no feature, or no reason is given.
    """
    for where, names in (("--accept-leaks", accepted), ("leaks.known_before", settings.leaks.known_before)):
        for name in names:
            if name not in data.schema.names:
                raise ConfigError(f"{where}: there is no feature '{name}'{nearest(name, data.schema.names)}")
    known = settings.leaks.known_before
    found = find_leaks(data.frame, data.schema, settings.leaks, data.by) if by_values else by_name(data.schema)
    leaks = [leak for leak in found if leak.column not in known]
    require_no_leaks(leaks, accepted)
    if leaks:
        checks = tuple(leak.to_dict() for leak in leaks)
        _record(workspace, "accept_leaks", data.task, data.fingerprint, by, reason, checks)
    return leaks


def _record(
    workspace: Workspace, action: str, model: str, version: str, by: str, reason: str, checks: tuple[Any, ...]
) -> ledger.Record:
    if not reason.strip():
        raise ConfigError("say why with --reason: the ledger keeps it for whoever asks later")
    entry = ledger.Entry(
        action=action, model=model, version=version, previous=None, by=by, reason=reason, checks=checks
    )
    return ledger.append(workspace.ledger, entry)
