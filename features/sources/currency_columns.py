"""In which currency each row of a table has its amounts: told by a sign or code beside the number, or by a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from configs.errors import ConfigError, nearest
from features.numbers.currencies import CODES, NAMES, SHARED_SIGNS, are_currencies, currency_of
from features.numbers.reading import tokens_sql
from features.sources.expressions import NULL_TEXT, ColumnExpression, as_text
from features.sources.part_reader import Part, PartReader
from features.sources.rows.lines import NO_CURRENCY
from features.sources.rows.rules import comparable
from features.sql import quote_literal
from features.tables import MONEY, TABLES

MOST_CURRENCIES = 400
SAMPLE = 20_000


def currency_expressions(
    connection: duckdb.DuckDBPyConnection, table: str, readers: Sequence[PartReader]
) -> list[ColumnExpression | None]:
    """SQL for the currency of each row of each part of a table; None for all if nothing tells one.

    The value is a code of ISO 4217, or a sign of several currencies, or null where a row tells none. A row that tells
    two, or something that is no currency, has a reason.

    Raises
    ------
    ConfigError
        The mapping's ``currency`` is neither a column nor a code.
    """
    money = MONEY.get(table, ())
    parts = [_sources(connection, table, reader, money, readers) for reader in readers]
    if not any(parts):
        return [None] * len(readers)
    return [_expression(sources, reader) for sources, reader in zip(parts, readers, strict=True)]


def unread_currencies(
    connection: duckdb.DuckDBPyConnection, table: str, readers: Sequence[PartReader]
) -> dict[str, dict[str, int]]:
    """Columns that nobody reads and that look like currencies: by name or content; of each, its values and their rows.

    They are looked for where the mapping does not tell the currency, in tables with amounts.
    """
    found: dict[str, dict[str, int]] = {}
    for reader in readers:
        if reader.mapping.currency is not None or not {*MONEY.get(table, ())} & {*reader.names}:
            continue
        for name, (column, kind) in _spare(reader, table).items():
            text, rule = as_text(column, kind, trim=True), reader.mapping.where.get(name)
            values = _values(connection, reader.part, text, name, rule.keeps(comparable(text)) if rule else "true")
            for value, rows in values.items():
                told = found.setdefault(name, {})
                told[value] = told.get(value, 0) + rows
    return found


def _spare(reader: PartReader, table: str) -> dict[str, tuple[str, str]]:
    """Texts that are none of the table's own columns; of a ready table those are features, too."""
    used = {reader.mapping.source_name(name) for name in reader.names if name in TABLES[table].names}
    return {n: c for n, c in reader.part.columns.items() if n not in used and c[1] == "VARCHAR"}


def _values(connection: duckdb.DuckDBPyConnection, part: Part, text: str, name: str, kept: str) -> dict[str, int]:
    """Currencies in a column and their rows, of those kept; nothing if it holds others things, or none at all."""
    first = f"select {text} as x from {part.relation} where {text} <> '' and {kept} limit {SAMPLE}"
    seen = [
        row[0] for row in connection.execute(f"select distinct x from ({first}) limit {MOST_CURRENCIES}").fetchall()
    ]
    named = NAMES.search(name) and any(currency_of(value) for value in seen)
    if not named and not are_currencies(seen):
        return {}
    counted = _counts(connection, part, text, kept)
    return {currency_of(value) or value[:20]: rows for value, rows in counted.items()}


def _counts(connection: duckdb.DuckDBPyConnection, part: Part, text: str, kept: str = "true") -> dict[str, int]:
    counts = f"select {text}, count(*) from {part.relation} where {text} <> '' and {kept} group by 1 order by 2 desc, 1"
    return dict(connection.execute(f"{counts} limit {MOST_CURRENCIES}").fetchall())


