"""What the files suggest for the business as a whole: what leaving means, how far to look, which columns to audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from features.labels.label_column import find_label
from features.sources.proposal import lexicon
from features.sources.proposal.columns import Column, times_of
from features.sources.proposal.event_times import with_recorded_later
from features.sources.proposal.lexicon import SENSITIVE
from features.sources.proposal.notices import with_notice
from features.sources.proposal.order_lines import lines_of
from features.sources.proposal.outcomes import left_out, notes
from features.sources.proposal.repairs import with_repairs
from features.sources.proposal.row_rules import row_rules
from features.sources.proposal.skeleton import skeleton, why_aside
from features.sources.proposal.tables import Guess, Reading, TableGuess, guess_table, guess_tables
from features.sources.rows.meaning import normalized
from features.tables import CUSTOMERS, ONE_ROW_A_CUSTOMER, TABLES

LADDER = (7, 14, 30, 60, 90, 120, 180, 270, 365, 540, 730, 1095)
GAPS_ACTIVE = 3
LEAST_HORIZON = 30
AGREED_FILLED, AGREED_AHEAD = 0.95, 0.05
LONG_CONTRACT_DAYS = 300
SEXES, WOMEN = frozenset(lexicon.ANY_SEX.split()), frozenset(lexicon.WOMEN.split())
GROWN_UP_YEARS = 14
UNDATED = frozenset({"status", "label", "end", "cancel"})  # what such a column says of a customer, it says of today


@dataclass(frozen=True)
class Rhythm:
    """Days of the usual gap between orders (or of a contract), of how many customers it is seen, and days of data."""

    gap_days: float
    customers: int
    span_days: int
    is_part: bool = False  # the files go on after what was looked at


@dataclass(frozen=True)
class Business:
    """What is proposed.

    Attributes
    ----------
    kind
        ``churn.kind``.
    tables
        The files of each table, by its name: those of one entry have the same columns.
    customers_from
        The table whose first row is the sign-up, where there is no list of customers.
    aside
        Files that are not used, and why.
    rhythm
        Of orders or contracts, if it can be seen.
    """

    kind: str
    tables: dict[str, list[list[TableGuess]]]
    customers_from: str | None
    aside: dict[Path, str]
    rhythm: Rhythm | None

    @property
    def missing(self) -> tuple[str, ...]:
        """Tables that this kind of churn needs and no file holds."""
        need = {"inactivity": "orders", "contract": "subscriptions", "label": "profiles"}[self.kind]
        return () if need in self.tables else (need,)

    def to_dict(self) -> dict[str, Any]:
        """What each file seems to be, as values that JSON can hold."""
        guesses = [(n, g) for n, entries in self.tables.items() for entry in entries for g in entry]
        return {
            "kind": self.kind,
            "tables": [
                {"table": n, "path": str(g.path), "missing": list(g.missing), "instead": g.instead} for n, g in guesses
            ],
            "customers_from": self.customers_from,
            "missing": list(self.missing),
            "outcomes": [
                {"table": n, "column": column, "why": why}
                for n in ONE_ROW_A_CUSTOMER
                for entry in self.tables.get(n, [])
                for column, why in outcome_notes(entry[0]).items()
            ],
            "not_used": [{"path": str(path), "why": why} for path, why in self.aside.items()],
        }


def understand(samples: dict[Path, tuple[Column, ...]]) -> Business:
    """Say what the files are to one another: the business that they tell of.

    Parameters
    ----------
    samples
        Columns of each file.
    """
    found, unknown = guess_tables(samples)
    if not found:
        found = [guess for path in unknown if (guess := _without_ids(path, samples[path]))]
        unknown = [path for path in unknown if path not in {guess.path for guess in found}]
    if not {"orders", "subscriptions"} & {g.table.name for g in found}:
        found = [g if g.reading else _more_than_a_list(g) for g in found]
    names = {g.table.name for g in found}
    kind = "contract" if "subscriptions" in names else "inactivity" if "orders" in names else "label"
    if kind == "label" and "profiles" not in names:
        kind = "inactivity"
    need = () if kind == "label" or {"orders", "subscriptions"} & names else ("orders", "subscriptions")
    if need or not found:
        asked = skeleton({path: samples[path] for path in unknown}, need or ("profiles",))
        found = sorted([*found, *asked], key=lambda g: list(TABLES).index(g.table.name))
        unknown = [path for path in unknown if path not in {g.path for g in asked}]
        kind = "contract" if any(g.table.name == "subscriptions" for g in asked) else kind
    aside = why_aside({path: samples[path] for path in unknown})
    if kind != "label":
        found = [dated for g in found if (dated := _with_dates(g, aside))]
    kept = [g for g in found if kind != "label" or g.table.name == "profiles"]
    aside |= {g.path: "profiles go alone: churn by label has no dates" for g in found if g not in kept}
    kept = _customers([_with_agreed_end(with_notice(g)) for g in kept], aside)
    kept = [with_recorded_later(_with_rules(g)) for g in kept]
    tables = with_repairs({name: _alike(list(group)) for name, group in groupby(kept, key=lambda g: g.table.name)})
    events = {"inactivity": "orders", "contract": "subscriptions", "label": ""}[kind]
    origin = events if events in tables and "customers" not in tables else None
    return Business(kind, tables, origin, aside, rhythm(tables.get(events, [])))


def _more_than_a_list(guess: TableGuess) -> TableGuess:
    """With nothing else that customers did, a list of them with ends tells contracts, one with a label who left."""
    if guess.table.name not in ONE_ROW_A_CUSTOMER:
        return guess
    contracts = guess_table(guess.path, guess.columns, ("subscriptions",))
    if contracts and (contracts.column("ended_at") or contracts.column("cancelled_at")) and not contracts.missing:
        return contracts
    profiles = guess_table(guess.path, guess.columns, ("profiles",))
    return profiles if profiles and (profiles.column("label") or profiles.column("realised_value")) else guess


def _without_ids(path: Path, columns: tuple[Column, ...]) -> TableGuess | None:
    """A table with a column that says who left and no column of ids: its rows are numbered."""
    flags = [c for c in columns if c.distinct == 2]
    label = find_label(pd.DataFrame({c.name: c.values for c in flags})) if flags else None
    if label is None or label.score < 1:
        return None
    column = next(c for c in flags if c.name == label.column)
    field = next(f for f in TABLES["profiles"].fields if f.name == "label")
    reading = Reading(number_rows=True)
    return TableGuess(TABLES["profiles"], path, columns, (Guess(field, column, label.score, label.why),), 0.5, reading)


def _with_dates(guess: TableGuess, aside: dict[Path, str]) -> TableGuess | None:
    """Beside tables of events a file with one row a customer is the list of customers, whatever else it holds."""
    if guess.table.name != "profiles":
        return guess
    again = guess_table(guess.path, guess.columns, ("customers",))
    if again is None:
        aside[guess.path] = "one row a customer without a date of sign-up"
    return again


def _customers(kept: list[TableGuess], aside: dict[Path, str]) -> list[TableGuess]:
    """A list of customers without sign-ups is of no use; contracts of one row a customer are such a list, too."""
    for guess in [g for g in kept if g.table.name == "customers" and "signed_up_at" in g.missing]:
        aside[guess.path] = "one row a customer without a date of sign-up"
        kept = [g for g in kept if g is not guess]
    contracts = [g for g in kept if g.table.name == "subscriptions"]
    if any(g.table.name == "customers" for g in kept) or len(contracts) != 1 or not contracts[0].is_one_row_a_customer:
        return kept
    fields = {f.name: f for f in CUSTOMERS.fields}
    renamed = {"customer_id": "customer_id", "started_at": "signed_up_at", "recorded_at": "recorded_at"}
    own = tuple(
        replace(g, field=fields[renamed[g.field.name]]) for g in contracts[0].guesses if g.field.name in renamed
    )
    used = {g.column.name for g in contracts[0].guesses}
    columns = tuple(c for c in contracts[0].columns if c.name not in used or c in [g.column for g in own])
    return [TableGuess(TABLES["customers"], contracts[0].path, columns, own, 1.0), *kept]


def _with_rules(guess: TableGuess) -> TableGuess:
    where, notes = row_rules(guess.table.name, guess.spare, guess.column("amount"))
    numbers = {g.field.name: g.column for g in guess.guesses if g.field.kind == "number"}
    key = guess.column(guess.table.key)
    lines = lines_of(key, numbers, guess.columns) if guess.table.name == "orders" and key else {}
    if not (where or notes or lines):
        return guess
    reading = guess.reading or Reading()
    return replace(guess, reading=replace(reading, where=where, lines=lines, notes=(*reading.notes, *notes)))


def _with_agreed_end(guess: TableGuess) -> TableGuess:
    """Ends that nearly every contract has, many after the last start, are agreed: nobody has left by them yet."""
    end, start = guess.column("ended_at"), guess.column("started_at")
    if guess.table.name != "subscriptions" or end is None or start is None or guess.column("renews_at"):
        return guess
    ends, last = times_of(end), times_of(start).max()
    if len(ends) < AGREED_FILLED * len(end.values) or (ends > last).mean() < AGREED_AHEAD:
        return guess
    agreed = next(f for f in guess.table.fields if f.name == "renews_at")
    why = "nearly every contract has one, and many lie ahead: the end that was agreed"
    own = (replace(g, field=agreed, why=why) if g.field.name == "ended_at" else g for g in guess.guesses)
    return replace(guess, guesses=tuple(own))


def _alike(guesses: list[TableGuess]) -> list[list[TableGuess]]:
    """Files whose columns were looked at together, together; in the order of their names."""
    by_columns: dict[tuple[int, ...], list[TableGuess]] = {}
    for guess in sorted(guesses, key=lambda g: str(g.path)):
        by_columns.setdefault(tuple(map(id, guess.columns)), []).append(guess)
    return list(by_columns.values())


def rhythm(entries: list[list[TableGuess]]) -> Rhythm | None:
    """Of orders: the middle of the customers' own middle gaps; of contracts: the middle length of those that ended."""
    parts = [part for entry in entries if (part := _days(entry[0])) is not None]
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True).drop_duplicates()
    if rows.empty:
        return None
    span = int((rows["day"].max() - rows["day"].min()).days)
    is_part = any(c.is_part for entry in entries for guess in entry for c in guess.columns)
    if "end" in rows:
        lengths = (rows["end"] - rows["day"]).dt.days.dropna()
        return Rhythm(float(lengths.median()), len(lengths), span, is_part) if len(lengths) else None
    middles = middle_gaps(rows["customer"], rows["day"])
    return Rhythm(float(middles.median()), len(middles), span, is_part) if len(middles) else None


