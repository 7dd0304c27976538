"""Rules of rows: which of them are rows of the table, by the values of any column of the source.

    where:
      Financial Status: [paid, refunded]      a row is kept if its value is one of these; null means an empty one
      Cancelled at: {empty: true}             ... if it is empty (false: if it is filled)
      Type: {not: [test]}                     ... if it is none of these; an empty one is kept

A row is kept if all rules keep it. Values are compared as text: without spaces around them, upper and lower case alike,
in one Unicode form. A row that is left out is no fault: it is counted, and is not in quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import pandas as pd
from pydantic import Field, field_validator, model_validator

from configs.errors import DataError
from configs.settings import Section
from features.sql import quote_literal

SPACES = " \t\r\n\u00a0\u202f\u3000\ufeff"
SHOWN = 8


class RowRule(Section):
    """Which values of one column keep a row; see the top of this module."""

    values: tuple[str | None, ...] | None = None
    excluded: tuple[str | None, ...] | None = Field(default=None, alias="not")
    empty: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _values_alone(cls, given: object) -> object:
        if isinstance(given, dict):
            if "values" in given or not given:
                raise ValueError("say a list of the values kept, {not: [...]}, {empty: true} or {empty: false}")
            return given
        return {"values": given}

    @field_validator("values", "excluded", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        listed = given if isinstance(given, (list, tuple)) else [given]
        return tuple(None if value is None else _text(value) for value in listed)

    def keeps(self, text: str) -> str:
        """SQL that is true where a value, given as the SQL of its `comparable` text, keeps its row.

        >>> RowRule.model_validate({"empty": True}).keeps("w0")
        "(w0 = '')"
        """
        conditions = []
        if self.values is not None:
            conditions.append(f"{text} in ({_literals(self.values)})" if self.values else "false")
        if self.excluded:
            conditions.append(f"{text} not in ({_literals(self.excluded)})")
        if self.empty is not None:
            conditions.append(f"{text} {'=' if self.empty else '<>'} ''")
        return f"({' and '.join(conditions) or 'true'})"

    @property
    def named(self) -> tuple[str, ...]:
        """Values that the rule names, empty ones aside."""
        return tuple(value for value in (*(self.values or ()), *(self.excluded or ())) if value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        raise ValueError(f"expected a text, got {str(value)[:40]!r}")
    return str(value)


def comparable(text: str) -> str:
    """SQL for a text as rules compare it; an empty one for null.

    >>> same = f"select {comparable(quote_literal(' Annulé '))} = {comparable(quote_literal('ANNULE' + chr(769)))}"
    >>> duckdb.execute(same).fetchone()
    (True,)
    """
    return f"coalesce(lower(nfc_normalize(trim({text}, {quote_literal(SPACES)}))), '')"


def _literals(values: tuple[str | None, ...]) -> str:
    return ", ".join(comparable(quote_literal(value or "")) for value in values)


def keep_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    relation: str,
    rules: Mapping[str, RowRule],
    texts: Mapping[str, str],
    may_be_empty: bool = False,
) -> tuple[dict[str, int], list[str]]:
    """Delete the rows that a rule does not keep from a staged table.

    Parameters
    ----------
    connection
        Where `relation` is.
    table
        Name of the table, for messages.
    relation
        A table of DuckDB; its rows keep their order.
    rules
        By the column of the source.
    texts
        Of each such column: the column of `relation` with its value, as `comparable` text.
    may_be_empty
        No row need be left.

    Returns
    -------
    dict of str to int, list of str
        Rows left out by each rule, the first that does not keep a row; and a note on each value that a rule names and
        no row has.

    Raises
    ------
    DataError
        No row is left, and one must be.
    """
    if not rules:
        return {}, []
    broken = _broken(rules, texts)
    rows = dict(connection.execute(f"select {broken} as n, count(*) from {relation} group by n").fetchall())
    counts = {column: _counts(connection, relation, texts[column]) for column in rules}
    if rows and not rows.get(-1) and not may_be_empty:
        raise DataError(f"{table}: where leaves no row: {'; '.join(_has(c, counts[c]) for c in rules)}; correct it")
    connection.execute(f"delete from {relation} where {broken} >= 0")
    left_out = {f"where: {column}": rows[n] for n, column in enumerate(rules) if rows.get(n)}
    return left_out, [
        note for column, rule in rules.items() for note in _unseen(connection, column, rule, counts[column])
    ]


def rows_left_out(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    rules: Mapping[str, RowRule],
    texts: Mapping[str, str],
    columns: Mapping[str, str],
) -> pd.DataFrame:
    """Of the rows that `keep_rows` would delete these columns: by name, the SQL of each."""
    selected = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    where = f"{_broken(rules, texts)} >= 0" if rules else "false"
    return connection.execute(f"select {selected} from {relation} where {where}").df()


def _broken(rules: Mapping[str, RowRule], texts: Mapping[str, str]) -> str:
    """SQL for the number of the first rule that does not keep a row; -1 where all do."""
    cases = " ".join(f"when not {rule.keeps(texts[column])} then {n}" for n, (column, rule) in enumerate(rules.items()))
    return f"case {cases} else -1 end"


def _counts(connection: duckdb.DuckDBPyConnection, relation: str, text: str) -> dict[str, int]:
    query = f"select {text} as value, count(*) as n from {relation} group by value order by n desc, value limit 10000"
    return dict(connection.execute(query).fetchall())


def _has(column: str, counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{value[:40]!r} ({rows:,})" for value, rows in list(counts.items())[:SHOWN])
    return f"'{column}' holds {shown}{' and others' if len(counts) > SHOWN else ''}"


def _unseen(connection: duckdb.DuckDBPyConnection, column: str, rule: RowRule, counts: Mapping[str, int]) -> list[str]:
    queries = {value: f"select {comparable(quote_literal(value))}" for value in rule.named}
    found = {value: connection.execute(query).fetchall()[0][0] for value, query in queries.items()}
    unseen = [value for value, text in found.items() if text not in counts]
    return [f"where: no row has {value[:40]!r} in '{column}'; {_has(column, counts)}" for value in unseen]
