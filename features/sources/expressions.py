"""How a piece of text is read: SQL for DuckDB, put together and never run here.

A `PartReader` reads the values of one part of a table as `features.sources.mapping` says.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from configs.errors import ConfigError, nearest
from features.numbers import reading
from features.sources.mapping import EPOCHS, Numbers, TableMapping, Times
from features.sources.rows.ids import repaired
from features.sql import quote_literal
from features.tables import QUOTED_APOSTROPHE, TABLES

NUMERIC = re.compile(r"^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w*INT\w*|FLOAT|DOUBLE|DECIMAL.*)$")
NULL_TEXT = "null::varchar"
ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?)?$"
OFFSET = r":\d{2}([.,]\d+)?\s*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
UTC_FORM = re.compile("(?<!%)Z$|UTC|GMT")  # a format that says itself that its times are in UTC
UNKNOWN_DAYS = ("0001-01-01", "1753-01-01", "1899-12-30", "1900-01-01", "1970-01-01")  # at midnight: no date
UNKNOWN_DATE = (  # the same as text, and the 0000-00-00 of MySQL
    r"^(0000[-/]00[-/]00|00[./-]00[./-]0000|(0001|1753|1900|1970)[-/]0?1[-/]0?1|0?1[./-]0?1[./-](0001|1753|1900|1970)"
    r"|1899[-/]12[-/]30|30[./-]12[./-]1899|12/30/1899)"
    r"([T ]+(0?0:00(:00([.,]0+)?)?|12:00(:00)? ?AM))? ?(Z|UTC|\+00:?00)?$"
)
USUAL_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?$"
DAY_OR_MONTH_FIRST = r"^\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})\b"


@dataclass(frozen=True)
class Part:
    """One file, or one query's result, in DuckDB.

    Attributes
    ----------
    label
        What people call it.
    relation
        Its table or view.
    columns
        Of every column by its own name: the name in `relation`, and the DuckDB type.
    rejected
        A reason for each line that is no row.
    reason
        A column of `relation` with a reason against the row, or None.
    notes
        How it was read, with every guess.
    read_elsewhere
        Columns that another entry of the table reads from the same file.
    """

    label: str
    relation: str
    columns: Mapping[str, tuple[str, str]]
    rejected: Sequence[str] = ()
    reason: str | None = None
    notes: Sequence[str] = ()
    read_elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ColumnExpression:
    """SQL of one column: its value, its original text where it cannot be read, a reason that only the source knows."""

    value: str
    unread: str = NULL_TEXT
    reason: str = NULL_TEXT


class SharedExpressions:
    """Expressions that are computed once a row, however often they are used."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}

    def add(self, sql: str) -> str:
        """A name for an expression; it may use the names given before."""
        name = f"s{len(self._by_name)}"
        self._by_name[name] = sql
        return name

    def over(self, relation: str) -> str:
        """The relation with all expressions as further columns."""
        for name, sql in self._by_name.items():
            relation = f"(select *, {sql} as {name} from {relation})"
        return relation


