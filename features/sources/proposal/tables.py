"""Which table a file is, and which of its columns is which: by names, by contents, and by the ids that files share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.labels.label_column import find_label
from features.sources.proposal.columns import Column
from features.sources.proposal.lexicon import meaning
from features.sources.proposal.patterns import BY_CONTENT, name_score
from features.sources.proposal.time_in_names import time_told
from features.tables import ONE_ROW_A_CUSTOMER, TABLES, Field, Table

FILE_NAMES = {  # concepts of a file's name that speak for a table
    "customers": {"customer"},
    "orders": {"order", "financial"},
    "subscriptions": {"contract"},
    "interactions": {"interaction"},
    "contacts": {"campaign", "mailing", "sent"},
    "attribute_changes": {"change"},
    "profiles": {"label"},
}
OF_EVENTS = ("orders", "interactions", "contacts")
MANY_ROWS = 30
FIRST_COLUMNS = 8
SHARED = 0.8  # share of a column's values that are ids of customers, from which on it tells them
LEAST_SCORE = 0.55
LEAST_OF_ALL_FOUND = 0.5


@dataclass(frozen=True)
class Guess:
    """A column of the table, the file's column it seems to be, how sure that is (0 to 1), and why."""

    field: Field
    column: Column
    score: float
    why: str


NOT_FOUND = {
    "customer_id": "no column says whom a row is about: export the customer's number or e-mail address with each row; "
    "without it nothing can be learned of customers"
}


@dataclass(frozen=True)
class Reading:
    """What else the mapping of a file says, see `features.sources.mapping`: `where` and `ids` with their reasons.

    `missing` says of required columns that the file lacks what to export instead.
    """

    where: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    currency: str | None = None
    key_prefix: str | None = None
    may_be_empty: bool = False
    ids: tuple[tuple[str, ...], str] | None = None
    number_rows: bool = False
    notes: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableGuess:
    """What a file seems to be, with the matched columns and the required ones that are missing."""

    table: Table
    path: Path
    columns: tuple[Column, ...]
    guesses: tuple[Guess, ...]
    score: float
    reading: Reading | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Required columns of the table that no column of the file seems to be."""
        found = {g.field.name for g in self.guesses}
        found |= {"customer_id"} if self.reading is not None and self.reading.number_rows else set()
        found |= {"label"} if "realised_value" in found else set()  # a ready table may have a value alone
        return tuple(f.name for f in self.table.fields if f.required and f.name not in found)

    @property
    def instead(self) -> dict[str, str]:
        """Of columns that are missing: what to export."""
        told = {**NOT_FOUND, **(self.reading.missing if self.reading is not None else {})}
        return {name: told[name] for name in self.missing if name in told}

    @property
    def spare(self) -> tuple[Column, ...]:
        """Columns of the file that are none of the table's."""
        used = {g.column.name for g in self.guesses}
        return tuple(c for c in self.columns if c.name not in used)

    def column(self, name: str) -> Column | None:
        """The file's column for a column of the table."""
        return next((g.column for g in self.guesses if g.field.name == name), None)

    @property
    def is_one_row_a_customer(self) -> bool:
        """No customer stands in two rows."""
        ids = self.column("customer_id")
        return ids is not None and ids.is_unique

    @property
    def is_list_of_customers(self) -> bool:
        """Exact copies of rows aside, hardly any customer stands in two rows."""
        ids = self.column("customer_id")
        return ids is not None and ids.is_nearly_unique


def columns_of(sample: pd.DataFrame | Sequence[pd.DataFrame]) -> tuple[Column, ...]:
    """The columns of a sample, or of samples of files with the same columns.

    ``attrs["is_part"]`` of a sample says whether its file goes on.
    """
    samples = [sample] if isinstance(sample, pd.DataFrame) else list(sample)
    is_part, copies = any(one.attrs.get("is_part") for one in samples), sum(map(_copies, samples))
    files = np.repeat(np.arange(len(samples)), [len(one) for one in samples]) if len(samples) > 1 else None
    names = [str(name) for name in samples[0].columns]
    values = (_stacked([one.iloc[:, place] for one in samples]) for place in range(len(names)))
    return tuple(Column(name, own, is_part, copies, files) for name, own in zip(names, values, strict=True))


def _stacked(parts: Sequence[pd.Series]) -> pd.Series:
    """The values of one column in all files; where their types differ, as they are in each."""
    numbers = all(pd.api.types.is_numeric_dtype(p) and not pd.api.types.is_bool_dtype(p) for p in parts)
    if len({str(part.dtype) for part in parts}) > 1 and not numbers:
        parts = [part.astype(object) for part in parts]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _copies(sample: pd.DataFrame) -> int:
    """Rows that are exact copies of others; rows that differ in their first columns are not looked at further."""
    rows = sample.set_axis(range(sample.shape[1]), axis=1)
    try:
        rows = rows[rows[list(rows.columns[:FIRST_COLUMNS])].duplicated(keep=False)]
        return int(rows.duplicated().sum())
    except TypeError:  # a column of lists: no export of rows and columns
        return 0


