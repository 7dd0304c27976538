"""How far the event log goes, read without importing what reads its events."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from configs.workspace import Workspace
from features.store.durable_file import connect


def newest_recorded_at(connection: sqlite3.Connection) -> int:
    """When the newest event of an open log became known, in microseconds since 1970; 0 if there is none."""
    return int(connection.execute("SELECT coalesce(max(recorded_at), 0) FROM events").fetchone()[0])


def log_position(workspace: Workspace) -> int:
    """How far the event log of a workspace goes, see `newest_recorded_at`; 0 if there is none."""
    if not workspace.events.is_file():
        return 0
    with closing(connect(workspace.events)) as connection:
        begun = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
        return newest_recorded_at(connection) if begun else 0