class PartReader:
    """One part of a table, as SQL that reads its values.

    Parameters
    ----------
    table
        Name of the table, as in `features.tables.TABLES`.
    mapping
        What the columns mean.
    part
        The part.
    names
        Columns to read, in order.
    zone
        Times without an offset from UTC are in it, unless the mapping says otherwise of their column.

    Attributes
    ----------
    types
        DuckDB type of each column once it is read; empty where the part has no such column.
    shared
        What several expressions of `select` may use.
    placeholders
        Of columns that may be empty: SQL that is true where a value says that it is, as ``N/A`` does.
    unknown_dates
        Of columns of times: SQL that is true where a value stands for an unknown one, as ``1900-01-01`` does.
    """

    def __init__(self, table: str, mapping: TableMapping, part: Part, names: Sequence[str], zone: str = "UTC") -> None:
        self.mapping, self.part, self.names, self._zone = mapping, part, names, zone
        self._kinds = {f.name: f.kind for f in TABLES[table].fields}
        self._filled = {f.name for f in TABLES[table].fields if not f.nullable}
        self.shared = SharedExpressions()
        self.placeholders: dict[str, str] = {}
        self.unknown_dates: dict[str, str] = {}
        self._raw = {n: self._raw_column(n) for n in names}
        self.types = {n: self._type(n) for n in names}

    def _raw_column(self, name: str) -> tuple[str, str]:
        """SQL and type of a column before it is read; values are replaced and ids repaired already."""
        repairs = self.mapping.ids.get(name)
        if not repairs:
            return self.unrepaired(name)
        return repaired(as_text(*self.unrepaired(name), trim=True), repairs), "VARCHAR"

    def unrepaired(self, name: str) -> tuple[str, str]:
        """SQL and type of a column before it is read and its ids are repaired; values are replaced already."""
        if name in self.mapping.constants:
            return quote_literal(self.mapping.constants[name]) + "::varchar", "VARCHAR"
        column, kind = self.part.columns.get(self.mapping.source_name(name), (NULL_TEXT, "VARCHAR"))
        replaced = self.mapping.values.get(name)
        if not replaced:
            return self._without_placeholders(name, column, kind), kind
        text = as_text(column, kind)
        cases = " ".join(
            f"when {quote_literal(old.strip())} then {'null' if new is None else quote_literal(new)}"
            for old, new in replaced.items()
        )
        return self._without_placeholders(name, f"(case trim({text}) {cases} else {text} end)", "VARCHAR"), "VARCHAR"

    def _without_placeholders(self, name: str, column: str, kind: str) -> str:
        """SQL of a column in which ``N/A`` and its like are empty, where a number or a time may be."""
        if column == NULL_TEXT:
            return column
        if kind == "VARCHAR" and self._role(name) in ("number", "time") and name not in self._filled:
            self.placeholders[name] = reading.is_placeholder_sql(column)
        if self._kinds.get(name) == "time" and (unknown := self._unknown_date(name, column, kind)):
            self.unknown_dates[name] = unknown
        empty = [sql[name] for sql in (self.placeholders, self.unknown_dates) if name in sql]
        return f"(case when {' or '.join(empty)} then null else {column} end)" if empty else column

    def _unknown_date(self, name: str, column: str, kind: str) -> str:
        """SQL that is true where a time is one that systems write for an unknown one; empty: it cannot be."""
        if any(form in EPOCHS for form in self.mapping.times.get(name, Times()).format):
            return f"(try_cast({column} as double) = 0)"
        if kind == "VARCHAR":
            return f"regexp_matches(trim({column}), {quote_literal(UNKNOWN_DATE)})"
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            at = f"{column} at time zone 'UTC'" if kind.startswith("TIMESTAMP WITH") else column
            days = ", ".join(f"timestamp '{day}'" for day in UNKNOWN_DAYS)
            return f"(cast({at} as timestamp) in ({days}))"
        return ""

    def _role(self, name: str) -> str:
        if name in self.mapping.times:
            return "time"
        return "number" if name in self.mapping.numbers else self._kinds.get(name, "text")

    def _type(self, name: str) -> str:
        role, (sql, kind) = self._role(name), self._raw[name]
        if role in ("time", "number"):
            return {"time": "TIMESTAMP", "number": "DOUBLE"}[role]
        return "" if sql == NULL_TEXT else kind

    @property
    def undecided(self) -> list[str]:
        """Columns of numbers written as text whose decimal sign the mapping does not give."""
        texts = [n for n in self.names if self._role(n) == "number" and self._raw[n][1] == "VARCHAR"]
        return [n for n in texts if n not in self.mapping.constants and not self._declared(n)]

    def _declared(self, name: str) -> str | None:
        given = self.mapping.numbers.get(name)
        return given.decimal if given else None

    def evidence(self, names: Sequence[str]) -> str:
        """Statement that gives the four values of `features.numbers.reading.SignEvidence` for each of these columns."""
        counts = ", ".join(reading.evidence_sql(self._raw[n][0]) for n in names)
        return f"select {counts} from {self.part.relation}"

    @property
    def times(self) -> list[str]:
        """Columns of times that the part has."""
        return [n for n in self.names if self._role(n) == "time" and self._raw[n][0] != NULL_TEXT]

    def zone_of(self, name: str) -> str:
        """The zone of the times of a column that have no offset."""
        return self.mapping.times.get(name, Times()).zone or self._zone

    def count_offsets(self, names: Sequence[str]) -> str:
        """Statement that counts, for each of these columns of times, those with an offset and those without.

        Dates alone are neither; epochs have an offset, as they count from a moment in UTC.
        """
        counts = ", ".join(f"count_if({with_}), count_if({without})" for with_, without in map(self._offsets, names))
        return f"select {counts} from {self.part.relation}"

    def _offsets(self, name: str) -> tuple[str, str]:
        sql, kind = self._raw[name]
        if kind.startswith("TIMESTAMP WITH"):
            return f"{sql} is not null", "false"
        if kind.startswith("TIMESTAMP"):
            return "false", f"{sql} <> date_trunc('day', {sql})"
        text = as_text(sql, kind, trim=True)
        offset = f"regexp_matches({text}, {quote_literal(OFFSET)})"
        return offset, f"contains({text}, ':') and not {offset}"

    def raw(self, name: str) -> tuple[str, str]:
        """SQL and DuckDB type of a column before it is read."""
        return self._raw[name]

    def select(
        self,
        signs: Mapping[str, str],
        as_texts: Container[str],
        currency: ColumnExpression | None = None,
        further: Sequence[str] = (),
    ) -> str:
        """Statement that gives, for column k, ``v{k}`` and ``t{k}`` (its text where unreadable), ``cur`` and ``why``.

        Parameters
        ----------
        signs
            The decimal sign of each column in `undecided`, see `features.numbers.reading.SignEvidence`.
        as_texts
            Columns whose value is given as text.
        currency
            Of each row; None: there is no column ``cur``.
        further
            SQL of columns that come after these.
        """
        shared = self.shared
        expressions = [self._expression(n, signs, shared, currency) for n in self.names]
        columns = []
        for k, (name, column) in enumerate(zip(self.names, expressions, strict=True)):
            value = as_text(column.value, self.types[name] or "VARCHAR") if name in as_texts else column.value
            columns.append(f"{value} as v{k}, {column.unread} as t{k}")
        if currency is not None:
            expressions.append(currency)
            columns.append(f"{currency.value} as cur")
        reasons = [c.reason for c in expressions if c.reason != NULL_TEXT]
        reasons += [self.part.reason] if self.part.reason else []
        why = f"nullif(concat_ws('; ', {', '.join(reasons)}), '')" if reasons else NULL_TEXT
        return f"select {', '.join([*columns, f'{why} as why', *further])} from {shared.over(self.part.relation)}"

    def _expression(
        self, name: str, signs: Mapping[str, str], shared: SharedExpressions, currency: ColumnExpression | None
    ) -> ColumnExpression:
        role, (sql, kind) = self._role(name), self._raw[name]
        if role == "time":
            times = self.mapping.times.get(name, Times())
            return _time(name, sql, kind, times.model_copy(update={"zone": self.zone_of(name)}), shared)
        if role == "number":
            scale, declared = _scale(name, self.mapping.numbers.get(name), currency), self._declared(name)
            sign = declared or signs.get(name, "none")
            factors, reason = self._factors(name, sign, shared)
            number = _number(sql, kind, sign, declared is not None, scale + factors, shared)
            return replace(number, reason=reason)
        return ColumnExpression(sql)

    def _factors(self, name: str, sign: str, shared: SharedExpressions) -> tuple[str, str]:
        """SQL that multiplies and divides a number by other columns, and a reason against rows where these are none.

        Factors are read as the number is, whose decimal `sign` is given; where it has none that tells, a factor that
        may be 1.5 or 1,500 is none.

        Raises
        ------
        ConfigError
            There is no such column.
        """
        given, factors, reasons = self.mapping.numbers.get(name, Numbers()), "", []
        for operator, column in (("*", given.times), ("/", given.per)):
            if column is None:
                continue
            if column not in self.part.columns:
                known = nearest(column, self.part.columns)
                raise ConfigError(f"numbers: {name}: {self.part.label} has no column '{column}'{known}")
            sql, kind = self.part.columns[column]
            number = _number(sql, kind, sign, given.decimal is not None, "", shared)
            fits = f"{number.value} {'>= 0' if operator == '*' else '> 0'}"
            empty = f"({sql} is null)"
            if kind == "VARCHAR":
                empty = f"(coalesce(trim({sql}), '') = '' or {reading.is_placeholder_sql(sql)})"
                if sign not in (",", "."):
                    doubt = f"regexp_matches({reading.clean_sql(sql)}, {quote_literal(reading.IN_DOUBT)})"
                    fits = f"({fits} and not {doubt})"
            fits = f"coalesce({fits}, false)"
            factors += f" {operator} (case when {empty} then 1.0 when {fits} then {number.value} end)"
            what = "no number from 0 on" if operator == "*" else "no number above 0"
            reason = quote_literal(f"{name}: {column} is {what}")
            reasons.append(f"case when not {empty} and not {fits} then {reason} end")
        return factors, f"coalesce({', '.join(reasons)})" if reasons else NULL_TEXT


