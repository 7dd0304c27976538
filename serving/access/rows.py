"""Which customers a caller may see: those whose attribute has one of the caller's values, as the last load says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import ConfigError
from configs.files import FileVersion, file_version
from configs.workspace import Workspace
from features.people.identity import load_alias_map
from serving.access.roles import AccessUnavailableError, Caller, Row

ALL = "*"
TABLES = ("customers", "profiles")  # the one that a business has


@dataclass(frozen=True)
class RowScope:
    """Who may see whom.

    Attributes
    ----------
    attribute
        A column of the customers; None: every caller sees every customer.
    workspace
        Holds the loads: the one that is used at the moment of a question counts, and is asked for at each.
    """

    attribute: str | None
    workspace: Workspace

    def sees_all(self, caller: Caller) -> bool:
        """Whether a caller may see every customer. A caller without values sees nobody."""
        return self.attribute is None or (self.attribute, ALL) in caller.rows

    def visible(self, caller: Caller, customer_ids: Sequence[str]) -> set[str]:
        """Of these ids, aliases among them, those of customers whom a caller may see; who is not known is not seen.

        Raises
        ------
        AccessUnavailableError
            The attribute cannot be read.
        """
        if self.attribute is None or self.sees_all(caller):
            return set(customer_ids)
        with _told():
            tables = self.workspace.tables
            persons = load_alias_map(tables).of(customer_ids)
            of_person = _read(_table(tables), self.attribute)
        values = self._values(caller)
        return {i for i, person in zip(customer_ids, persons, strict=True) if of_person.get(person) in values}

    def seen(self, caller: Caller) -> pa.Table | None:
        """All customers whom a caller may see, one column ``customer_id``, without aliases; None: everybody.

        Raises
        ------
        AccessUnavailableError
            The attribute cannot be read.
        """
        if self.attribute is None or self.sees_all(caller):
            return None
        with _told():
            return _of_values(_table(self.workspace.tables), self.attribute, self._values(caller))

    def _values(self, caller: Caller) -> frozenset[str]:
        """The values of the attribute that a caller sees."""
        return frozenset(value for name, value in caller.rows if name == self.attribute)


def _table(tables: Path) -> FileVersion:
    """The file of the customers of a load."""
    found = next((v for name in TABLES if (v := file_version(tables / f"{name}.parquet"))), None)
    if found is None:
        raise FileNotFoundError("no customers")
    return found


@contextmanager
def _told() -> Iterator[None]:
    """AccessUnavailableError where the tables cannot be read."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException):
        raise AccessUnavailableError("which customers the caller may see cannot be told now") from None


def rows_of(texts: Iterable[str]) -> frozenset[Row]:
    """Attributes and values of ``attribute=value``; ``*`` stands for every value.

    Raises
    ------
    ConfigError
        One is written in another way.

    Examples
    --------
    >>> sorted(rows_of(["branch=north", "branch=south"]))
    [('branch', 'north'), ('branch', 'south')]
    """
    pairs = [tuple(part.strip() for part in text.partition("=")[::2]) for text in texts]
    if any(not name or not value for name, value in pairs):
        raise ConfigError("rows are written as attribute=value, such as branch=north, or branch=* for all")
    return frozenset((name, value) for name, value in pairs)


def require_rows(rows: frozenset[Row], attribute: str | None) -> None:
    """Check that the rows of a new key are of the attribute that the configuration names.

    Raises
    ------
    ConfigError
        They are of another, or there are none though there is one.
    """
    if any(name != attribute for name, _ in rows):
        raise ConfigError(f"rows are of another attribute than access.row_scope, which is {attribute or 'not set'}")
    if attribute is not None and not rows:
        raise ConfigError(f"say whom the key sees: --rows {attribute}=VALUE, or --rows '{attribute}=*' for all")


@lru_cache(maxsize=2)
def _read(table: FileVersion, attribute: str) -> dict[str, str]:
    """The value of each customer who has one."""
    rows = pq.read_table(table.path, columns=["customer_id", attribute])
    if attribute not in rows.column_names:
        raise ValueError(f"no column '{attribute}'")
    columns = (rows.column(name).to_pylist() for name in ("customer_id", attribute))
    return {i: _text(value) for i, value in zip(*columns, strict=True) if value is not None}


@lru_cache(maxsize=8)
def _of_values(table: FileVersion, attribute: str, values: frozenset[str]) -> pa.Table:
    """The customers who have one of these values."""
    ids = [customer for customer, value in _read(table, attribute).items() if value in values]
    return pa.table({"customer_id": pa.array(ids, type=pa.string())})


def _text(value: Any) -> str:
    """A value as one writes it: 7 and not 7.0."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
