"""What came true of contacts and forecasts, as a CRM tells it: on disk before it is acknowledged.

An outcome is told apart by its id: the same again is known, with other content it is a conflict. Ids of customers are
kept as they were sent; who reads gives those of aliases to their persons (`features.people.identity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from configs.errors import DataError
from features.store.durable_file import DurableFile
from features.store.timestamps import to_micros
from features.tables import id_of

Status = Literal["accepted", "known"]
TIMES = ("happened_at", "recorded_at")
COLUMNS = (
    "outcome_id", "customer_id", "outcome", "happened_at", "value", "campaign", "contact_id", "prediction_id",
    "recorded_at",
)  # fmt: skip
_BLANKS = f"char({', '.join(str(sign) for sign in range(0x3001) if chr(sign).isspace())})"  # as `features.tables.id_of`
_BARE_ID = f"trim(outcome_id, {_BLANKS})"
_TABLE = f"""
CREATE TABLE IF NOT EXISTS outcomes (
    outcome_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    happened_at INTEGER NOT NULL,
    value REAL,
    campaign TEXT,
    contact_id TEXT,
    prediction_id TEXT,
    recorded_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outcomes_by_customer ON outcomes (customer_id, happened_at);
CREATE INDEX IF NOT EXISTS outcomes_by_bare_id ON outcomes ({_BARE_ID});
"""
_INSERT = f"INSERT INTO outcomes ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_SAME = f"SELECT {', '.join(COLUMNS[:-1])} FROM outcomes WHERE {_BARE_ID} = ?"  # early versions kept blanks around ids


class OutcomeConflictError(DataError):
    """An outcome comes again with other content."""

    def __init__(self, place: int) -> None:
        super().__init__(f"outcome {place}: outcome_id came before with other content")
        self.place = place


@dataclass(frozen=True)
class Outcome:
    """What came true for one customer, and when (UTC); in what currency a value is, the business knows."""

    outcome_id: str
    customer_id: str
    outcome: str
    happened_at: datetime
    value: float | None = None
    campaign: str | None = None
    contact_id: str | None = None
    prediction_id: str | None = None


class OutcomeLog(DurableFile):
    """The log in its file, opened as a `DurableFile`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLE)

    def append(self, outcomes: Sequence[Outcome], now: datetime) -> list[Status]:
        """Write outcomes, all or none; they are on disk when this returns.

        Raises
        ------
        OutcomeConflictError
            One came before with other content. Nothing is written.
        sqlite3.Error
            They could not be written.
        """
        with self._writing, self._transaction():
            return [self._insert(place, outcome, to_micros(now)) for place, outcome in enumerate(outcomes)]

    def _insert(self, place: int, outcome: Outcome, now: int) -> Status:
        o = outcome
        ids = (o.outcome_id, o.customer_id, o.outcome, to_micros(o.happened_at))
        row = (*ids, o.value, o.campaign, o.contact_id, o.prediction_id)
        same = self._connection.execute(_SAME, [id_of(o.outcome_id)]).fetchall()
        if same and _with_bare_ids(row) not in map(_with_bare_ids, same):
            raise OutcomeConflictError(place)
        if same:
            return "known"
        self._connection.execute(_INSERT, (*row, now))
        return "accepted"

    def read(self) -> pd.DataFrame:
        """All outcomes, oldest first: one row each, columns `COLUMNS`; times UTC, what is not known None or NaN."""
        with self._writing:
            query = f"SELECT {', '.join(COLUMNS)} FROM outcomes ORDER BY happened_at, outcome_id"
            rows = self._connection.execute(query).fetchall()
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": "float64"})
        times = {c: pd.to_datetime(frame[c].astype("int64"), unit="us", utc=True) for c in TIMES}
        return frame.assign(**times)


def _with_bare_ids(row: Sequence[Any]) -> tuple[Any, ...]:
    values = zip(COLUMNS, row, strict=False)
    return tuple(id_of(value) if name.endswith("_id") and value is not None else value for name, value in values)
