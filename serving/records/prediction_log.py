"""Every answer that was served, on disk before it is sent: what monitoring compares with what came true.

An answer that was sent survives a crash of the process and of the machine (`features.store.durable_file`). Several
processes may write to one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from features.store.durable_file import DurableFile, transaction
from features.store.timestamps import to_micros

NO_MODEL = ""  # in the log, whose column takes no null
TIMES = ("as_of", "scored_at")
NUMBERS = ("probability", "expected", "low", "high")
COLUMNS = (
    "prediction_id",
    "customer_id",
    "as_of",
    "scored_at",
    "probability",
    "expected",
    "low",
    "high",
    "tier",
    "band",
    "stage",
    "action",
    "churn_model",
    "clv_model",
)
_TABLE = """
CREATE TABLE IF NOT EXISTS predictions (
    prediction_id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    as_of INTEGER NOT NULL,
    scored_at INTEGER NOT NULL,
    probability REAL,
    expected REAL,
    low REAL,
    high REAL,
    tier TEXT,
    band TEXT,
    stage TEXT,
    action TEXT NOT NULL,
    churn_model TEXT NOT NULL,
    clv_model TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (scored_at);
CREATE INDEX IF NOT EXISTS predictions_by_customer ON predictions (customer_id, scored_at);
"""
_INSERT = f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def to_record(answer: dict[str, Any]) -> dict[str, Any]:
    """The columns of the log for one answer, see `COLUMNS`; times as datetimes, UTC."""
    churn, clv = answer["churn"] or {}, answer["clv"] or {}
    return {
        "prediction_id": answer["prediction_id"],
        "customer_id": answer["customer_id"],
        "as_of": datetime.fromisoformat(answer["as_of"]),
        "scored_at": datetime.fromisoformat(answer["scored_at"]),
        "probability": churn.get("probability"),
        "expected": clv.get("expected"),
        "low": clv.get("low"),
        "high": clv.get("high"),
        "tier": clv.get("tier"),
        "band": churn.get("band"),
        "stage": answer["stage"],
        "action": answer["action"]["code"],
        "churn_model": answer["model"]["churn"],
        "clv_model": answer["model"]["clv"],
    }


Row = tuple[Any, ...]


class PredictionLog(DurableFile):
    """The log in its file, opened as a `DurableFile`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _TABLE)

    def append(self, answers: Sequence[dict[str, Any]]) -> None:
        """Write answers, all or none; they are on disk when this returns.

        Raises
        ------
        sqlite3.Error
            They could not be written.
        """
        rows = [tuple(_stored(c, record[c]) for c in COLUMNS) for record in map(to_record, answers)]
        with self._writing, transaction(self._connection):
            self._connection.executemany(_INSERT, rows)

    def read(
        self, start: datetime | None = None, end: datetime | None = None, customer_id: str | None = None
    ) -> pd.DataFrame:
        """Read answers back, oldest first.

        Parameters
        ----------
        start, end
            Scored in ``[start, end)``; None leaves a side open.
        customer_id
            Only this customer's; None: everybody's.

        Returns
        -------
        pandas.DataFrame
            One row an answer, columns `COLUMNS`; ``probability`` is NaN and ``band`` None where the customer was
            none; what a value model says is NaN or None without one.
        """
        filters = {
            "scored_at >= ?": None if start is None else to_micros(start),
            "scored_at < ?": None if end is None else to_micros(end),
            "customer_id = ?": customer_id,
        }
        given = {condition: value for condition, value in filters.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        query = f"SELECT {', '.join(COLUMNS)} FROM predictions {where} ORDER BY scored_at, prediction_id"
        with self._writing:
            rows = self._connection.execute(query, [*given.values()]).fetchall()
        return _frame(rows)


def _stored(column: str, value: Any) -> Any:
    """A value as the file holds it."""
    if column in TIMES:
        return to_micros(value)
    return NO_MODEL if column == "churn_model" and value is None else value


def _frame(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    times = {
        c: pd.to_datetime(frame[c].astype("int64"), unit="us", utc=True).astype("datetime64[us, UTC]") for c in TIMES
    }
    return frame.assign(**times).astype(dict.fromkeys(NUMBERS, "float64"))
