"""A version runs beside the champion because somebody says so, until somebody promotes or stops it."""

from __future__ import annotations

from configs.errors import ConfigError, RegistryError
from configs.workspace import Workspace
from training.model.catalog import Version, require_champion
from training.model.proof import ledger, releases
from training.model.proof.releases import Release
from training.registry import model_registry

NONE_RUNS = "no release runs{}; begin one with `staycast release start churn/4 --shadow` or `--canary 10`"


def start(
    workspace: Workspace, name: str, percent: float | None, by: str, reason: str, override: bool = False
) -> Release:
    """Let a version run beside the champion; of one that does already, change how.

    Parameters
    ----------
    workspace
        Whose registry and ledger.
    name
        The version: ``churn/4``.
    percent
        Of the customers whom it is to answer, above 0 and below 100; None: nobody, it is a shadow. With a larger one,
        all whom it answered stay with it.
    by, reason, override
        As for `model_registry.promote`.

    Raises
    ------
    ConfigError
        It did not pass the gates, and `override` was not given; no reason was; the share is none.
    RegistryError
        There is no such version, no champion, or it is the champion; another version of the model runs.
    """
    if percent is not None and not 0 < percent < 100:
        raise ConfigError(
            f"--canary {percent:g}: a share of the customers is above 0 and below 100 %; for all, `staycast promote`"
        )
    with workspace.exclusive("release start"):
        model_registry.settle(workspace)
        version = model_registry.find_version(workspace, name)
        _require_beside(workspace, version)
        why = model_registry.reason_of(version, "release", reason, override)
        action = "shadow" if percent is None else "canary"
        model_registry.decide(workspace, action, version.model, version.version, by, why, percent=percent)
        return running(workspace)[version.model]


def stop(workspace: Workspace, name: str, by: str, reason: str) -> Release:
    """Stop a release: the champion answers everybody again.

    Parameters
    ----------
    workspace, by, reason
        As for `model_registry.promote`.
    name
        Of the model, or of the version; empty where but one runs.

    Raises
    ------
    ConfigError
        No reason was given, or several run.
    RegistryError
        None runs.
    """
    model_registry.require_reason(reason)
    with workspace.exclusive("release stop"):
        model_registry.settle(workspace)
        release = the_one(workspace, name)
        model_registry.decide(workspace, "stop", release.model, release.version, by, reason)
        return release


def promote(workspace: Workspace, name: str, by: str, reason: str, override: bool = False) -> Version:
    """Make the version of a release the champion, which ends it; parameters and errors as of `stop` and `start`."""
    release = the_one(workspace, name)
    return model_registry.promote(workspace, release.model, release.version, by, reason, override)


def running(workspace: Workspace) -> dict[str, Release]:
    """The releases that run, by model.

    Raises
    ------
    DataError
        The ledger is broken.
    """
    return releases.running(ledger.read(workspace.ledger))


def ended_by(workspace: Workspace, version: Version) -> Release | None:
    """The release of another version that ended as this one became the champion; None where it did not, or none ran.

    Raises
    ------
    DataError
        The ledger is broken.
    """
    records = [record for record in ledger.read(workspace.ledger) if record.model == version.model]
    newest = next((record for record in reversed(records) if record.action in ledger.DECIDES), None)
    if newest is None or newest.version != version.version:
        return None
    return next(
        (r for r in releases.all_releases(records) if r.ended_at == newest.at and r.version != version.version), None
    )


def the_one(workspace: Workspace, name: str) -> Release:
    """The release that runs of what a person names; errors as of `stop`."""
    found = [r for r in running(workspace).values() if name in ("", r.model, r.label)]
    if not found:
        raise RegistryError(NONE_RUNS.format(f" of {name}" if name else ""))
    if len(found) > 1:
        raise ConfigError(f"{' and '.join(str(r) for r in found)} run: say which")
    return found[0]


def _require_beside(workspace: Workspace, version: Version) -> None:
    """RegistryError if there is nothing that it could run beside, or something else runs already."""
    champion = require_champion(workspace, version.model)
    if champion.version == version.version:
        raise RegistryError(f"{version.label} is the champion: it cannot run beside itself")
    present = running(workspace).get(version.model)
    if present is not None and present.version != version.version:
        raise RegistryError(
            f"{present} runs: at most one release a model. Promote or stop it first, with `staycast release promote "
            f"{version.model}` or `staycast release stop {version.model}`"
        )
