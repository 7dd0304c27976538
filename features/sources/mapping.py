"""What the columns of any export mean: shared by the sources that take a mapping (files, databases).

A table's entry in ``source.options`` may say:

    columns: {order_id: Invoice, amount: Total}        our name: the name in the source; others keep theirs
    values: {kind: {tkt: ticket, "N/A": null}}         which value means what; others stay as they are
    times: {ordered_at: {format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}}    one format, or several, in order
    numbers: {amount: {decimal: ",", scale: 100}}      cents are divided by 100, signs turned by -1; in the table
                                                       attribute_changes of each attribute that is a number
    constants: {channel: web}                          a column with one value
    currency: Currency                                 the source's column, or the code, of the currency of all amounts
    number_rows: true                                  profiles without an id: customer_id is the number of the row
    may_be_empty: true                                 ``where`` may leave no row, as refunds of a month without any
    where: {Status: {not: [cancelled]}}                which rows count, see `features.sources.rows.rules`
    lines: {amount: once, quantity: sum}               one line an item, see `features.sources.rows.lines`
    ids: {customer_id: [salesforce]}                   repairs of ids, see `features.sources.rows.ids`

How a value is read, see `features.sources.part_reader` and `features.sources.expressions`:

- A *time* with formats is read by the first that fits. Where two formats tell different days by swapping day and
  month, the row is not usable: nothing is guessed. Without a format only year-first times are read
  (``2024-01-31 10:00``); ``03/04/2024`` needs a format. A time without an offset is in the column's `zone`, or else
  in the `time_zone` of the business; the hour that a clock in autumn shows twice is taken as the second one. A date
  alone, or a time without an offset at exactly midnight, stays that date in every zone and has no hour of the day. A
  time with an offset, or an epoch, is a moment also at midnight (kept a microsecond later), unless all times of its
  column are at midnight UTC: those are dates, and a note says so. ``recorded_at`` needs no such telling apart.
- A *number* may have thousands separators, a currency, a decimal comma. Which sign is the decimal one is decided by
  the values that leave no doubt (``1.234,50``): of the column in its file, else of the column in the other files, and
  of the file. Where nothing decides what ``1,234`` or ``1.234`` means, reading stops with the question.
- A *scale* divides: 100 for cents; ``minor`` for the smallest unit of each row's currency (the yen has no cents).
- *times* and *per* name further columns of the source, by which the number is multiplied and divided: the price of one
  times ``Quantity``, per ``Interval Count`` months. An empty one counts as one. Their decimal sign is
  the one declared for the number, or decided as that of a column of numbers is.
- A *currency* beside a number (``12.30 EUR``, ``$5``) tells its row's, before ``currency`` does. Amounts in another one
  than the business's are converted, see `features.sources.one_currency`.
- ``N/A`` and its like (`features.numbers.reading.PLACEHOLDERS`) are empty, where a number or time may be.
- A value that cannot be read stays as it came, and the check of the table gives the reason.

A reason that only the source knows stands in the column `REASON` of the raw table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

import duckdb
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator

from configs.errors import ConfigError, DataError, nearest
from configs.settings import Section, TimeZone, entries_of
from features.sources.rows.ids import Repair
from features.sources.rows.lines import Combine
from features.sources.rows.rules import RowRule
from features.tables import MONEY, TABLES, quote

OPEN_TABLES = ("customers", "profiles")
UNFILLED = "?"  # what `init` writes where a person has to decide
EPOCHS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}


def _scalar(value: object) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
        raise ValueError(f"expected a text, got {value!r}: quote it, as it stands in the data")
    return str(value)


Text = Annotated[str, BeforeValidator(_scalar)]


OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]


class Times(Section):
    """How the times of one column are written."""

    format: OneOrMore = ()
    zone: TimeZone | None = None

    @field_validator("format")
    @classmethod
    def _readable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for form in formats:
            try:
                if form not in EPOCHS:
                    duckdb.execute("select try_strptime('1', ?)", [form])
            except duckdb.Error:
                raise ValueError(f"'{form}' is no time format; write for example '%d.%m.%Y %H:%M'") from None
            if form not in EPOCHS and not re.search("%[yYxc]", form):
                raise ValueError(f"'{form}' has no year; write for example '%d.%m.%Y %H:%M'")
        return formats


def _not_zero(scale: float) -> float:
    if not scale:
        raise ValueError("a number cannot be divided by 0")
    return scale


class Numbers(Section):
    """How the numbers of one column are written."""

    decimal: Literal[".", ","] | None = None
    scale: Annotated[float, Field(allow_inf_nan=False), AfterValidator(_not_zero)] | Literal["minor"] = 1.0
    times: str | None = None
    per: str | None = None

    @property
    def turns_signs(self) -> bool:
        """Whether what is above zero in the source is below zero here."""
        return self.scale != "minor" and self.scale < 0

    @property
    def factors(self) -> list[tuple[str, str]]:
        """Operator and column of what the number is multiplied and divided by."""
        return [(operator, column) for operator, column in (("*", self.times), ("/", self.per)) if column is not None]


class TableMapping(Section):
    """What one table's columns mean; see the top of this module."""

    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[Text, Text | None]] = Field(default_factory=dict)
    times: dict[str, Times] = Field(default_factory=dict)
    numbers: dict[str, Numbers] = Field(default_factory=dict)
    constants: dict[str, Text] = Field(default_factory=dict)
    currency: str | None = None
    number_rows: bool = False
    may_be_empty: bool = False
    where: dict[str, RowRule] = Field(default_factory=dict)
    lines: dict[str, Combine] | None = None
    ids: dict[str, tuple[Repair, ...]] = Field(default_factory=dict)

    def source_name(self, name: str) -> str:
        """What the source calls a column of the table."""
        return self.columns.get(name, name)


