"""MLflow's empty database, as its migrations leave it: they take seconds, so what they made is kept for the next.

It lies in the user's cache, one file for each version of MLflow. Where there is no room, or no such place, or what is
there is damaged, the migrations run.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from configs.files import replacing_file


def create(mlflow: ModuleType, address: str) -> None:
    """Make a new database.

    Parameters
    ----------
    mlflow
        The library: it adds what it finds missing, and refuses a database that is not of its version.
    address
        Of a file in SQLite, ``sqlite:///...``, that is not there.
    """
    new, kept = Path(address.removeprefix("sqlite:///")), kept_file()
    is_kept = kept is not None and _is_whole(kept)
    if kept and is_kept:
        shutil.copyfile(kept, new)
    mlflow.MlflowClient(address, address).search_registered_models()
    if kept and not is_kept:
        with suppress(OSError, sqlite3.Error):
            _keep(new, kept)


def kept_file() -> Path | None:
    """Where the installed MLflow's empty database is kept; None: this user has no place for it."""
    with suppress(RuntimeError):
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return folder / "staycast" / f"mlflow-{version('mlflow')}.db"
    return None


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except (OSError, sqlite3.Error):
        return False


def _keep(new: Path, kept: Path) -> None:
    """Keep it without the default experiment, which has a time and a place: MLflow makes one where it finds none."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(kept) as part:
        shutil.copyfile(new, part)
        with closing(sqlite3.connect(part, isolation_level=None)) as database:
            database.execute("DELETE FROM experiments")
