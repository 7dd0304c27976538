"""What the columns of any export mean: shared by the sources that take a mapping (files, databases).

A table's entry in ``source.options`` may say:

    columns: {order_id: Invoice, amount: Total}        ours: theirs; other columns keep their names
    values: {kind: {tkt: ticket, "N/A": null}}         which value means what; others stay as they are
    times: {ordered_at: {format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}}    one format, or several, in order
    numbers: {amount: {decimal: ","}}                  where the numbers themselves do not tell
    constants: {channel: web}                          a column with one value

How a value is read:

- A *time* with formats is read by the first that fits. Where two formats tell different days by swapping day and
  month, the row is not usable: nothing is guessed. Without a format only year-first times are read
  (``2024-01-31 10:00``); ``03/04/2024`` needs a format. A time without an offset is told in `zone` (UTC); the hour
  that a clock in autumn shows twice is taken as the second one.
- A *number* may have thousands separators, a currency sign, a decimal comma. Which sign is the decimal one is told by
  the values that leave no doubt (``1.234,50``), of the column or else of the whole file; where the doubt stays
  (``1,234`` alone), the row is not usable.
- A value that cannot be read stays as it came, and the check of the table gives the reason.

A reason that only the source knows stands in the column `REASON` of the raw table.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args
from zoneinfo import available_timezones

import duckdb
import pandas as pd
import pyarrow as pa
from pydantic import BeforeValidator, Field, ValidationError, field_validator

from configs.errors import ConfigError, DataError, nearest
from configs.fingerprint import fingerprint
from configs.settings import Section
from features.schema import REASON, TABLES
from features.sql import quote_literal

MEMORY = "1GB"
OPEN_TABLES = ("customers", "profiles")
EPOCHS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}
NUMERIC = re.compile(r"^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|U\w*INT\w*|FLOAT|DOUBLE|DECIMAL.*)$")


def _scalar(value: object) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
        raise ValueError(f"expected a text, got {value!r}; YAML reads yes, no, on and off as true and false: quote it")
    return value.isoformat() if isinstance(value, date) else str(value)


Text = Annotated[str, BeforeValidator(_scalar)]


class Times(Section):
    """How the times of one column are written."""

    format: tuple[str, ...] = ()
    zone: str = "UTC"

    @field_validator("format", mode="before")
    @classmethod
    def _many(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_validator("format")
    @classmethod
    def _readable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for one in formats:
            try:
                if one not in EPOCHS:
                    duckdb.execute("select try_strptime('1', ?)", [one])
            except duckdb.Error:
                raise ValueError(f"'{one}' is no time format; write for example '%d.%m.%Y %H:%M'") from None
            if one not in EPOCHS and not re.search("%[yYxc]", one):
                raise ValueError(f"'{one}' has no year; write for example '%d.%m.%Y %H:%M'")
        return formats

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"unknown time zone '{zone}'{nearest(zone, available_timezones())}")
        return zone


class Numbers(Section):
    """How the numbers of one column are written."""

    decimal: Literal[".", ","]


class TableMapping(Section):
    """What one table's columns mean; see the top of this module."""

    columns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[Text, Text | None]] = Field(default_factory=dict)
    times: dict[str, Times] = Field(default_factory=dict)
    numbers: dict[str, Numbers] = Field(default_factory=dict)
    constants: dict[str, Text] = Field(default_factory=dict)


class Join(Section):
    """Columns of a further file, found by a key."""

    on: Annotated[dict[str, str], Field(min_length=1)]
    columns: Annotated[dict[str, str], Field(min_length=1)]

    @field_validator("on", mode="before")
    @classmethod
    def _same_name(cls, given: object) -> object:
        return {given: given} if isinstance(given, str) else given


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
    why
        A column of `relation` with a reason against the row, or None.
    """

    label: str
    relation: str
    columns: Mapping[str, tuple[str, str]]
    rejected: Sequence[str] = field(default=())
    why: str | None = None


class OneFile(Section):
    """Options of a source that is one known file."""

    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class Seeded(Section):
    """Options of a source that makes its customers up."""

    customers: Annotated[int, Field(gt=0)]
    months: Annotated[int, Field(gt=0)]
    seed: int


class MadeUp(Protocol):
    """Made-up customers; their truth stands beside."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The raw tables."""