class Join(Section):
    """Columns of another file, looked up by a key."""

    on: Annotated[dict[str, str], Field(min_length=1)]
    columns: Annotated[dict[str, str], Field(min_length=1)]

    @field_validator("on", mode="before")
    @classmethod
    def _same_name(cls, given: object) -> object:
        return {given: given} if isinstance(given, str) else given


def id_repairs(options: Mapping[str, Any], table: str) -> tuple[Repair, ...]:
    """The repairs of the customers' ids in one table of ``source.options``; none where its entries differ in them.

    >>> repaired, plain = {"ids": {"customer_id": ["case"]}}, {"path": "b.csv"}
    >>> [id_repairs({"customers": [repaired, other]}, "customers") for other in (repaired, plain)]
    [('case',), ()]
    """
    repairs = {tuple((e.get("ids") or {}).get("customer_id") or ()) for e in entries_of(options, table)}
    return repairs.pop() if len(repairs) == 1 else ()


Model = TypeVar("Model", bound=Section)


def parse(model: type[Model], given: object, where: str) -> Model:
    """Read one part of the options strictly.

    Raises
    ------
    ConfigError
        A key is unknown (the nearest is named), or a value is not what it should be; no value is repeated in full.
    """
    if not isinstance(given, dict):
        text = f"{type(given).__name__} {str(given)[:60]!r}" if isinstance(given, (str, list)) else repr(given)[:60]
        raise ConfigError(f"{where}: expected a mapping with {', '.join(model.model_fields)}, got {text}")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(model, e, where) for e in error.errors())) from None


def _explain(model: type[Section], error: Any, where: str) -> str:
    place = ".".join([where, *(str(p) for p in error["loc"] if p != "[key]")])
    if error["type"] == "extra_forbidden":
        key, known = str(error["loc"][-1]), _keys(model, error["loc"][:-1])
        return f"{place}: unknown key{nearest(key, known)}; known are {', '.join(known)}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _keys(model: type[Section], loc: Sequence[Any]) -> list[str]:
    """Keys that the section at `loc` knows."""
    nested: dict[str, type[Section]] = {"times": Times, "numbers": Numbers, "where": RowRule}
    if loc and loc[0] == "join":
        nested["join"] = get_args(model.model_fields["join"].annotation)[0]
    return list(nested.get(str(loc[0]), model).model_fields) if loc else list(model.model_fields)


def require_table(name: str) -> None:
    """Raise `ConfigError` if there is no such table."""
    if name not in TABLES:
        raise ConfigError(
            f"source.options: unknown table '{name}'{nearest(name, TABLES)}; there are {', '.join(TABLES)}"
        )


def check_names(table: str, mapping: TableMapping, joined: Iterable[str] = ()) -> None:
    """Refuse a column that the table does not have, and one that is given twice.

    Raises
    ------
    ConfigError
        See above.
    """
    if mapping.currency is not None and table not in MONEY:
        raise ConfigError(f"source.options.{table}.currency: {table} has no amounts; {', '.join(MONEY)} have")
    names = [*mapping.columns, *joined, *mapping.constants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"source.options.{table}: {', '.join(twice)}: told twice among columns, joins and constants")
    if mapping.number_rows and (table != "profiles" or "customer_id" in names):
        raise ConfigError(f"source.options.{table}.number_rows: is for profiles that have no column for customer_id")
    if table in OPEN_TABLES:
        return
    known = TABLES[table].names
    if table == "attribute_changes":
        _check_attribute_numbers(mapping.numbers, known)
    numbers = mapping.numbers if table != "attribute_changes" else ()
    for name in [*names, *mapping.values, *mapping.times, *numbers, *mapping.ids]:
        if name not in known:
            raise ConfigError(
                f"source.options.{table}: there is no column '{name}' in {table}{nearest(name, known)}; "
                f"its columns are {', '.join(known)}"
            )


def _check_attribute_numbers(numbers: Mapping[str, Numbers], columns: Iterable[str]) -> None:
    where = "source.options.attribute_changes.numbers"
    for name, given in numbers.items():
        if name in columns:
            raise ConfigError(f"{where}: '{name}' is a column; name an attribute of columns.numbers, {{seats: ...}}")
        if given.factors or given.scale == "minor":
            raise ConfigError(f"{where}.{name}: an attribute takes decimal and scale, a number, alone")


def require_filled(table: str, mapping: TableMapping, columns: Iterable[str]) -> None:
    """Refuse a mapping that still asks, as `init` writes it (``?``), which column or what is meant.

    Raises
    ------
    DataError
        Says of which names, and which `columns` of the source are not used otherwise.
    """
    there, names = list(columns), TABLES[table].names
    if asked := [name for name, source in mapping.columns.items() if source == UNFILLED and UNFILLED not in there]:
        others = [n for n in there if n not in mapping.columns.values() and n not in names]
        raise DataError(
            f"{table}: {', '.join(asked)}: the mapping still has '?' for the name of a column: fill in under "
            f"source.options.{table}.columns which one it is; not used yet: {', '.join(others) or 'none'}"
        )
    for name in names:
        if open_ := [value for value, word in mapping.values.get(name, {}).items() if word == UNFILLED]:
            raise DataError(
                f"{table}: {name}: the mapping still has '?' for what {', '.join(map(quote, open_[:5]))} means: fill "
                f"it in under source.options.{table}.values"
            )