def guess_tables(
    samples: dict[Path, tuple[Column, ...]], among: Collection[str] = tuple(TABLES)
) -> tuple[list[TableGuess], list[Path]]:
    """Guess which table each file is.

    Parameters
    ----------
    samples
        Columns of each file.
    among
        The tables that are thought of.

    Returns
    -------
    list of TableGuess, list of pathlib.Path
        Of the files that fit a table, in the order of the tables; and the files that fit none.
    """
    first = {path: guess_table(path, columns, among) for path, columns in samples.items()}
    ids = {
        str(value)
        for guess in first.values()
        if guess and guess.is_list_of_customers and guess.table.name in ONE_ROW_A_CUSTOMER
        for value in getattr(guess.column("customer_id"), "filled", ())
    }
    again = {path: guess_table(path, columns, among, ids) for path, columns in samples.items()} if ids else first
    order = list(TABLES)
    found = sorted((g for g in again.values() if g), key=lambda g: order.index(g.table.name))
    return found, [path for path, guess in again.items() if guess is None]


def guess_table(
    path: Path, columns: tuple[Column, ...], among: Collection[str] = tuple(TABLES), ids: Collection[str] = ()
) -> TableGuess | None:
    """Guess which table a file is; None if it fits none.

    Parameters
    ----------
    path, columns
        The file and its columns.
    among
        The tables that are thought of.
    ids
        Ids of customers, as far as other files tell them.
    """
    guesses = [fit(TABLES[name], path, columns, ids) for name in among]
    best = max(guesses, key=lambda g: (g.score, len(g.guesses)), default=None)
    return best if best and best.score >= (LEAST_SCORE if best.missing else LEAST_OF_ALL_FOUND) else None


def fit(table: Table, path: Path, columns: tuple[Column, ...], ids: Collection[str] = ()) -> TableGuess:
    """The columns of a file that seem to be those of a table, and how well the file fits it."""
    matches = _match(table, columns, ids)
    guesses = tuple(matches[name] for name in table.names if name in matches)
    guess = TableGuess(table, path, columns, guesses, 0.0)
    return TableGuess(table, path, columns, guesses, _score(guess))


def _match(table: Table, columns: Sequence[Column], ids: Collection[str]) -> dict[str, Guess]:
    scored = sorted(
        (guess for field in table.fields for column in columns if (guess := _guess(field, column, table, ids))),
        key=lambda g: (-g.score, table.names.index(g.field.name)),
    )
    matches: dict[str, Guess] = {}
    for guess in scored:
        if guess.field.name not in matches and guess.column not in [g.column for g in matches.values()]:
            matches[guess.field.name] = guess
    _label_by_values(table, columns, matches)
    _value_by_name(table, columns, matches)
    _one_row_is_a_contract(table, matches)
    _match_by_content(table, columns, matches)
    return matches


def _guess(field: Field, column: Column, table: Table, ids: Collection[str]) -> Guess | None:
    score, why = name_score(field.name, column)
    if table.name == "profiles" and field.name == "customer_id":
        score *= 1.0 if column.is_nearly_unique else 0.0
    fits, content = _fits(field, column, field.name == table.key)
    if field.name == "customer_id" and ids and table.name not in ONE_ROW_A_CUSTOMER and column.distinct > 1:
        share = float(column.filled.astype(str).isin(ids).mean())
        if share >= SHARED and not column.is_time:
            score, why = score + 1, f"{share:.0%} of its values are ids of customers"
        elif share < 1 - SHARED:
            score /= 2
    if table.name in ONE_ROW_A_CUSTOMER and field.name == "customer_id" and column.is_nearly_unique:
        score += (0.2 if column.is_row_name else 0.1) if score else 0.0
    return Guess(field, column, score, f"{why}; {content}") if score and fits else None


def _fits(field: Field, column: Column, key: bool) -> tuple[bool, str]:
    if column.filled.empty:
        return not field.required, "empty in the sample"
    if field.kind == "time":
        return column.is_time, "its values are times"
    if field.kind == "number":
        return column.is_number and not (field.name == "amount" and column.is_always_one), "its values are numbers"
    if field.kind == "flag":
        return column.distinct == 2 and not column.is_time, "it has two values"
    rows = f"{column.distinct:,} different values in {len(column.filled):,} rows"
    if field.kind == "id":
        fits = not column.is_time and not column.has_fractions and (not key or column.distinct > 1)
        return fits, rows
    return not (column.is_time and field.name != "campaign"), rows


