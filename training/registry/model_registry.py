"""Model versions and aliases in MLflow's registry, and the ledger beside them.

MLflow's aliases keep no history, so every promotion, rejection and rollback is written to the ledger first. Before
both, what is about to be decided is noted (`Workspace.decision`), and the note goes when the aliases stand: one that is
still there was cut short. `settle` then sets the aliases that the ledger tells of; a decision that did not reach the
ledger was none. Whoever decides holds the lock of the workspace.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from datetime import datetime, timedelta

from configs.errors import ConfigError, RegistryError
from configs.files import write_text
from configs.workspace import Workspace
from training.judge.gates import Decision
from training.model.bundle import Bundle, registered_bundle
from training.model.catalog import (
    AS_JUDGED,
    BESIDE,
    CHALLENGER,
    CHAMPION,
    MANIFESTS,
    Version,
    champion,
    has_files,
    versions,
)
from training.model.proof import ledger, releases
from training.registry.runs import TASKS, client

YEAR_DAYS = 365
ENDED = "the release {} ended with it"
MOST_PAST = 11  # champions beside the one that serves: one a month


def apply_decision(workspace: Workspace, version: Version, decision: Decision, by: str) -> None:
    """Make a new version the champion, or record why not; either way the ledger says so."""
    action = "promote" if decision.promote else "reject"
    reason = "; ".join(decision.reasons)
    if decision.promote:
        reason = decision.summary if decision.passed else f"nothing else could answer: {reason}"
    settle(workspace)
    decide(workspace, action, version.model, version.version, by, reason, decision)


def promote(workspace: Workspace, model: str, version: str, by: str, reason: str, override: bool = False) -> Version:
    """Make a version the champion because somebody says so.

    Raises
    ------
    RegistryError
        There is no such version.
    ConfigError
        It did not pass the gates, and `override` was not given; or no reason was.
    """
    with workspace.exclusive("promote"):
        settle(workspace)
        return _promote(workspace, model, version, by, reason, override)


def _promote(workspace: Workspace, model: str, version: str, by: str, reason: str, override: bool) -> Version:
    candidate = get_version(workspace, model, version)
    decide(workspace, "promote", model, version, by, reason_of(candidate, "promote", reason, override))
    return get_version(workspace, model, version)


def reason_of(candidate: Version, what: str, reason: str, override: bool) -> str:
    """The reason that goes on record for what is to be done with a version.

    Raises
    ------
    ConfigError
        It did not pass the gates, and `override` was not given; or no reason was.
    """
    passed = candidate.tags.get("gates") == "passed"
    if not passed and not override:
        raise ConfigError(
            f"{candidate.label} did not pass the gates: {candidate.tags.get('gate_reasons', 'no record')}; "
            f"to {what} it all the same, give --override and a --reason, which go on record"
        )
    require_reason(reason)
    return reason if passed else f"gates overridden: {reason}"


def rollback(workspace: Workspace, model: str, by: str, reason: str) -> Version:
    """Make the champion before the present one the champion again.

    Raises
    ------
    RegistryError
        There was none.
    """
    require_reason(reason)
    with workspace.exclusive("rollback"):
        settle(workspace)
        return _roll_back(workspace, model, by, reason)


def _roll_back(workspace: Workspace, model: str, by: str, reason: str) -> Version:
    before = ledger.previous_champion(workspace.ledger, model)
    if before is None:
        raise RegistryError(f"{model}: no champion before the present one to go back to; see `staycast models`")
    get_version(workspace, model, before)
    decide(workspace, "rollback", model, before, by, reason)
    return get_version(workspace, model, before)


def get_version(workspace: Workspace, model: str, version: str) -> Version:
    """Look up one version.

    Raises
    ------
    RegistryError
        There is no such version.
    """
    by_number = {v.version: v for v in versions(workspace, model)}
    if version not in by_number:
        raise RegistryError(
            f"no version {version} of '{model}'; there are {', '.join(by_number) or 'none'}: see `staycast models`"
        )
    return by_number[version]


def bundles(workspace: Workspace, model: str, version: str) -> tuple[Bundle, Bundle]:
    """The model of a version, and the one of the same recipe that was judged on the hold-out."""
    known = get_version(workspace, model, version)
    return registered_bundle(workspace, known, "bundle"), registered_bundle(workspace, known, "judged")


def champion_bundles(workspace: Workspace, model: str) -> tuple[Bundle, Bundle] | None:
    """As `bundles`, of the version that serves; None without one."""
    serving_version = champion(workspace, model)
    return None if serving_version is None else bundles(workspace, model, serving_version.version)


def champions_of_a_year(workspace: Workspace, model: str, now: datetime) -> list[tuple[str, Bundle, Bundle]]:
    """Name and `bundles` of the `recent_champions`."""
    return [(v.label, *bundles(workspace, model, v.version)) for v in recent_champions(workspace, model, now)]


def recent_champions(workspace: Workspace, model: str, now: datetime) -> list[Version]:
    """The version that serves, and those that did within a year of `now`, newest first; empty if none serves.

    At most twelve, spread over the year; an earlier one whose files are gone is left out.
    """
    serving_version = champion(workspace, model)
    if serving_version is None:
        return []
    reigned = ledger.champions_since(workspace.ledger, model, now - timedelta(days=YEAR_DAYS))[::-1]
    known = {v.version: v for v in versions(workspace, model)}
    past = [known[v] for v in reigned if v in known and v != serving_version.version]
    readable = [v for v in past if has_files(workspace, v)]
    step = max(1, math.ceil(len(readable) / MOST_PAST))
    return [serving_version, *readable[::step]]


def named_champion_bundles(workspace: Workspace, model: str) -> list[tuple[str, Bundle]]:
    """The bundles of the version that serves, each with a name for people: ``clv/3`` and ``clv/3, as judged``."""
    serving_version = champion(workspace, model)
    if serving_version is None:
        return []
    serving, judged = bundles(workspace, model, serving_version.version)
    name = f"{model}/{serving_version.version}"
    return [(name, serving), (f"{name}{AS_JUDGED}", judged)]


def find_version(workspace: Workspace, name: str) -> Version:
    """The version that a person means: by ``churn/3``, or by the id of the run that made it.

    Raises
    ------
    RegistryError
        There is none.
    """
    model, _, number = name.partition("/")
    if number:
        return get_version(workspace, model, number)
    matches = [v for task in TASKS for v in versions(workspace, task) if v.run_id == name]
    if not matches:
        raise RegistryError(f"no run '{name}' that made a model: give its id, or churn/3; see `staycast models`")
    return matches[0]


def decide(
    workspace: Workspace,
    action: str,
    model: str,
    version: str,
    by: str,
    reason: str,
    decision: Decision | None = None,
    percent: float | None = None,
) -> None:
    """Put a decision on record, see `training.model.proof.ledger`, and set the aliases; for who holds the lock.

    A release of another version that the decision ends is told in its reason.
    """
    serving_version = champion(workspace, model)
    checks = tuple(c.to_dict() for c in decision.checks) if decision else ()
    records = ledger.read(workspace.ledger)
    release = releases.running(records).get(model) if action in ledger.DECIDES else None
    if release is not None and release.version != version:
        reason = f"{reason}; {ENDED.format(release)}"
    note = {"action": action, "model": model, "version": version, "after": records[-1].sha256 if records else None}
    write_text(workspace.decision, json.dumps(note))
    ledger.append(
        workspace.ledger,
        ledger.Entry(
            action=action,
            model=model,
            version=version,
            previous=serving_version.version if serving_version else None,
            by=by,
            reason=reason,
            checks=checks,
            manifest=get_version(workspace, model, version).tags.get(MANIFESTS["bundle"], ""),
            percent=percent,
        ),
    )
    _set_aliases(workspace, action, model, version)
    workspace.decision.unlink()


def settle(workspace: Workspace) -> None:
    """Finish a decision that was cut short between the ledger and the aliases; whoever calls it holds the lock.

    Raises
    ------
    DataError
        The ledger is broken.
    """
    if not workspace.decision.is_file():
        return
    note = json.loads(workspace.decision.read_text("utf-8"))
    places = [record.previous_sha256 for record in ledger.read(workspace.ledger) if _is_of(record, note)]
    if (note["after"] or ledger.START) in places:
        _set_aliases(workspace, note["action"], note["model"], note["version"])
    workspace.decision.unlink()


def _is_of(record: ledger.Record, note: dict[str, str]) -> bool:
    return all(getattr(record, name) == note[name] for name in ("action", "model", "version"))


def _set_aliases(workspace: Workspace, action: str, model: str, version: str) -> None:
    connection = client(workspace)
    if action in BESIDE:
        connection.set_registered_model_alias(model, action, version)
        _remove(workspace, model, [alias for alias in BESIDE if alias != action])
        return
    if action == "stop":
        _remove(workspace, model, BESIDE)
        return
    alias = CHALLENGER if action == "reject" else CHAMPION
    connection.set_registered_model_alias(model, alias, version)
    if alias == CHAMPION:
        refused = CHALLENGER in get_version(workspace, model, version).aliases
        _remove(workspace, model, (*BESIDE, *([CHALLENGER] if refused else [])))


def _remove(workspace: Workspace, model: str, aliases: Collection[str]) -> None:
    """Take away aliases, where they are."""
    for alias in {alias for v in versions(workspace, model) for alias in v.aliases if alias in aliases}:
        client(workspace).delete_registered_model_alias(model, alias)


def require_reason(reason: str) -> None:
    """ConfigError where none is given."""
    if not reason.strip():
        raise ConfigError("say why with --reason: the ledger keeps it for whoever asks later")
