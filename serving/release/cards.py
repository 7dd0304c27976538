"""What is known of champions, of what runs beside, and of challengers: figures, data, gates, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.answer.score import iso
from training.model import catalog
from training.model.catalog import BESIDE, CHALLENGER, CHAMPION, Version
from training.model.proof import ledger
from training.model.proof.ledger import Record

ROLES = (CHAMPION, *BESIDE, CHALLENGER)
OF_VERSIONS = ("promote", "rollback", "reject", "shadow", "canary", "stop")


def cards(workspace: Workspace, settings: Settings, serving: Champions | None) -> list[dict[str, Any]]:
    """The cards of a business, by task, champions first, challengers last.

    Parameters
    ----------
    workspace, settings
        Of the business.
    serving
        The models that answer now, which have a card whatever the registry calls them; None: none answers.

    Returns
    -------
    list of dict
        See `serving.api.schema.releases.ModelCard`.

    Raises
    ------
    RegistryError, DataError
        The registry or the ledger cannot be read.
    """
    records = ledger.read(workspace.ledger)
    found = []
    for task in settings.tasks:
        answering = _answering(serving, task)
        known = [v for v in catalog.versions(workspace, task) if v.version in answering or _role(v)]
        known.sort(key=lambda version: ROLES.index(_role(version) or CHAMPION))
        found += [_card(version, records, version.version in answering) for version in known]
    return found


def _answering(serving: Champions | None, task: str) -> set[str]:
    """The versions that answer somebody now: that of the champion, and of a canary."""
    if serving is None:
        return set()
    canary = serving.releases.get(task)
    beside = {canary.model.version} if canary is not None and canary.release.kind == "canary" else set()
    return beside | {version for name, version in serving.versions.items() if name == task}


def _card(version: Version, records: Iterable[Record], answers: bool) -> dict[str, Any]:
    of_version = [r for r in records if (r.model, r.version) == (version.model, version.version)]
    decisions = [record for record in of_version if record.action in OF_VERSIONS]
    judged = next((record for record in reversed(decisions) if record.checks), None)
    return {
        "model": version.label,
        "role": _role(version),
        "answers": answers,
        "summary": version.description,
        "registered_at": iso(datetime.fromtimestamp(version.created_at_ms / 1000, UTC)),
        "data_fingerprint": version.tags.get("data_fingerprint"),
        "gates": version.tags.get("gates"),
        "checks": [_check(check) for check in judged.checks] if judged else [],
        "decision": _decision(decisions),
    }


def _role(version: Version) -> str | None:
    return next((role for role in ROLES if role in version.aliases), None)


def _check(check: dict[str, Any]) -> dict[str, Any]:
    verdict = check.get("verdict", "passed" if check["passed"] else "failed")
    return {**{name: check[name] for name in ("name", "value", "limit", "text")}, "verdict": verdict}


def _decision(decisions: Sequence[Record]) -> dict[str, Any] | None:
    """The newest one of a version; who decided stands in the ledger."""
    if not decisions:
        return None
    newest = decisions[-1]
    return {"action": newest.action, "reason": newest.reason, "at": iso(newest.at)}