def _label_by_values(table: Table, columns: Sequence[Column], matches: dict[str, Guess]) -> None:
    """A label is also known by two values of which one says that the customer left."""
    wanted = next((f for f in table.fields if f.name == "label"), None)
    if wanted is None or "label" in matches:
        return
    taken = [g.column for g in matches.values()]
    guess = find_label(pd.DataFrame({c.name: c.values for c in columns if c not in taken and c.distinct == 2}))
    if guess is not None:
        column = next(c for c in columns if c.name == guess.column)
        matches["label"] = Guess(wanted, column, guess.score, guess.why)


def _value_by_name(table: Table, columns: Sequence[Column], matches: dict[str, Guess]) -> None:
    """A number of a time that follows is what came of a customer: left among the features it would tell the label."""
    wanted = next((f for f in table.fields if f.name == "realised_value"), None)
    if wanted is None or wanted.name in matches:
        return
    taken = [g.column for g in matches.values()]
    numbers = [c for c in columns if c not in taken and c.is_number and c.distinct > 2]
    found = [c for c in numbers if (told := time_told(c.name)) and told.kind == "ahead"]
    if found:
        best = max(found, key=lambda c: "amount" in c.meaning.concepts)  # the first of those of money, else the first
        matches[wanted.name] = Guess(wanted, best, BY_CONTENT, "its name says that it is of the time that follows")


def _one_row_is_a_contract(table: Table, matches: dict[str, Guess]) -> None:
    """A file of one contract a customer: its id is the id of both."""
    customer = matches.get("customer_id")
    if table.name != "subscriptions" or not customer or not customer.column.is_unique or table.key in matches:
        return
    key = table.fields[0]
    matches[table.key] = Guess(key, customer.column, customer.score * 0.9, "one contract a customer: the same id")


def _match_by_content(table: Table, columns: Sequence[Column], matches: dict[str, Guess]) -> None:
    """Required columns that no name told, where only one column can be it."""
    for wanted in table.fields:
        if wanted.name in matches or not (wanted.required or wanted.name == "amount"):
            continue
        free = [c for c in columns if c not in [g.column for g in matches.values()] and not c.filled.empty]
        fitting = [c for c in free if _could_be(wanted, c, wanted.name == table.key, table)]
        if len(fitting) == 1:
            matches[wanted.name] = Guess(
                wanted, fitting[0], BY_CONTENT, "no other column can be it: by its values alone"
            )


def _could_be(field: Field, column: Column, key: bool, table: Table) -> bool:
    said = column.meaning.concepts
    if field.kind == "time":
        return column.is_time and not said & {"birth", "end", "cancel", "renew"}
    if field.kind == "number":
        return (
            column.has_fractions
            and not column.is_always_one
            and not said & {"tax", "shipping", "discount", "unit", "cost", "age"}
        )
    if column.is_time or column.has_fractions or column.is_category:
        return False
    if key:
        return column.is_unique and not said
    return field.name == "customer_id" and not said and column.distinct > 1 and not column.is_unique


def _score(guess: TableGuess) -> float:
    """Mean certainty of the required columns, and what the file's name, its shape and other columns add."""
    table = guess.table
    required = [f.name for f in table.fields if f.required]
    if guess.column("realised_value") and not guess.column("label"):  # a value alone
        required = [name for name in required if name != "label"]
    score = sum(min(g.score, 1.0) for g in guess.guesses if g.field.name in required) / len(required)
    optional = [g for g in guess.guesses if g.field.name not in (*required, "recorded_at")]
    score += sum(0.06 * g.score for g in optional)
    said = meaning(guess.path.stem).concepts
    score += 0.25 if said & FILE_NAMES.get(table.name, set()) else 0.0
    rows = len(guess.columns[0].values) if guess.columns else 0
    if table.name in ONE_ROW_A_CUSTOMER:
        score += 0.1 if guess.is_list_of_customers else -0.6
    elif table.name in OF_EVENTS and guess.is_one_row_a_customer and rows >= MANY_ROWS:
        score -= 0.3
    if table.name == "subscriptions" and not said & {"contract"}:
        own = {g.field.name for g in guess.guesses} & {
            "ended_at",
            "cancelled_at",
            "renews_at",
            "price_per_month",
            "plan",
        }
        starts = name_score("started_at", c)[0] if (c := guess.column("started_at")) else 0.0
        has_contract = any("contract" in column.meaning.concepts for column in guess.columns)
        score -= 0.0 if len(own) > 1 and (starts >= 0.55 or has_contract) else 0.5
    if guess.missing:
        score -= 0.15 * len(guess.missing)
    return score