def middle_gaps(customers: pd.Series, days: pd.Series) -> pd.Series:
    """The middle gap in days between the orders of each customer who has two days with one.

    Parameters
    ----------
    customers, days
        One row a customer and day with an order, in any order.

    Examples
    --------
    >>> days = pd.Series(pd.to_datetime(["2024-01-08", "2024-01-01", "2024-01-02"]))
    >>> middle_gaps(pd.Series(["ann", "ann", "bob"]), days).to_dict()
    {'ann': 7.0}
    """
    rows = pd.DataFrame({"customer": customers, "day": days}).sort_values(["customer", "day"])
    gaps = rows.groupby("customer")["day"].diff().dt.days
    return gaps.groupby(rows["customer"]).median().dropna()


def _days(guess: TableGuess) -> pd.DataFrame | None:
    ids, time = guess.column("customer_id"), guess.column(guess.table.time)
    if ids is None or time is None:
        return None
    rows = pd.DataFrame({"customer": ids.filled.astype(str), "day": times_of(time).dt.normalize()}).dropna()
    rows = rows[rows.index.isin(_counting(guess))]
    if guess.table.name == "subscriptions":
        end = guess.column("ended_at") or guess.column("cancelled_at")
        if end is None:
            return None
        rows["end"] = times_of(end)
    return rows