def as_text(column: str, kind: str, trim: bool = False) -> str:
    """SQL for a value as text; a whole number never ends in .0."""
    text = column if kind == "VARCHAR" else f"cast({column} as varchar)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"{column} = floor({column}) and abs({column}) < 1e15"
        text = f"case when {whole} then cast(cast({column} as hugeint) as varchar) else {text} end"
    return f"trim({text})" if trim else text


def _scale(name: str, given: Numbers | None, currency: ColumnExpression | None) -> str:
    """SQL that divides a number by its scale; empty where there is none.

    Raises
    ------
    ConfigError
        The scale goes by the currency, and nothing tells it.
    """
    if given is None or given.scale == 1:
        return ""
    if given.scale != "minor":
        return f" / {given.scale!r}"
    if currency is None or currency.value == NULL_TEXT:
        raise ConfigError(f"numbers: {name}: scale: minor needs `currency`, a column or a code, in the same table")
    return f" / {reading.minor_units_sql(currency.value)}"


def _number(sql: str, kind: str, sign: str, declared: bool, scale: str, shared: SharedExpressions) -> ColumnExpression:
    if NUMERIC.match(kind):
        return ColumnExpression(f"cast({sql} as double){scale}")
    if kind != "VARCHAR":
        return ColumnExpression("null::double", as_text(sql, kind))
    value = shared.add(reading.value_sql(shared.add(reading.clean_sql(sql)), sign, declared))
    return ColumnExpression(f"{value}{scale}", _unread(sql, value))