def load_seeded(generate: Callable[..., MadeUp], options: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables of a source that makes its customers up.

    Parameters
    ----------
    generate
        Takes the options of `Seeded`.
    options
        ``source.options``.

    Raises
    ------
    ConfigError
        An option is missing, unknown or out of its range.
    """
    return dict(generate(**parse(Seeded, options, "source.options").model_dump()).tables)


def seeded_fingerprint(name: str, options: Mapping[str, Any]) -> str:
    """Hash of the options of the source of this name: they say everything. Errors as of `load_seeded`."""
    parse(Seeded, options, "source.options")
    return fingerprint(name, options)


Model = TypeVar("Model", bound=Section)


@dataclass(frozen=True)
class ChunkedTable:
    """A raw table too large for memory: it stands on disk and is read in parts, one frame after the other.

    All that is found out of values (decimal signs, which columns hold something unreadable) is found out of the whole
    table, so that a row is read alike whatever part it comes in.

    Attributes
    ----------
    rows
        How many there are, lines that are no rows among them.
    read
        Gives the frames in the order of the source, each with the same columns.
    attrs
        As of a frame.
    """

    rows: int
    read: Callable[[], Iterator[pd.DataFrame]]
    attrs: Mapping[str, Any]


Raw = pd.DataFrame | ChunkedTable


@contextmanager
def staging() -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A DuckDB database in a temporary folder, which keeps at most `MEMORY` in memory."""
    with tempfile.TemporaryDirectory(prefix="staycast-") as name:
        folder = Path(name)
        (folder / "spill").mkdir()
        with duckdb.connect(str(folder / "staging.duckdb"), config={"memory_limit": MEMORY}) as connection:
            connection.execute("set temp_directory = " + quote_literal(str(folder / "spill")))
            connection.execute("set TimeZone = 'UTC'")
            yield connection, folder


def expand(text: str, where: str) -> str:
    """Replace every ``${NAME}`` by that environment variable, or by what follows ``:-`` if it is not set.

    Examples
    --------
    >>> expand("${STAYCAST_NOT_SET:-exports}/orders.csv", "path")
    'exports/orders.csv'

    Raises
    ------
    ConfigError
        A variable is not set and has no default.
    """

    def value(found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2)
        got = os.environ.get(name) or default
        if got is None:
            raise ConfigError(f"{where}: the environment variable {name} is not set; set it, or write ${{{name}:-...}}")
        return got

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text)


def one_file(options: dict[str, Any]) -> Path:
    """The file of a source that is one known file, of the checksum that is told.

    Raises
    ------
    ConfigError
        An option is unknown or missing, or an environment variable in the path is not set.
    DataError
        There is no such file, or its checksum is another: altered copies of public tables circulate.
    """
    told = parse(OneFile, options, "source.options")
    path = Path(expand(told.path, "source.options.path"))
    if not path.is_file():
        raise DataError(f"no file at '{path}'; correct source.options.path, or the environment variable in it")
    found = file_sha256(path) if told.sha256 else None
    if found != told.sha256:
        raise DataError(
            f"'{path}' is not the file that is meant: its sha256 is {found}, source.options.sha256 says {told.sha256}; "
            "fetch it again, or leave sha256 out to use it all the same"
        )
    return path


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse(model: type[Model], given: object, where: str) -> Model:
    """Read one part of the options strictly.

    Raises
    ------
    ConfigError
        A key is unknown (the nearest is named), or a value is not what it should be; no value is repeated in full.
    """
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected a mapping with {', '.join(model.model_fields)}, got {_short(given)}")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(model, e, where) for e in error.errors())) from None