def _counting(guess: TableGuess) -> pd.Index:
    """The rows of a file that its proposed rules keep."""
    kept = pd.Series(True, index=guess.columns[0].values.index)
    by_name = {c.name: c for c in guess.columns}
    for name, (rule, _) in (guess.reading.where if guess.reading else {}).items():
        values = by_name[name].filled.astype(str).reindex(kept.index).fillna("")
        if isinstance(rule, list):
            kept &= values.isin([str(value or "") for value in rule])
        elif "not" in rule:
            kept &= ~values.isin([str(value or "") for value in rule["not"]])
        else:
            kept &= (values == "") == rule["empty"]
    return kept.index[kept]


def rounded_up(days: float) -> int:
    """The next number of days that people use."""
    return next((step for step in LADDER if step >= days), LADDER[-1])


def sensitive_columns(columns: Sequence[Column], is_known_from: pd.Series | None = None) -> list[Column]:
    """Columns to audit for fairness: by whole words of their names in any of the languages, or by their values.

    Parameters
    ----------
    columns
        Those that are none of the table's own.
    is_known_from
        When customers signed up: dates that lie many years before are birth dates, whatever they are called.
    """
    return [c for c in columns if c.meaning.concepts & set(SENSITIVE) or _is_sex(c) or _is_birth(c, is_known_from)]


def _is_sex(column: Column) -> bool:
    words = {normalized(str(value)) for value in column.counts.head(10).index}
    return 2 <= column.distinct <= 6 and words <= SEXES and bool(words & WOMEN)


def _is_birth(column: Column, signed_up: pd.Series | None) -> bool:
    if signed_up is None or signed_up.empty or not column.is_time:
        return False
    born = times_of(column)
    return len(born) > 0 and _middle_year(signed_up) - _middle_year(born) > GROWN_UP_YEARS


def _middle_year(times: pd.Series) -> float:
    return float(times.dt.year.median())


def attribute_columns(columns: Sequence[Column]) -> list[Column]:
    """Columns of few values that may have been known from the sign-up on."""
    asked = left_out(columns)
    known = [c for c in columns if c.is_category and not c.meaning.concepts & UNDATED and not _is_personal(c)]
    return [c for c in known if c.name not in asked]


def customer_columns(guess: TableGuess) -> tuple[list[Column], list[Column]]:
    """Of a list of customers: attributes, and sensitive columns."""
    time = guess.column("signed_up_at")
    sensitive = sensitive_columns(guess.spare, None if time is None else times_of(time))
    return [c for c in attribute_columns(guess.spare) if c not in sensitive], sensitive


def outcome_notes(guess: TableGuess) -> Mapping[str, str]:
    """What is said of columns of one row a customer whose names speak of a time after, by name."""
    _, sensitive = customer_columns(guess)
    spare = [c for c in guess.spare if c not in sensitive]
    return notes(spare if guess.table.name == "profiles" else [c for c in spare if c.is_category], guess.table.name)


def _is_personal(column: Column) -> bool:
    return bool(column.meaning.concepts & {"name"})