def _time(name: str, sql: str, kind: str, times: Times, shared: SharedExpressions) -> ColumnExpression:
    epoch = [form for form in times.format if form in EPOCHS]
    zone = times.zone or "UTC"
    if epoch and NUMERIC.match(kind):
        return ColumnExpression(_moment(_epoch(sql, EPOCHS[epoch[0]]), shared))
    if kind.startswith("TIMESTAMP WITH"):
        return ColumnExpression(_moment(f"({sql} at time zone 'UTC')", shared))
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return ColumnExpression(_in_utc(f"cast({sql} as timestamp)", zone, shared))
    text = as_text(sql, kind, trim=True)
    return (
        _by_formats(name, text, times.format, zone, shared) if times.format else _year_first(name, text, zone, shared)
    )


def _by_formats(name: str, text: str, forms: Sequence[str], zone: str, shared: SharedExpressions) -> ColumnExpression:
    text = shared.add(text)
    readings = [shared.add(_by_format(text, form, zone, shared)) for form in forms]
    swapped = [
        f"(year({a}) = year({b}) and month({a}) = day({b}) and day({a}) = month({b}) and day({a}) <> month({a}))"
        for n, a in enumerate(readings)
        for b in readings[n + 1 :]
    ]
    doubt = f"coalesce({' or '.join(swapped)}, false)" if swapped else "false"
    first = f"coalesce({', '.join(readings)})"
    value = shared.add(f"case when {doubt} then null::timestamp else {first} end")
    lost = f"({text} <> '' and {first} is null)"
    formats = ", ".join(f"'{form}'" for form in forms)
    several = _reason(name, text, doubt, f"may have day or month first, both formats are told ({formats}), leave one")
    none = _reason(name, text, lost, f"is not a time of the format {formats}")
    return ColumnExpression(value, _unread(text, value), f"coalesce({several}, {none})")