def _explain(model: type[Section], error: Any, where: str) -> str:
    place = ".".join([where, *(str(p) for p in error["loc"] if p != "[key]")])
    if error["type"] == "extra_forbidden":
        key, known = str(error["loc"][-1]), _fields(model, error["loc"][:-1])
        return f"{place}: unknown key{nearest(key, known)}; known are {', '.join(known)}"
    said = error["msg"].removeprefix("Value error, ")
    hint = "; YAML reads yes, no, on and off as true and false: quote it" if isinstance(error["input"], bool) else ""
    return f"{place}: {said}{hint}"


def _fields(model: type[Section], loc: Sequence[Any]) -> list[str]:
    """Keys that the section at `loc` knows."""
    nested: dict[str, type[Section]] = {"times": Times, "numbers": Numbers}
    if loc and loc[0] == "join":
        nested["join"] = get_args(model.model_fields["join"].annotation)[0]
    return list(nested.get(str(loc[0]), model).model_fields) if loc else list(model.model_fields)


def _short(given: object) -> str:
    return f"{type(given).__name__} {str(given)[:60]!r}" if isinstance(given, (str, list)) else repr(given)[:60]


def known_table(name: str) -> None:
    """Raise `ConfigError` if there is no such table."""
    if name not in TABLES:
        raise ConfigError(
            f"source.options: unknown table '{name}'{nearest(name, TABLES)}; there are {', '.join(TABLES)}"
        )


def check_names(table: str, mapping: TableMapping, joined: Iterable[str] = ()) -> None:
    """Refuse a column of ours that the table does not have, and one that is told twice.

    Raises
    ------
    ConfigError
        See above.
    """
    sources = [*mapping.columns, *joined, *mapping.constants]
    twice = sorted({c for c in sources if sources.count(c) > 1})
    if twice:
        raise ConfigError(f"source.options.{table}: {', '.join(twice)}: told twice among columns, joins and constants")
    if table in OPEN_TABLES:
        return
    known = TABLES[table].names
    for name in [*sources, *mapping.values, *mapping.times, *mapping.numbers]:
        if name not in known:
            raise ConfigError(
                f"source.options.{table}: there is no column '{name}' in {table}{nearest(name, known)}; "
                f"its columns are {', '.join(known)}"
            )


def join_part(
    connection: duckdb.DuckDBPyConnection, part: Part, other: Part, join: Join, mapping: TableMapping
) -> Part:
    """Add columns of another part, found by equal keys (as text, spaces at the ends aside).

    A row whose key stands several times in the other part, with different values, gets a reason against it; a row
    without a partner keeps the new columns empty.

    Raises
    ------
    DataError
        A key or a column does not exist.
    """
    left = [_text(*_column(part, mapping.columns.get(ours, ours), ours), trim=True) for ours in join.on]
    right = [_text(*_column(other, theirs, ours), trim=True) for ours, theirs in join.on.items()]
    taken = {ours: _column(other, theirs, ours) for ours, theirs in join.columns.items()}
    number, view = len(part.columns), f"{part.relation}_j"
    keys = ", ".join(f"{sql} as k{n}" for n, sql in enumerate(right))
    values = [f"{column} as v{n}" for n, (column, _) in enumerate(taken.values())]
    firsts = ", ".join(f"any_value(v{n}) as v{n}" for n in range(len(taken)))
    group = ", ".join(f"k{n}" for n in range(len(right)))
    match = " and ".join(f"{sql} = o.k{n}" for n, sql in enumerate(left))
    clash = quote_literal(f"{', '.join(join.on)}: stands several times in {other.label}, with different values")
    added = ", ".join(f"o.v{n} as c{number + n}" for n in range(len(taken)))
    why = f"concat_ws('; ', {part.why + ', ' if part.why else ''}case when o.times > 1 then {clash} end)"
    kept = "p.*" if part.why is None else f"p.* exclude ({part.why})"
    connection.execute(f"""
        create temp table {view} as
        with o as (select {group}, {firsts}, count(*) as times
                   from (select distinct {keys}, {", ".join(values)} from {other.relation}) group by {group})
        select {kept}, {added}, nullif({why}, '') as why
        from (select *, rowid as row_place from {part.relation}) p left join o on {match}
        order by p.row_place
    """)
    connection.execute(f"alter table {view} drop column row_place")
    new = {ours: (f"c{number + n}", kind) for n, (ours, (_, kind)) in enumerate(taken.items())}
    return replace(part, relation=view, columns={**part.columns, **new}, why="why")


