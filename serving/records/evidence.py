"""What an answer was made from, so that it can be made again bit by bit: feature values, models, settings, who asked.

Numbers are kept as the eight bytes they are. What many answers share (columns, models, settings) is kept once, under
its hash.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from features.store.timestamps import to_micros

_LZ4 = pa.Codec("lz4_raw")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Context:
    """What many answers share.

    Attributes
    ----------
    columns
        Of the feature rows, with their types, in order.
    models
        By task: ``version``, ``files`` (hash of the model's files); None where none serves.
    unserved
        Why a model of the business does not serve, by its name.
    settings
        Of the business, without those of sources and of access.
    arms
        While a canary runs: by task its ``release``, and the ``arm`` that the models are of.
    """

    columns: Mapping[str, str]
    models: Mapping[str, Mapping[str, str] | None]
    unserved: Mapping[str, str]
    settings: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def content(self) -> bytes:
        """As JSON."""
        names = ("columns", "models", "unserved", "settings", *(["arms"] if self.arms else []))
        parts = {name: getattr(self, name) for name in names}
        return orjson.dumps({**parts, "columns": list(self.columns.items())})

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).digest()

    @classmethod
    def load(cls, content: bytes) -> Context:
        """Read it back."""
        parts = orjson.loads(content)
        return cls(**{**parts, "columns": dict(parts["columns"])})

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Positions of the columns that are kept as eight bytes."""
        return tuple(i for i, dtype in enumerate(self.columns.values()) if dtype == "float64")

    @cached_property
    def others(self) -> tuple[int, ...]:
        """Positions of the other columns."""
        return tuple(i for i, dtype in enumerate(self.columns.values()) if dtype != "float64")

    def pack(self, values: Sequence[Any]) -> tuple[bytes, list[Any]]:
        """A feature row as the bytes of its numbers, and its other values."""
        numbers = struct.pack(f"<{len(self.numbers)}d", *[values[i] for i in self.numbers])
        return numbers, [_plain(values[i]) for i in self.others]

    def unpack(self, numbers: bytes, others: Sequence[Any]) -> pd.DataFrame:
        """The feature row as a frame of one row, of the types it had."""
        values = dict(zip(self.numbers, struct.unpack(f"<{len(self.numbers)}d", numbers), strict=True))
        values |= dict(zip(self.others, others, strict=True))
        columns = {name: _series(values[i], dtype) for i, (name, dtype) in enumerate(self.columns.items())}
        return pd.DataFrame(columns)


def _plain(value: Any) -> Any:
    """A value that is no float64, as JSON can hold it."""
    if isinstance(value, pd.Timestamp):
        return to_micros(value.to_pydatetime())
    if isinstance(value, np.generic):
        return value.item()
    return None if value is None or value is pd.NaT or value != value else value


def _series(value: Any, dtype: str) -> pd.Series:
    if dtype.startswith("datetime64"):
        return pd.to_datetime(pd.Series([value], dtype="Int64"), unit="us", utc=True).astype(dtype)  # type: ignore[call-overload]
    return pd.Series([value], dtype=dtype)


@dataclass(frozen=True)
class Evidence:
    """What one answer was made from.

    Attributes
    ----------
    context
        What it shares with others.
    values
        The feature row: one value a column of the context.
    top_reasons
        As for `serving.answer.score.score`.
    """

    context: Context
    values: Sequence[Any]
    top_reasons: int | None


class EvidentAnswer(dict[str, Any]):
    """An answer that knows what it was made from."""

    def __init__(self, answer: Mapping[str, Any], evidence: Evidence) -> None:
        super().__init__(answer)
        self.evidence = evidence

    def of_alias(self, alias: str) -> EvidentAnswer:
        """The same, with the alias that was asked for beside the person."""
        return EvidentAnswer({**self, "alias": alias}, self.evidence)


class Answers(Protocol):
    """Past answers by their columns, see `serving.records.prediction_log`."""

    def read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        customer_id: str | None = None,
        newest: int | None = None,
    ) -> pd.DataFrame:
        """The answers of a time, or of one customer, oldest first; of them so many of the newest, or all."""
        ...


@dataclass(frozen=True)
class Asker:
    """Who asked, in which role, and for what purpose; all "" where it is not known.

    >>> Asker("crm-prod", "crm").purpose
    ''
    """

    caller: str = ""
    role: str = ""
    purpose: str = ""


NOBODY = Asker()


def rows_of(frame: pd.DataFrame) -> Iterator[list[Any]]:
    """The feature rows of a frame as lists of Python values."""
    return iter(frame.to_numpy(dtype=object).tolist())


def dtypes_of(frame: pd.DataFrame) -> dict[str, str]:
    """The columns of a frame, with their types."""
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def pack(answer: Mapping[str, Any], asker: Asker, evidence: Evidence | None) -> bytes:
    """All that is kept of an answer beside its columns, in few bytes."""
    numbers, others = evidence.context.pack(evidence.values) if evidence else (b"", None)
    top = evidence.top_reasons if evidence else None
    head = orjson.dumps([asker.caller, asker.role, asker.purpose, top, others, len(numbers)])
    content = b"".join((_LENGTH.pack(len(head)), head, numbers, orjson.dumps(answer)))
    return _LENGTH.pack(len(content)) + _LZ4.compress(content, asbytes=True)


@dataclass(frozen=True)
class Record:
    """One answer as it is on record.

    Attributes
    ----------
    prediction_id, summary
        Its id, and the columns that monitoring reads.
    answer
        Its bytes as they were sent; empty where only its columns were kept, by an earlier version.
    asker
        By whom and for what.
    context, features, top_reasons
        What it was made from; None where that was not kept.
    """

    prediction_id: str
    summary: Mapping[str, Any]
    answer: bytes = b""
    asker: Asker = NOBODY
    context: Context | None = None
    features: pd.DataFrame | None = None
    top_reasons: int | None = None


def unpack(prediction_id: str, summary: Mapping[str, Any], packed: bytes, context: Context | None) -> Record:
    """What `pack` kept."""
    content = _LZ4.decompress(packed[_LENGTH.size :], _LENGTH.unpack_from(packed)[0], asbytes=True)
    start = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    caller, role, purpose, top, others, size = orjson.loads(content[_LENGTH.size : start])
    features = context.unpack(content[start : start + size], others) if context else None
    return Record(prediction_id, summary, content[start + size :], Asker(caller, role, purpose), context, features, top)
