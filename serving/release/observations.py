"""What releases showed while they ran: how long each arm took, what failed, what a shadow said. Kept in one file.

All workers add to it; a restart loses at most what the last seconds brought. Of a shadow's scores it keeps the id of
the answer beside which it was given and both numbers, no customer: who that was, the record of answers alone can tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.store.durable_file import DurableFile

MOST_SCORES = 200_000  # the newest of a release
STEPS = 8  # of a doubling of the time: a quantile is at most 9 % too long
_TABLES = """
CREATE TABLE IF NOT EXISTS counts (
    release TEXT NOT NULL,
    arm TEXT NOT NULL,
    what TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (release, arm, what)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
    place INTEGER PRIMARY KEY,
    release TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    champion REAL NOT NULL,
    shadow REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS scores_by_release ON scores (release, place);
"""
_ADD = (
    "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT (release, arm, what) DO UPDATE SET number = number + "
    "excluded.number"
)
Key = tuple[str, str, str]  # release, arm, what


@dataclass(frozen=True)
class ShadowScore:
    """What a shadow said beside an answer."""

    release: str
    prediction_id: str
    champion: float
    shadow: float


def bucket(seconds: float) -> str:
    """The name of the count of calls that took about so long.

    >>> bucket(0.001), bucket(0.0011), bucket(0.002)
    ('call 0', 'call 2', 'call 8')
    """
    return f"call {math.ceil(STEPS * math.log2(max(seconds, 1e-6) * 1000) - 1e-9)}"


def quantile_ms(counts: Mapping[str, int], share: float) -> float | None:
    """The time within which a share of the calls ended, in milliseconds, from counts by `bucket`; None without one."""
    calls = sorted((int(name.removeprefix("call ")), n) for name, n in counts.items() if name.startswith("call "))
    if not calls:
        return None
    reached = np.cumsum([n for _, n in calls])
    return float(2 ** (calls[int(np.searchsorted(reached, share * reached[-1]))][0] / STEPS))


class Observations(DurableFile):
    """The file, opened as a `DurableFile`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLES)

    def add(self, counts: Mapping[Key, int], scores: Sequence[ShadowScore]) -> None:
        """Add to the counts, and keep scores of shadows; all or nothing.

        Raises
        ------
        sqlite3.Error
            They could not be written.
        """
        with self._writing, self._transaction():
            self._connection.executemany(_ADD, [(*key, number) for key, number in counts.items()])
            rows = [(s.release, s.prediction_id, s.champion, s.shadow) for s in scores]
            self._connection.executemany("INSERT INTO scores VALUES (NULL, ?, ?, ?, ?)", rows)
            for release in {s.release for s in scores}:
                self._remove_old(release)

    def counts(self, release: str) -> dict[str, Counter[str]]:
        """By arm, how often what was."""
        found: dict[str, Counter[str]] = {}
        with self._writing:
            rows = self._connection.execute("SELECT arm, what, number FROM counts WHERE release = ?", (release,))
            for arm, what, number in rows.fetchall():
                found.setdefault(arm, Counter())[what] = number
        return found

    def scores(self, release: str) -> pd.DataFrame:
        """The newest scores of a shadow, oldest first: ``prediction_id, champion, shadow``."""
        query = "SELECT prediction_id, champion, shadow FROM scores WHERE release = ? ORDER BY place"
        with self._writing:
            rows = self._connection.execute(query, (release,)).fetchall()
        return pd.DataFrame(rows, columns=["prediction_id", "champion", "shadow"])

    def _remove_old(self, release: str) -> None:
        places = "SELECT place FROM scores WHERE release = ? ORDER BY place DESC LIMIT 1 OFFSET ?"
        last = self._connection.execute(places, (release, MOST_SCORES)).fetchone()
        if last:
            self._connection.execute("DELETE FROM scores WHERE release = ? AND place <= ?", (release, *last))
