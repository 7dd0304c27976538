"""Registered models: which versions there are, which one serves, where its files lie; read without importing MLflow.

Importing MLflow takes seconds, and who only asks what there is should not wait for it. The tables are MLflow's own; a
test holds what is read here against MLflow's client.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import RegistryError
from configs.tracking import local_path, open_registry, unreadable
from configs.workspace import Workspace

CHAMPION, CHALLENGER = "champion", "challenger"
BESIDE = ("shadow", "canary")  # show which version runs beside the champion
MANIFESTS = {"bundle": "manifest", "judged": "manifest_judged"}  # a version's tags: hashes of its folders' manifests
AS_JUDGED = ", as judged"  # ends the name of the model of a version that was judged on the hold-out
LIVING = "current_stage <> 'Deleted_Internal'"  # MLflow keeps the rows of deleted versions under this stage


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    model, version
        ``churn`` and ``3``.
    run_id
        The MLflow run that made it.
    aliases
        ``champion`` for the one that serves.
    tags
        What is noted on it: whether it passed the gates, the fingerprint of its data.
    description
        Its main figures in a sentence.
    created_at_ms
        When it was registered, in milliseconds since 1970, UTC.
    address
        Where its files were written to.
    """

    model: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    description: str = ""
    created_at_ms: int = 0
    address: str = ""

    @property
    def label(self) -> str:
        """Name and number: ``churn/3``."""
        return f"{self.model}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can hold, without where the files lie."""
        return {name: value for name, value in vars(self).items() if name != "address"}


def versions(workspace: Workspace, model: str) -> list[Version]:
    """All versions of a model, the newest first; empty where nothing was trained yet.

    Raises
    ------
    RegistryError
        The registry cannot be read.
    """
    path = workspace.registry
    if not path.is_file():
        return []
    try:
        with closing(open_registry(path)) as database:
            return _read(database, model)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def champion(workspace: Workspace, model: str) -> Version | None:
    """The version that serves, or None."""
    return _serving(versions(workspace, model))


def _serving(known: list[Version]) -> Version | None:
    return next((v for v in known if CHAMPION in v.aliases), None)


def require_champion(workspace: Workspace, model: str) -> Version:
    """The version that serves.

    Raises
    ------
    RegistryError
        There is no registry, or no version of the model is the champion.
    """
    if not workspace.registry.is_file():
        raise RegistryError(
            f"no model registry at '{workspace.mlruns}': run `staycast train` first, or give --workspace"
        )
    known = versions(workspace, model)
    version = _serving(known)
    if version is None:
        raise RegistryError(why_no_champion(model, known))
    return version


def why_no_champion(model: str, known: list[Version]) -> str:
    """That none of the versions of a model, the newest first, serves, and what to do."""
    return f"no version of the model '{model}' carries the alias '{CHAMPION}': {_without_champion(model, known)}"


def _without_champion(model: str, known: list[Version]) -> str:
    """What a person can do who has these versions, the newest first, and none that serves."""
    if not known:
        return f"run `staycast train {model}` first; where it cannot be learned, that says why"
    newest = known[0]
    if newest.tags.get("gates") == "passed":
        return f'put {newest.label} in charge with `staycast promote {model} {newest.version} --reason "..."`'
    serve = f'`staycast promote {model} {newest.version} --override --reason "..."`'
    alone = "; or let churn be answered alone with clv.forecast: false" if model == "clv" else ""
    return (
        f"{newest.label} did not pass its gates, `staycast models` says which and by how much. Train again when there "
        f"is more to learn from; or let it serve all the same with {serve}{alone}"
    )


def champions(workspace: Workspace, models: Sequence[str]) -> tuple[dict[str, Version], dict[str, str]]:
    """The version that serves, by model; and why there is none, by each other model.

    Raises
    ------
    RegistryError
        None of them has one, or the registry cannot be read.
    """
    known = {model: versions(workspace, model) for model in models}
    serving = {model: version for model, of_model in known.items() if (version := _serving(of_model))}
    if not serving:
        require_champion(workspace, models[0])
    return serving, {model: why_no_champion(model, known[model]) for model in models if model not in serving}


def champion_versions(workspace: Workspace, models: Sequence[str]) -> dict[str, str]:
    """The number of the version that serves, by each model that has one; errors as of `champions`."""
    return {model: version.version for model, version in champions(workspace, models)[0].items()}


def files(workspace: Workspace, version: Version) -> Path:
    """The folder of a version's files: ``bundle``, the model that serves, and ``judged``.

    Raises
    ------
    RegistryError
        They are not in this workspace.
    """
    folder = local_path(workspace, version.address)
    if folder is None or not has_files(workspace, version):
        raise RegistryError(
            f"the files of {version.label} cannot be read from '{workspace.mlruns}' (no folder "
            f"'{folder or version.address}'): restore them, or promote another version"
        )
    return folder / "artifacts"


def manifest_of(version: Version, part: str = "bundle") -> str:
    """The hash that the manifest of one of a version's folders was registered with.

    Raises
    ------
    RegistryError
        None was.
    """
    registered = version.tags.get(MANIFESTS[part])
    if not registered:
        raise RegistryError(
            f"{version.label}: the registry notes no hash of its files, so nothing tells whether they were changed: "
            "train again, or promote another version"
        )
    return registered


def has_files(workspace: Workspace, version: Version) -> bool:
    """True if the files of a version are in this workspace."""
    folder = local_path(workspace, version.address)
    return folder is not None and folder.is_dir()


def _read(database: sqlite3.Connection, model: str) -> list[Version]:
    aliases: defaultdict[int, list[str]] = defaultdict(list)
    tags: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for version, alias in database.execute(
        "SELECT version, alias FROM registered_model_aliases WHERE name = ? ORDER BY alias", (model,)
    ):
        aliases[version].append(alias)
    for version, key, value in database.execute(
        "SELECT version, key, value FROM model_version_tags WHERE name = ? ORDER BY key", (model,)
    ):
        tags[version][key] = value
    rows = database.execute(
        "SELECT version, run_id, description, creation_time, coalesce(storage_location, source) FROM model_versions "
        f"WHERE name = ? AND {LIVING} ORDER BY version DESC",
        (model,),
    )
    return [
        Version(model, str(number), run_id, tuple(aliases[number]), tags[number], description or "", created, address)
        for number, run_id, description, created, address in rows
    ]