def read(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    mapping: TableMapping,
    parts: Sequence[Part],
    joined: Iterable[str] = (),
    part_rows: int | None = None,
) -> Raw:
    """Stack the parts of one table, and read every value as the mapping says.

    Parameters
    ----------
    connection
        Where the relations of `parts` are.
    table
        Name of the table, as in `features.schema.TABLES`.
    mapping
        What the columns mean.
    parts
        In the order in which rows shall come.
    joined
        Columns that a join brought, which therefore already have our names.
    part_rows
        A table of more rows is given in parts of so many; None: no table is. Tables that may have columns of any name
        (customers) never are.

    Returns
    -------
    pandas.DataFrame or ChunkedTable
        One row per row of the parts and per rejected line. Columns that were read whole have their type (times in
        UTC); a column with an unreadable value is text. Columns that the table does not know are left out, unless
        they may be attributes. ``attrs["notes"]`` tells what was guessed.

    Raises
    ------
    DataError
        A column is missing in one of the parts, or in all.
    """
    notes: list[str] = []
    names = _names(table, mapping, parts, set(joined), notes)
    pieces = [_Piece(connection, table, mapping, part, names, notes) for part in parts]
    texts = {n for n in names if len({p.kinds[n] for p in pieces if p.kinds[n]}) > 1}
    relation = f"staged_{table}"
    connection.execute(f"create table {relation} as " + " union all ".join(p.select(texts) for p in pieces))
    rejected = [reason for part in parts for reason in part.rejected]
    rows = _count(connection, f"select count(*) from {relation}")[0] + len(rejected)
    columns = _columns(connection, relation, names)
    if part_rows is not None and rows > part_rows and table not in OPEN_TABLES:
        numbers = {f.name for f in TABLES[table].fields if f.kind in ("number", "time")}
        odd = _with_fractions(connection, relation, {n: s for n, s in columns.items() if n not in numbers})
        frames = partial(_in_parts, connection, relation, columns, odd, rejected, part_rows)
        return ChunkedTable(rows, frames, {"notes": notes})
    frame = _fetch(connection, relation, columns)
    connection.execute(f"drop table {relation}")
    frame = _with_rejected(frame, rejected)
    frame.attrs["notes"] = notes
    return frame


def _column(part: Part, theirs: str, ours: str) -> tuple[str, str]:
    if theirs not in part.columns:
        what = f"no column '{theirs}'" + (f" for '{ours}'" if theirs != ours else "")
        raise DataError(f"{part.label} has {what}{nearest(theirs, part.columns)}; it has {', '.join(part.columns)}")
    return part.columns[theirs]


def _names(table: str, mapping: TableMapping, parts: Sequence[Part], joined: set[str], notes: list[str]) -> list[str]:
    """Our columns that the rows will have; each must be in every part unless it may be empty."""
    renamed = set(mapping.columns.values()) - set(mapping.columns)
    natural = [n for part in parts for n in part.columns if n not in renamed]
    names = list(dict.fromkeys([*mapping.columns, *natural]))
    names = [n for n in names if n not in mapping.constants]
    required = {f.name for f in TABLES[table].fields if f.required}
    given = {n for n in names if any(mapping.columns.get(n, n) in p.columns for p in parts)} | set(mapping.constants)
    if table not in OPEN_TABLES and required <= given:
        names = [n for n in names if n in TABLES[table].names]
    for name in names:
        theirs = name if name in joined else mapping.columns.get(name, name)
        lacking = [part for part in parts if theirs not in part.columns]
        if lacking and (name in required or len(lacking) == len(parts)):
            try:
                _column(lacking[0], theirs, name)
            except DataError as error:
                raise DataError(f"{table}: {error}") from None
        notes.extend(f"{part.label}: no column '{theirs}', '{name}' is left empty" for part in lacking)
    for name in (*mapping.values, *mapping.times, *mapping.numbers):
        if name not in names and name not in mapping.constants:
            raise DataError(
                f"{table}: the mapping tells how to read '{name}', which no file has{nearest(name, names)}; "
                f"there are {', '.join(names)}"
            )
    return names + list(mapping.constants)


