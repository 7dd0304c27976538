"""One table's check: each row is usable, or has a reason against it.

A value is first read as what its column holds (`read_values`), then the table's rules are checked with pandera
(`check_table`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any, cast

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from configs.errors import DataError, nearest
from configs.settings import Columns, naive_utc
from features.labels.flags import read_flags
from features.labels.ready_label import table_of
from features.quality.contract_rows import contract_reasons
from features.schema import require_free_names
from features.tables import (
    IDENTITIES,
    LARGEST,
    LEFT_OUT,
    MAX_ID_LENGTH,
    MONEY,
    REASON,
    REQUIRED,
    SOURCE_GRAIN,
    SOURCE_ROWS,
    TABLES,
    UNREAD,
    Field,
    Table,
    customers_table,
    quote,
)

BLANKS = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
ERASED_ROWS = "erased_rows"  # an attribute of a raw frame: rows of its source about erased persons, left out of it
NOTHING_PAID_BACK = "amount: -0, nothing was paid back"  # the rule by which such orders are left out
PLAIN_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"
OFFSET = r":\d{2}(?:[.,]\d+)?\s*(?:Z|z|[+-]\d{2}(?::?\d{2})?)$"


@dataclass(frozen=True)
class ValidatedTable:
    """A table after its check: the rows to use, and the others with a column ``reason``.

    Where a source makes one row of several of its own (an order of its lines), all counts are in rows of the source,
    so that they add up to what was read.

    Attributes
    ----------
    table
        What the table should look like.
    used, quarantined
        Rows of this table; a row in quarantine may stand for several of the source (`SOURCE_ROWS`).
    source_rows
        Of how many rows of the source each used row was made; None: of one.
    grain
        What one row of the source is, where it is not one row of this table.
    erased
        Rows of the source about erased persons: counted, kept nowhere.
    left_out
        Rows of the source that are no rows of this table, by the rule of its mapping that says so.
    unread
        Columns of the source that may say which rows count and that nobody reads: of each, the rows of its values.
    """

    table: Table
    used: pd.DataFrame
    quarantined: pd.DataFrame
    source_rows: pd.Series | None = None
    grain: str = ""
    erased: int = 0
    left_out: Mapping[str, int] = dataclass_field(default_factory=dict)
    unread: Mapping[str, Mapping[str, int]] = dataclass_field(default_factory=dict)

    @property
    def weights(self) -> pd.Series:
        """Of each row in quarantine: how many rows of the source it stands for."""
        if SOURCE_ROWS in self.quarantined:
            return self.quarantined[SOURCE_ROWS].astype("int64")
        return pd.Series(1, index=self.quarantined.index)

    @property
    def table_rows(self) -> int:
        """Rows of this table that are used."""
        return len(self.used)

    @property
    def rows_used(self) -> int:
        """Rows of the source that are used."""
        return self.table_rows if self.source_rows is None else int(self.source_rows.sum())

    @property
    def rows_quarantined(self) -> int:
        """Rows of the source that are in quarantine."""
        return int(self.weights.sum())

    @property
    def rows_judged(self) -> int:
        """Rows of the source that were used or put into quarantine: of which shares are taken."""
        return self.rows_used + self.rows_quarantined

    @property
    def rows_read(self) -> int:
        """Rows of the source that were read: used, in quarantine, of erased persons, or left out by a rule."""
        return self.rows_judged + self.erased + self.rows_left_out

    @property
    def rows_left_out(self) -> int:
        """Rows of the source that are no rows of this table."""
        return sum(self.left_out.values())

    @property
    def valid_share(self) -> float:
        """Share of the rows judged that can be used."""
        return self.rows_used / self.rows_judged if self.rows_judged else 0.0

    def rejected(self, name: str) -> pd.DataFrame:
        """One column of the rows in quarantine, as text, and their reasons; no rows if they have no such column."""
        rows = self.quarantined
        return (
            rows[[name, "reason"]].astype(str) if name in rows else pd.DataFrame(columns=[name, "reason"], dtype=object)
        )

    def column(self, name: str) -> pd.Series:
        """One column of the used rows."""
        return self.used[name]

    def parts(self, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Columns of the used rows, one part of them after the other."""
        yield self.used[list(names)]

    def filled(self, name: str) -> int:
        """Used rows in which a column is filled."""
        return int(self.used[name].notna().sum())

    def distinct(self, name: str) -> int:
        """Different values of a column of the used rows."""
        return int(self.used[name].nunique())

    def frequent(self, name: str, most: int) -> pd.Series:
        """Used rows of the most frequent values of a column, by value, the most frequent first."""
        return self.used[name].value_counts().head(most)

    def select(self, pick: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
        """The used rows that a rule picks by what stands in each row alone."""
        return pick(self.used)

    def map_rows(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> ValidatedTable:
        """The same table with its used rows changed, each by what stands in it alone."""
        return replace(self, used=change(self.used))

    def set_aside(self, reasons_of: Callable[[pd.DataFrame], pd.Series]) -> ValidatedTable:
        """The same table with some used rows in quarantine: those (by index) that get a reason."""
        reasons = reasons_of(self.used)
        if reasons.empty:
            return self
        aside = self.used.loc[reasons.index].astype(object).assign(reason=reasons)
        source_rows = self.source_rows
        if source_rows is not None:
            aside[SOURCE_ROWS] = source_rows[reasons.index]
            source_rows = source_rows.drop(index=reasons.index).reset_index(drop=True)
        used = self.used.drop(index=reasons.index).reset_index(drop=True)
        together = [self.quarantined, aside] if len(self.quarantined) else [aside]
        quarantined = pd.concat(together, ignore_index=True)
        return replace(self, used=used, quarantined=quarantined, source_rows=source_rows)


Check = Callable[[Table, Any, datetime, set[str] | None], ValidatedTable]


def check_tables(
    raw: Mapping[str, Any],
    declared: Columns,
    now: datetime,
    kind: str = "inactivity",
    check: Check | None = None,
    customers_from: str | None = None,
) -> dict[str, ValidatedTable]:
    """Check every table, customers first: rows of other tables must belong to a known customer.

    Parameters
    ----------
    raw
        The tables as their source gave them.
    declared
        Columns that the business declares of its customers.
    now
        A row that happened at or after this moment is not believed.
    kind
        What counts as churn (``churn.kind``): which tables there must be.
    check
        Checks one table whose rows belong to customers; None: `check_table`. Customers, aliases and profiles are
        frames and checked at once.
    customers_from
        The table whose customers are all there are, where there is no table of customers; the result then has none
        either, see `features.quality.first_events`.

    Raises
    ------
    DataError
        A table that this kind of churn rests on is missing; or see `check_table`.
    """
    needed = tuple(dict.fromkeys(customers_from if n == "customers" and customers_from else n for n in REQUIRED[kind]))
    missing = [name for name in needed if name not in raw]
    if missing:
        both = ("both " if len(needed) > 1 else "") + " and ".join(needed) + (" are" if len(needed) > 1 else " is")
        derive = f"; or set source.customers_from to {needed[1]}" if missing == ["customers"] else ""
        raise DataError(f"no table {' and '.join(missing)} in the source: {both} needed for churn by {kind}{derive}")
    _refuse_mix(raw, kind)
    if kind != "label":
        require_free_names(declared)
    if kind == "label":
        return {"profiles": check_table(table_of(raw["profiles"], declared), raw["profiles"], now)}
    if customers_from:
        return _check_without_customers(raw, declared, now, check or check_table, customers_from)
    customers_spec = customers_table(_of_customers(raw, declared), _numeric(raw["customers"], declared))
    specs = {**TABLES, "customers": customers_spec}
    customers = check_table(specs["customers"], raw["customers"], now)
    ids = set(customers.used["customer_id"].to_numpy())
    aliases = {"identities": check_table(IDENTITIES, raw["identities"], now, ids)} if "identities" in raw else {}
    ids |= {alias for one in aliases.values() for alias in one.used["alias"]}
    check = check or check_table
    rest = {n: check(specs[n], raw[n], now, ids) for n in TABLES if n in raw and n not in ("customers", "identities")}
    return {"customers": customers, **rest, **aliases}


def _of_customers(raw: Mapping[str, Any], declared: Columns) -> tuple[str, ...]:
    """Declared columns of customers; attributes that change need not stand there if their changes are given."""
    attributes = declared.constant_attributes if "attribute_changes" in raw else declared.attributes
    return attributes + declared.sensitive


def _numeric(customers: pd.DataFrame, declared: Columns) -> list[str]:
    """Attributes of customers that are numbers."""
    given = [name for name in declared.constant_attributes if name in customers]
    kinds = pd.api.types
    return [n for n in given if kinds.is_numeric_dtype(customers[n]) and not kinds.is_bool_dtype(customers[n])]


def _check_without_customers(
    raw: Mapping[str, Any], declared: Columns, now: datetime, check: Check, customers_from: str
) -> dict[str, ValidatedTable]:
    """Check every table; whoever stands in the table `customers_from` is a customer."""
    if "customers" in raw:
        raise DataError("the source has a table customers: remove it, or remove source.customers_from")
    if names := _of_customers(raw, declared):
        raise DataError(f"columns: {', '.join(names)}: customers derived from {customers_from} have no other columns")
    events = check(TABLES[customers_from], raw[customers_from], now, None)
    ids = set(events.select(lambda rows: rows[["customer_id"]].drop_duplicates())["customer_id"])
    aliases = {"identities": check_table(IDENTITIES, raw["identities"], now)} if "identities" in raw else {}
    ids |= {alias for one in aliases.values() for name in ("alias", "customer_id") for alias in one.used[name]}
    others = [n for n in TABLES if n in raw and n not in (customers_from, "identities")]
    return {customers_from: events, **{n: check(TABLES[n], raw[n], now, ids) for n in others}, **aliases}


def _refuse_mix(raw: Mapping[str, Any], kind: str) -> None:
    """Profiles have no dates: nothing that has goes with them."""
    if kind == "label" and (others := sorted(set(raw) - {"profiles"})):
        raise DataError(f"churn by label reads the table profiles alone: remove {', '.join(others)} from the source")
    if kind != "label" and "profiles" in raw:
        raise DataError(
            f"profiles have no dates, churn by {kind} needs them: put the columns into customers and declare them "
            "under columns.attributes, or set churn.kind to label"
        )


class KeysSeen:
    """The keys of the parts of a table that were checked already, eight bytes each.

    A key is kept as a 64-bit hash (SipHash): among forty million keys, two different ones are taken for one with a
    probability of 0.00005.

    Examples
    --------
    >>> seen = KeysSeen()
    >>> seen.first(pd.Series(["a", "a", None])).tolist()
    [True, False, True]
    >>> seen.first(pd.Series(["a", "b", None])).tolist()
    [False, True, False]
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []  # sorted, each larger than the next: few of them, and few merges

    def first(self, keys: pd.Series) -> np.ndarray:
        """True where a key, or an empty one, comes for the first time; all are remembered."""
        hashes = _hashes(keys)
        order = np.argsort(hashes)  # sorted ones are looked up side by side, ten times as fast in long runs
        wanted = hashes[order]
        new = np.ones(len(keys), dtype=bool)
        for run in self._runs:
            new[order] &= run[np.minimum(np.searchsorted(run, wanted), len(run) - 1)] != wanted
        self._remember(wanted)
        if (wanted[1:] == wanted[:-1]).any():
            new &= ~pd.Series(_objects(keys)).duplicated().to_numpy()
        return new

    def _remember(self, new: np.ndarray) -> None:
        while self._runs and len(self._runs[-1]) <= len(new):
            new = np.concatenate([self._runs.pop(), new])
            new.sort(kind="stable")  # merges the two, in place: a run may be as long as the table
        self._runs += [new] if len(new) else []


def _hashes(keys: pd.Series) -> np.ndarray:
    return np.where(keys.isna(), np.uint64(0), pd.util.hash_array(_objects(keys), categorize=False))


def _objects(texts: pd.Series) -> np.ndarray:
    return texts.to_numpy(dtype=object, na_value=cast(Any, None))


def check_table(
    spec: Table,
    raw: pd.DataFrame,
    now: datetime,
    customers: Collection[str] | arrow.Array | None = None,
    seen: KeysSeen | None = None,
) -> ValidatedTable:
    """Split one table into rows to use and rows with a reason against them.

    Parameters
    ----------
    spec
        What the table should look like.
    raw
        The table as its source gave it; it is not changed.
    now
        A row that happened at or after this moment is not believed.
    customers
        Ids a row's ``customer_id`` must be among; None for the customers themselves.
    seen
        Where `raw` is one part of a table: the keys of the parts before it. Those of this part are added.

    Raises
    ------
    DataError
        The table is empty or lacks a required column.
    """
    if raw.empty:
        raise DataError(f"{spec.name}: the table is empty; one row per {spec.grain} is expected")
    _require_columns(spec, raw)
    raw = raw.set_axis(pd.RangeIndex(len(raw)), axis=0)
    grain, erased = raw.attrs.get(SOURCE_GRAIN, ""), raw.attrs.pop(ERASED_ROWS, 0)
    frame, unread = read_values(spec, raw)
    raw, frame, unread, left_out = _without_nothing_paid_back(spec, raw, frame, unread)
    given = _source_reasons(raw)
    unread = unread[~unread.index.isin(given.index)]
    lost = given.index.union(unread.index)
    readable = frame[_others(frame, lost)] if len(lost) else frame
    broken = _broken_rules(spec, readable, now, customers, seen or KeysSeen())
    beyond = contract_reasons(readable, now) if spec.name == "subscriptions" else broken.head(0)
    reasons = _join_reasons([given, unread, broken, beyond])
    bad = raw.loc[reasons.index].drop(columns=REASON, errors="ignore").assign(reason=reasons)
    good = _others(frame, reasons.index)
    used = frame[good].reset_index(drop=True) if len(reasons) else frame
    source_rows = raw.loc[good, SOURCE_ROWS].reset_index(drop=True) if SOURCE_ROWS in raw else None
    unread = raw.attrs.get(UNREAD, {})
    return ValidatedTable(spec, used, bad.reset_index(drop=True), source_rows, grain, erased, left_out, unread)


def _others(frame: pd.DataFrame, places: pd.Index) -> np.ndarray:
    """True for the rows, numbered from 0, at all other places."""
    others = np.ones(len(frame), dtype=bool)
    others[places] = False
    return others


def _without_nothing_paid_back(
    spec: Table, raw: pd.DataFrame, frame: pd.DataFrame, unread: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, dict[str, int]]:
    """Leave out orders whose amount is a zero with a minus sign, as a column of refunds has it where there was none.

    Returns the raw rows, the values, the reasons, and the rows left out by their rule.
    """
    left_out = dict(raw.attrs.get(LEFT_OUT, {}))
    if spec.name != "orders":
        return raw, frame, unread, left_out
    amount = frame["amount"].to_numpy()
    keep = ~((amount == 0) & np.signbit(amount))
    if keep.all():
        return raw, frame, unread, left_out
    rows = raw[SOURCE_ROWS][~keep].sum() if SOURCE_ROWS in raw else (~keep).sum()
    kept = unread[keep[unread.index]]
    kept.index = (np.cumsum(keep) - 1)[kept.index]
    parts = [part[keep].reset_index(drop=True) for part in (raw, frame)]
    return parts[0], parts[1], kept, {**left_out, NOTHING_PAID_BACK: int(rows)}


def _source_reasons(raw: pd.DataFrame) -> pd.Series:
    """Reasons that the source itself had against rows."""
    if REASON not in raw:
        return pd.Series(dtype=object)
    return raw[REASON].dropna().astype(object)


def _join_reasons(parts: list[pd.Series]) -> pd.Series:
    """All reasons against each row in one text, by the row's index."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.Series(dtype=object)
    together = pd.concat(filled)
    several = together.index.duplicated(keep=False)
    joined = together[several].groupby(level=0).agg("; ".join) if several.any() else together[several]
    return pd.concat([together[~several], joined]).sort_index()


def read_values(spec: Table, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Read every value as what its column holds; optional columns that are missing are added empty.

    Returns
    -------
    pandas.DataFrame, pandas.Series
        The table with exactly the columns of `spec`, and a reason for each row (by index) with an unreadable value.
    """
    columns, reasons = {}, []
    for field in spec.fields:
        if field.name not in raw:
            columns[field.name] = _read(field, pd.Series(dtype=object)).reindex(raw.index)
            continue
        given = raw[field.name]
        columns[field.name] = _read(field, given)
        empty = given[columns[field.name].isna()]
        lost = empty[_is_filled(empty)]
        if len(lost):
            what = {"time": "a time", "number": "a number", "flag": "yes or no, true or false, 1 or 0"}.get(
                field.kind, "a text"
            )
            reasons.append(field.name + ": " + lost.map(quote) + f" is not {what}")
    unread = pd.concat(reasons) if reasons else pd.Series(dtype=str)
    return pd.DataFrame(columns, copy=False), unread


def _read(field: Field, given: pd.Series) -> pd.Series:
    if field.kind == "number":
        numbers = _numbers(given)
        return numbers.where(np.isfinite(numbers))
    if field.kind == "time":
        return _utc(given)
    if field.kind == "flag":
        return read_flags(as_text(given))
    return as_text(given)


def _numbers(given: pd.Series) -> pd.Series:
    """Values as numbers; texts in Arrow are read there, all but the few that are not written plainly."""
    if not isinstance(given.array, pd.arrays.ArrowStringArray):
        return pd.to_numeric(given, errors="coerce").astype("float64")
    texts = given.array.__arrow_array__()
    plain = pc.match_substring_regex(texts, PLAIN_NUMBER)
    numbers = pc.if_else(plain, texts, None).cast(arrow.float64()).to_numpy(zero_copy_only=False).copy()
    others = ~np.asarray(pc.fill_null(plain, True))
    numbers[others] = pd.to_numeric(given[others], errors="coerce")
    return pd.Series(numbers, index=given.index, name=given.name)


def _utc(given: pd.Series) -> pd.Series:
    """Times in UTC without a zone; each is read by what stands in it alone, one without an offset is in UTC."""
    if not pd.api.types.is_datetime64_any_dtype(given):
        given = read_times(as_text(given))
    times = given.dt.tz_convert("UTC").dt.tz_localize(None) if given.dt.tz is not None else given
    return times.astype("datetime64[us]")


def read_times(texts: pd.Series) -> pd.Series:
    """ISO 8601 texts as times. Those with and without an offset are read apart: pandas lets one take that of another.

    >>> read_times(pd.Series(["2024-01-01T10:00+02:00", "2024-01-01T10:00", "9999-12-31"])).astype(str).tolist()
    ['2024-01-01 08:00:00', '2024-01-01 10:00:00', '9999-12-31 00:00:00']
    """
    has_offset = texts.str.contains(OFFSET, regex=True, na=False).astype(bool)
    times = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
    for part in (texts[has_offset], texts[~has_offset]):
        read = pd.to_datetime(part.astype(object), errors="coerce", utc=True, format="ISO8601")
        times[part.index] = read.dt.tz_localize(None).astype("datetime64[us]")
    lost = texts[times.isna() & texts.notna()]
    far = lost.map({text: _beyond_nanoseconds(text) for text in lost.unique()}).astype("datetime64[us]")
    return times.fillna(far) if len(far) else times


def _beyond_nanoseconds(text: str) -> datetime | None:
    """A time before 1677 or after 2262, which pandas does not read from a text; None if the text is none.

    >>> _beyond_nanoseconds("9999-12-31T23:00:00-05:00")  # no calendar goes on: as it is written
    datetime.datetime(9999, 12, 31, 23, 0)
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return naive_utc(time) if not 1678 <= time.year <= 2261 else None
    except OverflowError:
        return time.replace(tzinfo=None)


def as_text(given: pd.Series) -> pd.Series:
    """Values as the text of an id: without blanks around it; what is blank is missing, 7.0 is 7."""
    if pd.api.types.is_float_dtype(given) and (given.dropna() % 1 == 0).all():
        given = given.astype("Int64")
    text = _texts(given)
    trimmed = pc.utf8_trim(text, characters=BLANKS)
    blank = pc.fill_null(pc.equal(trimmed, ""), False)
    filled = pc.if_else(blank, arrow.scalar(None, trimmed.type), trimmed)
    return pd.Series(pd.arrays.ArrowStringArray(filled), index=given.index, name=given.name)


def _texts(given: pd.Series) -> arrow.Array | arrow.ChunkedArray:
    """Values as texts in Arrow; a column that lies there already, as files do, makes no Python object of any row."""
    if isinstance(given.array, pd.arrays.ArrowStringArray):
        return _arrow(given)
    if given.dtype == object and pd.api.types.infer_dtype(given, skipna=True) in ("string", "empty"):
        return arrow.array(given.to_numpy(), type=arrow.string(), from_pandas=True)
    objects = given.astype("string").to_numpy(dtype=object, na_value=cast(Any, None))
    return arrow.array(objects, type=arrow.string(), from_pandas=True)


def _is_filled(values: pd.Series) -> pd.Series:
    """True where a value is there: neither missing nor blank."""
    there = values.notna()
    blank = values[there].astype("string").str.strip() == ""
    return there & ~blank.reindex(values.index, fill_value=False).astype(bool)


def _require_columns(spec: Table, raw: pd.DataFrame) -> None:
    for field in spec.fields:
        if field.required and field.name not in raw.columns:
            has_no_ids = spec.name == "profiles" and field.name == "customer_id"
            of_value = field.name == "label" and "realised_value" in raw.columns
            or_else = ", or say number_rows: true beside path if there are no ids" if has_no_ids else ""
            if of_value:
                or_else = ". If nothing says who left, write churn.forecast: false, and the value alone is forecast"
            if field.name == "customer_id" and not has_no_ids:
                or_else = ". Each row must say whom it is about: export the customer's number or e-mail address"
            raise DataError(
                f"{spec.name}: column '{field.name}' is missing{nearest(field.name, raw.columns)}; the table has "
                f"{', '.join(map(str, raw.columns))}; rename it under source.options.{spec.name}.columns{or_else}"
            )


def _broken_rules(
    spec: Table,
    frame: pd.DataFrame,
    now: datetime,
    customers: Collection[str] | arrow.Array | None,
    seen: KeysSeen,
) -> pd.Series:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pandera's own, while it collects what failed
            _rules(spec, now, customers, seen).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.dropna(subset=["index"])
        cases = cases.assign(place=cases["column"].map(spec.names.index)).sort_values(["place", "check"], kind="stable")
        return pd.Series(
            [f"{c}: {_RULES.get(r, r)}" for c, r in zip(cases["column"], cases["check"], strict=True)],
            index=cases["index"].astype(int),
            dtype=object,
        )
    return pd.Series(dtype=object)


_RULES = {
    "not_nullable": "is empty",
    "field_uniqueness": "occurs more than once; the first is used",
    "past": "lies in the future",
    "known_customer": "is no known customer",
    "short": f"is longer than {MAX_ID_LENGTH} characters, which no question to the service may be",
    "computable": f"is larger than {LARGEST:g}, which no sum can be computed with",
}


def id_array(ids: Collection[str] | arrow.Array) -> arrow.Array:
    """Ids as `check_table` compares them; made once where several parts are checked."""
    return ids if isinstance(ids, arrow.Array) else arrow.array(list(ids), type=arrow.large_string())


def _rules(
    spec: Table, now: datetime, customers: Collection[str] | arrow.Array | None, seen: KeysSeen
) -> pa.DataFrameSchema:
    present = pd.Timestamp(naive_utc(now))
    past = pa.Check(lambda times: times < present, name="past", error="past")
    ids = id_array(() if customers is None else customers)
    known = pa.Check(lambda given: _among(given, ids), name="known_customer", error="known_customer")
    again = "field_uniqueness"
    first = pa.Check(
        lambda keys: pd.Series(seen.first(keys), index=keys.index), name=again, error=again, ignore_na=False
    )

    def checks(field: Field) -> list[pa.Check]:
        rules = [first] if field.name == spec.key else []
        is_event = field.name == spec.time and spec.name != "subscriptions"  # contracts are booked ahead
        if is_event or field.name == "recorded_at":
            rules.append(past)
        if field.name == "customer_id" and customers is not None:
            rules.append(known)
        if field.kind == "id":
            rules.append(pa.Check(lambda ids: ids.str.len() <= MAX_ID_LENGTH, name="short", error="short"))
        if field.kind == "number" and (spec.name != "profiles" or field.name in MONEY[spec.name]):
            rules.append(pa.Check(lambda numbers: numbers.abs() <= LARGEST, name="computable", error="computable"))
        if field.at_least is not None:
            rules.append(pa.Check.ge(field.at_least, error=f"is less than {field.at_least:g}"))
        return rules

    return pa.DataFrameSchema(
        {
            f.name: pa.Column(
                nullable=f.nullable,
                checks=checks(f),
            )
            for f in spec.fields
            if checks(f) or not f.nullable
        }
    )


def _among(given: pd.Series, ids: arrow.Array) -> pd.Series:
    """True where an id is one of those."""
    return pd.Series(np.asarray(pc.is_in(_arrow(given), value_set=ids)), index=given.index)


def _arrow(texts: pd.Series) -> arrow.Array | arrow.ChunkedArray:
    if isinstance(texts.array, pd.arrays.ArrowStringArray):
        return texts.array.__arrow_array__().cast(arrow.large_string())
    return arrow.array(texts, type=arrow.large_string(), from_pandas=True)
