"""How a value is read: SQL for DuckDB that makes a number or a time of a text; put together and never run here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from features.numbers import reading
from features.sources.mapping import EPOCHS, Times
from features.sql import quote_literal
from features.tables import QUOTED_APOSTROPHE

NUMERIC = re.compile(r"^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w*INT\w*|FLOAT|DOUBLE|DECIMAL.*)$")
NULL_TEXT = "null::varchar"
ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)?)?$"
OFFSET = r":\d{2}([.,]\d+)?\s*(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
UTC_FORM = re.compile("(?<!%)Z$|UTC|GMT")  # a format that says itself that its times are in UTC
USUAL_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?$"
DAY_OR_MONTH_FIRST = r"^\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})\b"


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


def as_text(column: str, kind: str, trim: bool = False) -> str:
    """SQL for a value as text; a whole number never ends in .0."""
    text = column if kind == "VARCHAR" else f"cast({column} as varchar)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"{column} = floor({column}) and abs({column}) < 1e15"
        text = f"case when {whole} then cast(cast({column} as hugeint) as varchar) else {text} end"
    return _trimmed(text) if trim else text


def _trimmed(text: str) -> str:
    """SQL for a text without spaces at its ends; most have none, and to look is quicker than to cut."""
    return f"(case when starts_with({text}, ' ') or ends_with({text}, ' ') then trim({text}) else {text} end)"


def number_expression(sql: str, kind: str, sign: str, declared: bool, shared: SharedExpressions) -> ColumnExpression:
    """A column of DuckDB's type `kind` as numbers, read by its decimal `sign`, which the mapping may have declared."""
    if NUMERIC.match(kind):
        return ColumnExpression(f"cast({sql} as double)")
    if kind != "VARCHAR":
        return ColumnExpression("null::double", as_text(sql, kind))
    value = shared.add(reading.value_sql(shared.add(reading.clean_sql(sql)), sign, declared))
    return ColumnExpression(value, _unread(sql, value))


def time_expression(name: str, sql: str, kind: str, times: Times, shared: SharedExpressions) -> ColumnExpression:
    """A column of DuckDB's type `kind` as times in UTC; `name` is what reasons call it.

    When a row was recorded needs no telling of moments from dates: a record of midnight is known at that midnight.
    """
    read = _time(name, sql, kind, times, shared)
    return replace(read, value=_without_tick(shared.add(read.value))) if name == "recorded_at" else read


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
    doubt = f"case when {usual} then false else regexp_matches({text}, {quote_literal(DAY_OR_MONTH_FIRST)}) end"
    problem = f'may have day or month first, say times: {{{name}: {{format: "%d/%m/%Y"}}}} or as it is written'
    return ColumnExpression(value, _unread(text, value), _reason(name, text, doubt, problem))


def _epoch(number: str, per_second: int) -> str:
    return f"try(make_timestamp(cast(round(cast({number} as double) * {1_000_000 // per_second}) as bigint)))"


def _moment(time: str, shared: SharedExpressions) -> str:
    """SQL for a time in UTC that is no date alone, as its offset tells: midnight becomes a microsecond later."""
    time = shared.add(time)
    return f"(case when {time} = date_trunc('day', {time}) then {time} + interval 1 microsecond else {time} end)"


def _without_tick(time: str) -> str:
    """SQL that undoes `_moment`."""
    midnight = f"date_trunc('day', {time})"
    return f"(case when {time} = {midnight} + interval 1 microsecond then {midnight} else {time} end)"


def _in_utc(naive: str, zone: str, shared: SharedExpressions) -> str:
    """SQL for a time of a zone in UTC; a date alone stays that date, at midnight UTC, whatever the zone.

    A time of day that is midnight in UTC is a `_moment`.
    """
    if zone == "UTC":
        return naive
    naive = shared.add(naive)
    moment = f"{naive} at time zone {quote_literal(zone)}"
    time = shared.add(f"make_timestamp(epoch_us({moment}))")  # as `at time zone 'UTC'`, in half the time
    return f"(case when {naive} = date_trunc('day', {naive}) then {naive} else {_moment(time, shared)} end)"


def _unread(text: str, value: str) -> str:
    """SQL for the text of a value that is there and could not be read."""
    return f"case when ({value}) is null then case when trim({text}) <> '' then {text} end end"


def _reason(name: str, text: str, when: str, problem: str) -> str:
    quoted = f"replace(left(trim({text}), 40), '''', '{QUOTED_APOSTROPHE}')"
    value = f"'''', {quoted}, ''''"
    return f"case when {when} then concat({quote_literal(name + ': ')}, {value}, {quote_literal(' ' + problem)}) end"