def _text(column: str, kind: str, trim: bool = False) -> str:
    """SQL for a value as text; a whole number never ends in .0."""
    text = column if kind == "VARCHAR" else f"cast({column} as varchar)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"{column} = floor({column}) and abs({column}) < 1e15"
        text = f"case when {whole} then cast(cast({column} as hugeint) as varchar) else {text} end"
    return f"trim({text})" if trim else text


CLEAN = r"""
    regexp_replace(regexp_replace(regexp_replace(translate(trim({e}), chr(8722), '-'),
        '[\s\x{{00A0}}\x{{202F}}]*([€$£¥]|\b[A-Z]{{3}}\b)[\s\x{{00A0}}\x{{202F}}]*', ''),
        '^\((.*)\)$', '-\1'), '^([0-9].*)-$', '-\1')
"""
SPACED = r"^[-+]?\d{1,3}([\s\x{00A0}\x{202F}'’]\d{3})+([.,]\d*)?$"
SPACES = r"[\s\x{00A0}\x{202F}'’]"
COMMA_SURE = r"^[-+]?(\d{1,3}(\.\d{3})+,\d*|\d+,(\d{0,2}|\d{4,})|,\d+|\d{4,},\d{3}|0+,\d{3}|\d{1,3}(\.\d{3}){2,})$"
POINT_SURE = (
    r"^[-+]?(\d{1,3}(,\d{3})+\.\d*|\d+\.(\d{0,2}|\d{4,})|\.\d+|\d{4,}\.\d{3}|0+\.\d{3}|\d{1,3}(,\d{3}){2,}"
    r"|[\d.]+[eE][-+]?\d+)$"
)
COMMA_ONLY = r"^[-+]?[1-9]\d{0,2},\d{3}$"
POINT_ONLY = r"^[-+]?[1-9]\d{0,2}\.\d{3}$"
COMMA_FORM = r"^[-+]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?$"
POINT_FORM = r"^[-+]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][-+]?\d+)?$"
ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)?)?$"
OFFSET = r":\d{2}([.,]\d+)?\s*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)$"
DAY_OR_MONTH_FIRST = r"^\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})\b"


@dataclass(frozen=True)
class _Value:
    """SQL of one column: its value, its original text where it cannot be read, a reason where only we know one."""

    value: str
    kept: str = "null::varchar"
    why: str = "null::varchar"


