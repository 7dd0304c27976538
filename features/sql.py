"""SQL text: names and strings, written so that no character of theirs can end them, and queries as of any date.

Every connection to DuckDB is opened here, or is told `QUIET`.

What DuckDB and SQLite take as it stands; another database's quotes are an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUIET = "set enable_progress_bar = false"
FIRST, SECOND = datetime(1999, 12, 31, 23, 59, 58), datetime(2011, 10, 9, 8, 7, 6)


def connect_duckdb(database: str = ":memory:", **options: Any) -> DuckDBPyConnection:
    """Open a DuckDB database.

    Where Python has no script file (a notebook, ``python -c``), DuckDB prints a progress bar to the standard output
    after two seconds, into what ``--json`` prints.

    Parameters
    ----------
    database
        The file; a database in memory if left out.
    options
        Of `duckdb.connect`.
    """
    import duckdb

    connection = duckdb.connect(database, **options)
    connection.execute(QUIET)
    return connection


def quote_literal(text: str) -> str:
    """A text as a string literal.

    >>> quote_literal("O'Hara; --")
    "'O''Hara; --'"
    """
    return "'" + text.replace("'", "''") + "'"


def quote_identifier(name: str, opening: str = '"') -> str:
    """One name, of a table or a column, as an identifier.

    Parameters
    ----------
    name
        The name, unquoted; a dot is part of it.
    opening
        What the database opens an identifier with: ``"``, a backtick or ``[``.

    Examples
    --------
    >>> print(quote_identifier('a"b'), quote_identifier("a]b", "["))
    "a""b" [a]]b]
    """
    closing = "]" if opening == "[" else opening
    return opening + name.replace(closing, closing * 2) + closing


def quote_qualified(name: str, opening: str = '"') -> str:
    """``schema.table`` as identifiers, each part by itself.

    >>> print(quote_qualified("sales.orders"))
    "sales"."orders"
    """
    return ".".join(quote_identifier(part, opening) for part in name.split("."))


_KEPT: dict[Hashable, tuple[list[str], bool]] = {}
_KEPT_AT_MOST = 32  # a business needs three


def _keep(key: Hashable, compiled: tuple[list[str], bool]) -> None:
    while len(_KEPT) >= _KEPT_AT_MOST:
        _KEPT.pop(next(iter(_KEPT), None), None)
    _KEPT[key] = compiled


class AsOfStatements:
    """Statements that depend on a date, for DuckDB: compiled for two dates, and written for any other from those.

    A date stands in them as a time and as seconds since 1970. If this is not all that tells the statements of the one
    date from those of the other, every date is compiled.

    Parameters
    ----------
    compile_at
        The statements as of a date (UTC without a zone).
    dates
        The two dates: if what is asked depends on where a date lies, two like those to come.
    key
        Equal where the statements as of both dates are equal, and nowhere else: those are compiled once in a process.
        None: they are compiled.
    differ_by_dates
        Whether it is known of the statements as of both dates that nothing but the date tells them apart; where it is
        not, those of the second date are compiled, too, and compared.
    """

    def __init__(
        self,
        compile_at: Callable[[datetime], Sequence[str]],
        dates: tuple[datetime, datetime] = (FIRST, SECOND),
        key: Hashable = None,
        differ_by_dates: Callable[[], bool] = lambda: False,
    ) -> None:
        self._compile, self._first = compile_at, dates[0]
        if kept := _KEPT.get(key) if key else None:
            self._template, self._fixed = kept
            return
        self._template = list(compile_at(self._first))
        self._fixed = differ_by_dates() or self._written(dates[1]) == list(compile_at(dates[1]))
        if key:
            _keep(key, (self._template, self._fixed))

    def at(self, as_of: datetime) -> list[str]:
        """The statements as of a date."""
        return self._written(as_of) if self._fixed and not as_of.microsecond else list(self._compile(as_of))

    def _written(self, as_of: datetime) -> list[str]:
        return [respelled(statement, self._first, as_of) for statement in self._template]


def respelled(statement: str, date: datetime, other: datetime) -> str:
    """A statement as of a date, as of another: both ways in which a date stands in it."""
    (time, seconds), (new_time, new_seconds) = _spellings(date), _spellings(other)
    return statement.replace(time, new_time).replace(seconds, new_seconds)


def _spellings(as_of: datetime) -> tuple[str, str]:
    """How a date stands in the SQL: as a time, and as seconds since 1970."""
    parts = (as_of.year, as_of.month, as_of.day, as_of.hour, as_of.minute, f"{as_of.second}.0")
    return f"MAKE_TIMESTAMP({', '.join(map(str, parts))})", str(int((as_of - datetime(1970, 1, 1)).total_seconds()))
