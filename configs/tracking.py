"""MLflow's database: made whole before it appears, and at home wherever the workspace lies.

MLflow writes the whole path of every artifact into its database. Where a workspace was moved, restored or copied, these
paths are of the old place: `relocate` points them here, and `local_path` reads one without changing anything.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from configs.errors import RegistryError
from configs.workspace import Workspace

ARTIFACTS = "/mlruns/artifacts"  # what every path ends in, or goes on from, that Staycast had MLflow write
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
LOCK_SECONDS = 30


def open_database(workspace: Workspace, create: Callable[[str], object]) -> None:
    """Make sure that MLflow's database is there, and that the paths in it are of this workspace.

    Parameters
    ----------
    workspace
        Whose database.
    create
        Makes the tables of a new database at the address it is given. The database appears only when it is whole:
        another process never meets one that is half made.

    Raises
    ------
    RegistryError
        The database cannot be read.
    """
    workspace.mlruns.mkdir(parents=True, exist_ok=True)
    path = workspace.registry
    if not path.exists():
        with FileLock(workspace.mlruns / ".lock"):
            if not path.exists():
                part = path.with_name(f".{path.name}.part")
                part.unlink(missing_ok=True)
                create(f"sqlite:///{part.resolve()}")
                os.replace(part, path)
    relocate(workspace)


def relocate(workspace: Workspace) -> int:
    """Point the artifact paths in MLflow's database to this workspace.

    A place that cannot be written to is left as it is: there only `local_path` finds artifacts.

    Returns
    -------
    int
        How many paths were of another place, and are of this one now.

    Raises
    ------
    RegistryError
        The database cannot be read.
    """
    here, path = workspace.artifacts_uri, workspace.registry
    if not _is_writable(path):
        return 0
    try:
        with closing(open_registry(path)) as database:
            moved = [
                (table, column, value)
                for table, column in PATHS
                for (value,) in database.execute(f"SELECT DISTINCT {column} FROM {table}")
                if value and ARTIFACTS in value and _moved(value, here) != value
            ]
            # MLflow would put the runs of nobody's experiment below the working directory of whoever came first
            default = ("experiments WHERE experiment_id = 0 AND artifact_location <> ?", f"{here}/0")
            if moved or database.execute(f"SELECT count(*) FROM {default[0]}", default[1:]).fetchone()[0]:
                with database:
                    for table, column, value in moved:
                        change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                        database.execute(change, (_moved(value, here), value))
                    change = "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0"
                    database.execute(change, default[1:])
    except sqlite3.Error as error:
        raise unreadable(path, error) from error
    return len(moved)


def open_registry(path: Path) -> sqlite3.Connection:
    """Open MLflow's database, which must be there; what a killed process left half written is rolled back.

    Only where the place cannot be written to, a connection is for reading alone: such a one rolls nothing back.
    """
    mode = "rw" if _is_writable(path) else "ro"
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=LOCK_SECONDS)


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def unreadable(path: Path, error: sqlite3.Error) -> RegistryError:
    """What to say of a registry that cannot be read, or that another program keeps locked."""
    if "locked" in str(error) or "busy" in str(error):
        return RegistryError(f"the model registry '{path}' is kept locked by another program ({error}): try again")
    return RegistryError(
        f"the model registry '{path}' cannot be read ({error}): restore it from a copy, or move it away and train again"
    )


def local_path(workspace: Workspace, address: str) -> Path | None:
    """Where an artifact lies in this workspace, whatever place its address was written at; None: elsewhere.

    Parameters
    ----------
    workspace
        Whose artifact.
    address
        As MLflow's database holds it: a path, or a ``file`` address.
    """
    _, separator, rest = address.rpartition(ARTIFACTS)
    if not separator or (rest and not rest.startswith("/")):
        return None
    tail = unquote(rest) if urlsplit(address).scheme == "file" else rest
    return workspace.mlruns / "artifacts" / tail.lstrip("/")


def _moved(address: str, here: str) -> str:
    """The same artifact's address below another folder."""
    before, _, rest = address.rpartition(ARTIFACTS)
    is_artifact = before.startswith("file:") and (not rest or rest.startswith("/"))
    return f"{here}{rest}" if is_artifact else address
