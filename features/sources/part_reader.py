"""How one part of a table, a file or a query's result, is read by the mapping: SQL, put together and never run here."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from configs.errors import ConfigError, nearest
from features.numbers import reading
from features.sources.expressions import (
    NULL_TEXT,
    OFFSET,
    ColumnExpression,
    SharedExpressions,
    as_text,
    number_expression,
    time_expression,
)
from features.sources.mapping import EPOCHS, Numbers, TableMapping, Times
from features.sources.rows.ids import repaired
from features.sql import quote_literal
from features.tables import TABLES

UNKNOWN_DAYS = ("0001-01-01", "1753-01-01", "1899-12-30", "1900-01-01", "1970-01-01")  # at midnight: no date
UNKNOWN_DATE = (  # the same as text, and the 0000-00-00 of MySQL
    r"^(0000[-/]00[-/]00|00[./-]00[./-]0000|(0001|1753|1900|1970)[-/]0?1[-/]0?1|0?1[./-]0?1[./-](0001|1753|1900|1970)"
    r"|1899[-/]12[-/]30|30[./-]12[./-]1899|12/30/1899)"
    r"([T ]+(0?0:00(:00([.,]0+)?)?|12:00(:00)? ?AM))? ?(Z|UTC|\+00:?00)?$"
)


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
    pays_back
        Its amounts take back those of other entries: where one is 0, nothing was paid back.
    """

    label: str
    relation: str
    columns: Mapping[str, tuple[str, str]]
    rejected: Sequence[str] = ()
    reason: str | None = None
    notes: Sequence[str] = ()
    read_elsewhere: frozenset[str] = frozenset()
    pays_back: bool = False


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
            written = f"regexp_matches(trim({column}), {quote_literal(UNKNOWN_DATE)})"
            return f"(case when {column} >= '2' and {column} < '3' then false else {written} end)"  # none begins with 2
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

    @property
    def factors_undecided(self) -> dict[str, tuple[str, str]]:
        """Factors written as text whose decimal sign the mapping does not give: of each its number and its column."""
        return {
            _factor_name(n, column): (n, column)
            for n in self.names
            if not self._declared(n)
            for _, column in self.mapping.numbers.get(n, Numbers()).factors
            if self.part.columns.get(column, ("", ""))[1] == "VARCHAR"
        }

    def evidence(self, names: Sequence[str]) -> str:
        """Statement that gives four values of `features.numbers.reading.SignEvidence` for each of these columns.

        They are of `undecided` and `factors_undecided`.
        """
        texts = {name: self.part.columns[column][0] for name, (_, column) in self.factors_undecided.items()}
        counts = ", ".join(reading.evidence_sql(texts[n] if n in texts else self._raw[n][0]) for n in names)
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
            The decimal sign of each column in `undecided` and `factors_undecided`, see
            `features.numbers.reading.SignEvidence`.
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
            return time_expression(name, sql, kind, times.model_copy(update={"zone": self.zone_of(name)}), shared)
        if role == "number":
            given, declared = self.mapping.numbers.get(name, Numbers()), self._declared(name)
            sign = declared or signs.get(name, "none")
            factors, reason = self._factors(name, signs, shared)
            number = number_expression(sql, kind, sign, declared is not None, shared)
            value = f"{number.value}{_scale(name, given, currency)}{factors}"
            pays_back = self.part.pays_back and name == "amount"
            if given.turns_signs or pays_back:  # zero has no sign to turn, but a minus where nothing was paid back
                zero = "'-0.0'::double" if pays_back else "0.0::double"
                value = f"(case when {value} = 0 then {zero} else {value} end)"
            return replace(number, value=value, reason=reason)
        return ColumnExpression(sql)

    def _factors(self, name: str, signs: Mapping[str, str], shared: SharedExpressions) -> tuple[str, str]:
        """SQL that multiplies and divides a number by other columns, and a reason against rows where these are none.

        Raises
        ------
        ConfigError
            There is no such column.
        """
        given, factors, reasons = self.mapping.numbers.get(name, Numbers()), "", []
        for operator, column in given.factors:
            if column not in self.part.columns:
                known = nearest(column, self.part.columns)
                raise ConfigError(f"numbers: {name}: {self.part.label} has no column '{column}'{known}")
            sql, kind = self.part.columns[column]
            sign = given.decimal or signs.get(_factor_name(name, column), "none")
            number = number_expression(sql, kind, sign, given.decimal is not None, shared)
            fits = f"coalesce({number.value} {'>= 0' if operator == '*' else '> 0'}, false)"
            empty = f"({sql} is null)"
            if kind == "VARCHAR":
                empty = f"(coalesce(trim({sql}), '') = '' or {reading.is_placeholder_sql(sql)})"
            factors += f" {operator} (case when {empty} then 1.0 when {fits} then {number.value} end)"
            what = "no number from 0 on" if operator == "*" else "no number above 0"
            reason = quote_literal(f"{name}: {column} is {what}")
            reasons.append(f"case when not {empty} and not {fits} then {reason} end")
        return factors, f"coalesce({', '.join(reasons)})" if reasons else NULL_TEXT


def _factor_name(number: str, column: str) -> str:
    """What a factor of a number is called where signs are decided and asked about: no column of a table has a colon."""
    return f"{number}: {column}"


def _scale(name: str, given: Numbers, currency: ColumnExpression | None) -> str:
    """SQL that divides a number by its scale; empty where there is none.

    Raises
    ------
    ConfigError
        The scale goes by the currency, and nothing tells it.
    """
    if given.scale == 1:
        return ""
    if given.scale != "minor":
        return f" / {given.scale!r}"
    if currency is None or currency.value == NULL_TEXT:
        raise ConfigError(f"numbers: {name}: scale: minor needs `currency`, a column or a code, in the same table")
    return f" / {reading.minor_units_sql(currency.value)}"