class _Piece:
    """One part, as SQL that reads its values."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        mapping: TableMapping,
        part: Part,
        names: Sequence[str],
        notes: list[str],
    ) -> None:
        self.mapping, self.part, self.names = mapping, part, names
        self.fields = {f.name: f.kind for f in TABLES[table].fields}
        self.steps: dict[str, str] = {}
        self.raw = {n: self._raw(n) for n in names}
        self.kinds = {n: self._kind(n) for n in names}
        self.styles = self._styles(connection, notes)

    def _raw(self, name: str) -> tuple[str, str]:
        """SQL and type of a column before it is read; values are replaced already."""
        if name in self.mapping.constants:
            return quote_literal(self.mapping.constants[name]) + "::varchar", "VARCHAR"
        theirs = self.mapping.columns.get(name, name)
        column, kind = self.part.columns.get(theirs, ("null::varchar", "VARCHAR"))
        replaced = self.mapping.values.get(name)
        if not replaced:
            return column, kind
        text = _text(column, kind)
        cases = " ".join(
            f"when {quote_literal(old.strip())} then {'null' if new is None else quote_literal(new)}"
            for old, new in replaced.items()
        )
        return f"(case trim({text}) {cases} else {text} end)", "VARCHAR"

    def _role(self, name: str) -> str:
        if name in self.mapping.times:
            return "time"
        return "number" if name in self.mapping.numbers else self.fields.get(name, "text")

    def _kind(self, name: str) -> str:
        """Type of the column once it is read; empty where this part has no such column."""
        role, (sql, kind) = self._role(name), self.raw[name]
        if role in ("time", "number"):
            return {"time": "TIMESTAMP", "number": "DOUBLE"}[role]
        return "" if sql == "null::varchar" else kind

    def _styles(self, connection: duckdb.DuckDBPyConnection, notes: list[str]) -> dict[str, str]:
        """The decimal sign of each column of numbers: ``,``, ``.``, ``mixed``, or ``none`` where nothing tells."""
        texts = [n for n in self.names if self._role(n) == "number" and self.raw[n][1] == "VARCHAR"]
        open_ones = [n for n in texts if n not in self.mapping.numbers]
        styles = {n: self.mapping.numbers[n].decimal for n in texts if n in self.mapping.numbers}
        if not open_ones:
            return dict(styles)
        counts = ", ".join(
            f"count_if(regexp_matches({_clean(self.raw[n][0])}, {quote_literal(sure)}))"
            for n in open_ones
            for sure in (COMMA_SURE, POINT_SURE)
        )
        row = connection.execute(f"select {counts} from {self.part.relation}").fetchone() or ()
        found = {n: (row[2 * i] or 0, row[2 * i + 1] or 0) for i, n in enumerate(open_ones)}  # null: no rows at all
        whole = _style(sum(c for c, _ in found.values()), sum(p for _, p in found.values()))
        own = {n: _style(*both) for n, both in found.items()}
        chosen = {n: whole if style == "none" and whole in (",", ".") else style for n, style in own.items()}
        notes.extend(f"{self.part.label}: {n} is read with a decimal comma" for n, s in chosen.items() if s == ",")
        notes.extend(
            f"{self.part.label}: {n} has decimal commas and points; a row whose value leaves doubt is not used"
            for n, s in chosen.items()
            if s == "mixed"
        )
        return {**styles, **chosen}

    def select(self, texts: Iterable[str]) -> str:
        """Statement that gives, for column k, ``v{k}`` and ``t{k}`` (its text where unreadable), and ``why``."""
        told = [self._value(n) for n in self.names]
        columns = []
        for k, (name, one) in enumerate(zip(self.names, told, strict=True)):
            value = _text(one.value, self.kinds[name] or "VARCHAR") if name in texts else one.value
            columns.append(f"{value} as v{k}, {one.kept} as t{k}")
        reasons = [one.why for one in told if one.why != "null::varchar"] + ([self.part.why] if self.part.why else [])
        why = f"nullif(concat_ws('; ', {', '.join(reasons)}), '')" if reasons else "null::varchar"
        source = self.part.relation
        for step, sql in self.steps.items():
            source = f"(select *, {sql} as {step} from {source})"
        return f"select {', '.join(columns)}, {why} as why from {source}"

    def _step(self, sql: str) -> str:
        """A name for an expression, computed once a row however often it is used afterwards."""
        name = f"s{len(self.steps)}"
        self.steps[name] = sql
        return name

    def _value(self, name: str) -> _Value:
        role, (sql, kind) = self._role(name), self.raw[name]
        if role == "time":
            return self._time(name, sql, kind)
        if role == "number":
            return self._number(name, sql, kind)
        return _Value(sql)

    def _number(self, name: str, sql: str, kind: str) -> _Value:
        if NUMERIC.match(kind):
            return _Value(f"cast({sql} as double)")
        if kind != "VARCHAR":
            return _Value("null::double", _text(sql, kind))
        clean, style = self._step(_clean(sql)), self.styles[name]
        point = _read_as(clean, POINT_FORM, ",", "")
        comma = _read_as(clean, COMMA_FORM, ".", ",")
        unsure = {"none": COMMA_ONLY, "mixed": f"{COMMA_ONLY}|{POINT_ONLY}"}.get(style)
        value = {".": point, ",": comma, "none": point}.get(
            style, f"case when regexp_matches({clean}, {quote_literal(COMMA_SURE)}) then {comma} else {point} end"
        )
        doubt = f"regexp_matches({clean}, {quote_literal(unsure)})" if unsure else "false"
        value = f"case when {doubt} then null else {value} end"
        said = f'may have a decimal comma or a thousands comma; say numbers: {{{name}: {{decimal: ","}}}} or "."'
        return _Value(value, _kept(sql, value), _reason(name, sql, doubt, said) if unsure else "null::varchar")

    def _time(self, name: str, sql: str, kind: str) -> _Value:
        told = self.mapping.times.get(name, Times())
        epoch = [f for f in told.format if f in EPOCHS]
        if epoch and NUMERIC.match(kind):
            return _Value(_epoch(sql, EPOCHS[epoch[0]]))
        if kind.startswith("TIMESTAMP WITH"):
            return _Value(f"{sql} at time zone 'UTC'")
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            return _Value(_in_utc(f"cast({sql} as timestamp)", told.zone))
        text = _text(sql, kind, trim=True)
        return self._formatted(name, text, told) if told.format else self._year_first(name, text, told.zone)

    def _formatted(self, name: str, text: str, told: Times) -> _Value:
        text = self._step(text)
        found = [(f, self._step(_by_format(text, f, told.zone))) for f in told.format]
        swapped = [
            f"(year({a}) = year({b}) and month({a}) = day({b}) and day({a}) = month({b}) and day({a}) <> month({a}))"
            for n, (_, a) in enumerate(found)
            for _, b in found[n + 1 :]
        ]
        doubt = f"coalesce({' or '.join(swapped)}, false)" if swapped else "false"
        first = f"coalesce({', '.join(sql for _, sql in found)})"
        value = self._step(f"case when {doubt} then null::timestamp else {first} end")
        lost = f"({text} <> '' and {first} is null)"
        formats = ", ".join(f"'{f}'" for f in told.format)
        many = _reason(name, text, doubt, f"may have day or month first, both formats are told ({formats}); leave one")
        none = _reason(name, text, lost, f"is not a time of the format {formats}")
        return _Value(value, _kept(text, value), f"coalesce({many}, {none})")

    def _year_first(self, name: str, text: str, zone: str) -> _Value:
        plain = f"replace(replace(replace({text}, '/', '-'), ',', '.'), 'z', 'Z')"
        iso = f"regexp_matches({text}, {quote_literal(ISO)})"
        offset = f"regexp_matches({text}, {quote_literal(OFFSET)})"
        full = f"regexp_replace({plain}, '^([0-9-]+)[T ](\\d+:\\d+)\\s*(Z|UTC|[+-].*)?$', '\\1 \\2:00\\3')"
        zoned = f"try_cast(regexp_replace({full}, '\\s+(Z|UTC|[+-])', '\\1') as timestamptz) at time zone 'UTC'"
        local = _in_utc(f"try_cast({full} as timestamp)", zone)
        compact = _in_utc(f"try_strptime({text}, ['%Y%m%d', '%Y%m%dT%H%M%S'])", zone)
        value = self._step(f"case when {iso} and {offset} then {zoned} when {iso} then {local} else {compact} end")
        doubt = f"regexp_matches({text}, {quote_literal(DAY_OR_MONTH_FIRST)})"
        said = f'may have day or month first; say times: {{{name}: {{format: "%d/%m/%Y"}}}} or as it is written'
        return _Value(value, _kept(text, value), _reason(name, text, doubt, said))


def _style(comma: int, point: int) -> str:
    return "mixed" if comma and point else "," if comma else "." if point else "none"


def _clean(sql: str) -> str:
    """SQL for the text of a number without currency, and without spaces between its thousands."""
    bare = CLEAN.format(e=sql)
    closed = f"regexp_replace({bare}, {quote_literal(SPACES)}, '', 'g')"
    return f"(case when regexp_matches({bare}, {quote_literal(SPACED)}) then {closed} else {bare} end)"


def _read_as(clean: str, form: str, thousands: str, decimal: str) -> str:
    digits = f"replace({clean}, '{thousands}', '')"
    plain = f"replace({digits}, '{decimal}', '.')" if decimal else digits
    finite = f"try_cast({plain} as double)"
    return f"case when regexp_matches({clean}, {quote_literal(form)}) and isfinite({finite}) then {finite} end"


def _epoch(number: str, per_second: int) -> str:
    return f"try(make_timestamp(cast(round(cast({number} as double) * {1_000_000 // per_second}) as bigint)))"


def _by_format(text: str, one: str, zone: str) -> str:
    if one in EPOCHS:
        return _epoch(f"try_cast({text} as double)", EPOCHS[one])
    parsed = f"try_strptime({text}, {quote_literal(one)})"
    if re.search("%[zZ]", one):
        return f"({parsed} at time zone 'UTC')"
    return f"(case when year({parsed}) >= 1000 then {_in_utc(parsed, zone)} end)"


def _in_utc(naive: str, zone: str) -> str:
    return naive if zone == "UTC" else f"({naive} at time zone {quote_literal(zone)} at time zone 'UTC')"


def _kept(text: str, value: str) -> str:
    return f"case when trim({text}) <> '' and ({value}) is null then {text} end"


def _reason(name: str, text: str, when: str, said: str) -> str:
    value = f"'''', left(trim({text}), 40), ''''"
    return f"case when {when} then concat({quote_literal(name + ': ')}, {value}, {quote_literal(' ' + said)}) end"


def _columns(connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> dict[str, str]:
    """SQL of each column of the staged rows: typed if every value could be read, else text."""
    counts = ", ".join(f"count(t{k})" for k in range(len(names)))
    lost = _count(connection, f"select {counts}, count(why) from {relation}")
    columns = {n: f"coalesce(t{k}, cast(v{k} as varchar))" if lost[k] else f"v{k}" for k, n in enumerate(names)}
    return {**columns, REASON: "why"} if lost[-1] else columns


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    return connection.execute(query).fetchone() or ()


def _fetch(connection: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """The staged rows as a frame, column by column."""
    return pd.DataFrame(
        {
            name: _series(connection.sql(f"select {sql} from {relation}").to_arrow_table().column(0))
            for name, sql in columns.items()
        }
    )


def _with_rejected(frame: pd.DataFrame, rejected: Sequence[str]) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame({REASON: rejected})], ignore_index=True) if rejected else frame


def _with_fractions(connection: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str]) -> frozenset[str]:
    """Columns of floats that are ids or texts and not all whole: then none of their values is told as whole."""
    kinds = {n: connection.sql(f"select {sql} as one from {relation} limit 0").types[0] for n, sql in columns.items()}
    floats = {n: sql for n, sql in columns.items() if str(kinds[n]) in ("DOUBLE", "FLOAT")}
    return frozenset(
        n
        for n, sql in floats.items()
        if _count(connection, f"select count_if({sql} <> floor({sql})) from {relation}")[0]
    )


def _in_parts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Mapping[str, str],
    fractions: frozenset[str],
    rejected: Sequence[str],
    rows: int,
) -> Iterator[pd.DataFrame]:
    """The staged rows in their order, in frames of at most so many rows; the lines that are no rows come last."""
    chosen = ", ".join(f"{sql} as f{k}" for k, sql in enumerate(columns.values()))
    reader = connection.sql(f"select {chosen} from {relation}").to_arrow_reader(rows)

    def framed(table: pa.Table) -> pd.DataFrame:
        frame = pd.DataFrame({n: _series(table.column(k)) for k, n in enumerate(columns)})
        return frame.assign(**{n: frame[n].map(str, na_action="ignore").astype(object) for n in fractions})

    for batch in reader:
        yield framed(pa.Table.from_batches([batch]))
    empty = framed(reader.schema.empty_table())
    for start in range(0, len(rejected), rows):
        lines = rejected[start : start + rows]
        yield empty.reindex(range(len(lines))).assign(**{REASON: lines})


def _series(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pd.Series(pd.arrays.ArrowStringArray(column.cast(pa.large_string())))
    if pa.types.is_integer(column.type) and column.null_count:
        return column.to_pandas(types_mapper={column.type: pd.Int64Dtype()}.get)
    return column.to_pandas()