def _by_format(text: str, form: str, zone: str, shared: SharedExpressions) -> str:
    if form in EPOCHS:
        return _moment(_epoch(f"try_cast({text} as double)", EPOCHS[form]), shared)
    parsed = f"try_strptime({text}, {quote_literal(form)})"
    if re.search("%[zZ]", form):
        return _moment(f"({parsed} at time zone 'UTC')", shared)
    parsed = shared.add(parsed)
    has_hour = re.search("%[HIcXfsT]", form)
    is_utc = UTC_FORM.search(form)
    time = _moment(parsed, shared) if is_utc and has_hour else _in_utc(parsed, "UTC" if is_utc else zone, shared)
    return f"(case when year({parsed}) >= 1000 then {time} end)"


def _year_first(name: str, text: str, zone: str, shared: SharedExpressions) -> ColumnExpression:
    text = shared.add(text)
    usual = shared.add(f"regexp_matches({text}, {quote_literal(USUAL_TIME)})")  # most are, and need nothing below
    dashed = f"replace(replace({text}, '/', '-'), ',', '.')"
    iso = f"regexp_matches({text}, {quote_literal(ISO)})"
    offset = f"regexp_matches({text}, {quote_literal(OFFSET)})"
    bare = f"regexp_replace({dashed}, '\\s*(Z|z|UTC|GMT)$', '+00')"
    full = f"regexp_replace({bare}, '^([0-9-]+)[T ](\\d+:\\d+)\\s*([+-].*)?$', '\\1 \\2:00\\3')"
    other = shared.add(f"case when not {usual} then {full} end")
    has_offset = shared.add(f"case when {usual} then false else {iso} and {offset} end")
    zoned = f"try_cast(regexp_replace({other}, '\\s+([+-])', '\\1') as timestamptz) at time zone 'UTC'"
    zoned = _moment(f"case when {has_offset} then {zoned} end", shared)
    local = f"try_cast({other} as timestamp)"
    compact = f"try_strptime({text}, ['%Y%m%d', '%Y%m%dT%H%M%S'])"
    any_naive = f"case when not {iso} then {compact} when not {has_offset} then {local} end"
    naive = shared.add(f"case when {usual} then try_cast({text} as timestamp) else {any_naive} end")
    value = shared.add(f"case when {has_offset} then {zoned} else {_in_utc(naive, zone, shared)} end")
    doubt = f"regexp_matches({text}, {quote_literal(DAY_OR_MONTH_FIRST)})"
    problem = f'may have day or month first, say times: {{{name}: {{format: "%d/%m/%Y"}}}} or as it is written'
    return ColumnExpression(value, _unread(text, value), _reason(name, text, doubt, problem))


def _epoch(number: str, per_second: int) -> str:
    return f"try(make_timestamp(cast(round(cast({number} as double) * {1_000_000 // per_second}) as bigint)))"


def _moment(time: str, shared: SharedExpressions) -> str:
    """SQL for a time in UTC that is no date alone, as its offset tells: midnight becomes a microsecond later."""
    time = shared.add(time)
    return f"(case when {time} = date_trunc('day', {time}) then {time} + interval 1 microsecond else {time} end)"


def _in_utc(naive: str, zone: str, shared: SharedExpressions) -> str:
    """SQL for a time of a zone in UTC; a date alone stays that date, at midnight UTC, whatever the zone.

    A time of day that is midnight in UTC is a `_moment`.
    """
    if zone == "UTC":
        return naive
    naive = shared.add(naive)
    time = shared.add(f"{naive} at time zone {quote_literal(zone)} at time zone 'UTC'")
    return f"(case when {naive} = date_trunc('day', {naive}) then {naive} else {_moment(time, shared)} end)"


def _unread(text: str, value: str) -> str:
    """SQL for the text of a value that is there and could not be read."""
    return f"case when trim({text}) <> '' and ({value}) is null then {text} end"


def _reason(name: str, text: str, when: str, problem: str) -> str:
    quoted = f"replace(left(trim({text}), 40), '''', '{QUOTED_APOSTROPHE}')"
    value = f"'''', {quoted}, ''''"
    return f"case when {when} then concat({quote_literal(name + ': ')}, {value}, {quote_literal(' ' + problem)}) end"