def _sources(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    reader: PartReader,
    money: Iterable[str],
    readers: Sequence[PartReader],
) -> list[ColumnExpression]:
    """What tells the currency of a row of one part, the first that does counts."""
    tokens = [e for name in money if name in reader.names for e in _tokens(connection, reader, name)]
    given = reader.mapping.currency
    if given is None:
        return tokens
    columns = reader.part.columns
    if given in columns:
        return [*tokens, _column(connection, reader.part, as_text(*columns[given], trim=True))]
    if any(given in other.part.columns for other in readers):
        return tokens
    code = currency_of(given)
    if code not in CODES:
        known = f"{nearest(given, columns)}; there are {', '.join(columns)}"
        raise ConfigError(f"{table}: currency: '{given}' is neither a column nor a code of ISO 4217{known}")
    return [*tokens, ColumnExpression(quote_literal(code))]


def _tokens(connection: duckdb.DuckDBPyConnection, reader: PartReader, name: str) -> list[ColumnExpression]:
    """The currency before the numbers of a column, and the one behind, where there are any."""
    text, kind = reader.raw(name)
    if kind != "VARCHAR" or text == NULL_TEXT:
        return []
    out = []
    for token in tokens_sql(text):
        seen = connection.execute(
            f"select distinct {token} from {reader.part.relation} where regexp_matches({text}, '[^0-9.,+-]')"
        ).fetchall()
        codes = {value: code for (value,) in seen if value and (code := currency_of(value))}
        if codes:
            out.append(ColumnExpression(_as_code(token, codes)))
    return out


def _column(connection: duckdb.DuckDBPyConnection, part: Part, text: str) -> ColumnExpression:
    codes = {value: code for value in _counts(connection, part, text) if (code := currency_of(value))}
    unknown = " and ".join(f"{text} <> {quote_literal(value)}" for value in codes) or "true"
    value = f"concat('''', left({text}, 20), '''')"
    reason = (
        f"case when coalesce({text}, '') = '' then {quote_literal(NO_CURRENCY)} "
        f"when {unknown} then concat('currency: ', {value}, ' is no currency of ISO 4217') end"
    )
    return ColumnExpression(_as_code(text, codes), reason=reason)


def _as_code(text: str, codes: Mapping[str, str]) -> str:
    if not codes:
        return NULL_TEXT
    cases = " ".join(f"when {quote_literal(value)} then {quote_literal(code)}" for value, code in codes.items())
    return f"case {text} {cases} end"


def _expression(sources: Sequence[ColumnExpression], reader: PartReader) -> ColumnExpression:
    """The first code that a row tells, else the first sign; against a row that tells two currencies: a reason."""
    if not sources:
        return ColumnExpression(NULL_TEXT)
    told = [reader.shared.add(source.value) for source in sources]
    codes = ", ".join(f"case when length({value}) = 3 then {value} end" for value in told)
    currency = reader.shared.add(f"coalesce({codes}, {', '.join(told)})")
    is_constant = reader.mapping.currency is not None and reader.mapping.currency not in reader.part.columns
    others = told[:-1] if is_constant and len(told) > 1 else told
    apart = " or ".join(_differ(value, currency) for value in others)
    two = (
        f"case when {apart} then concat('currency: ''', concat_ws(''' and ''', {', '.join(told)}), ''' in one row') end"
    )
    reasons = [source.reason for source in sources if source.reason != NULL_TEXT]
    # a row whose sign tells its currency needs no column that does
    bare = " and ".join(f"{value} is null" for value, s in zip(told, sources, strict=True) if s.reason == NULL_TEXT)
    empty = [f"case when {bare or 'true'} then {reason} end" for reason in reasons]
    return ColumnExpression(currency, reason=f"coalesce({', '.join([two, *empty])})")


def _differ(told: str, currency: str) -> str:
    """SQL that is true where two currencies cannot be one; a sign may stand for any of its own."""
    signs = [
        f"({told} = {quote_literal(sign)} and {currency} in ({', '.join(map(quote_literal, codes))}))"
        for sign, codes in SHARED_SIGNS.items()
    ]
    return f"({told} <> {currency} and not ({' or '.join(signs)}))"
