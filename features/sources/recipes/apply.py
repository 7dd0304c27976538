"""A recipe and a user's files -> the business that they tell of, to be written as a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import DataError
from features.sources.proposal.business import Business, rhythm
from features.sources.proposal.columns import Column
from features.sources.proposal.order_lines import lines_of
from features.sources.proposal.repairs import with_repairs
from features.sources.proposal.tables import Guess, Reading, TableGuess
from features.sources.recipes.recipe import (
    WITHOUT_HUNDREDTHS,
    Recipe,
    Variant,
    first_of,
    mapped,
    read_recipe,
    scales,
    where_of,
)
from features.tables import TABLES


def understand_by_recipe(name: str, samples: Mapping[Path, tuple[Column, ...]]) -> Business:
    """Say what the files of a system are.

    Parameters
    ----------
    name
        Of the recipe.
    samples
        Columns of each file.

    Raises
    ------
    ConfigError
        There is no such recipe.
    DataError
        No file has a shape that the recipe knows.
    """
    recipe = read_recipe(name)
    tables: dict[str, dict[Any, list[TableGuess]]] = {}
    aside = {}
    for path, columns in sorted(samples.items(), key=lambda item: str(item[0])):
        found = recipe.readings(columns)
        if found is None:
            aside[path] = f"not known to the recipe of {recipe.title}"
            continue
        table, variants = found
        for place, guess in _guesses(table, variants, path, columns):
            tables.setdefault(table, {}).setdefault((place, tuple(map(id, columns))), []).append(guess)
    if not tables:
        raise DataError(
            f"no file is an export of {recipe.title} as its recipe knows it; {_expected(recipe)}. "
            "Export with these names (as a rule by the language of your account), or leave out --recipe"
        )
    entries = with_repairs({t: list(tables[t].values()) for t in TABLES if t in tables})
    kind = recipe.kind if recipe.kind != "contract" or "subscriptions" in entries else "inactivity"
    events = "subscriptions" if kind == "contract" else "orders"
    origin = events if events in entries and "customers" not in entries else None
    return Business(kind, entries, origin, aside, rhythm(entries.get(events, [])))


def _expected(recipe: Recipe) -> str:
    parts = [
        f"{table}: {', '.join(' or '.join(names) for names in variants[0].known_by)}"
        for table, variants in recipe.tables.items()
    ]
    return "it knows files with these columns: " + "; ".join(parts)


def _guesses(
    table: str, variants: list[Variant], path: Path, columns: tuple[Column, ...]
) -> Iterator[tuple[Any, TableGuess]]:
    """The readings of a file, each with what tells it from the others."""
    for place, variant in enumerate(variants):
        for period, scale in scales(variant, columns):
            yield (place, period), _guess(table, variant, path, columns, period, scale)


def _guess(
    table: str, variant: Variant, path: Path, columns: tuple[Column, ...], period: str | None, scale: float
) -> TableGuess:
    spec = TABLES[table]
    found = mapped(variant, columns)
    guesses = tuple(Guess(f, found[f.name], 1.0, "by the recipe") for f in spec.fields if f.name in found)
    reading = _reading(variant, columns, found)
    if period is not None and variant.periods is not None:
        column = first_of(variant.periods.column, columns)
        own_rows = {column.name: ([period], "prices of this period")} if column else {}
        reading = replace(reading, where={**own_rows, **reading.where}, may_be_empty=True)
    if scale != 1.0:
        own = reading.numbers.get("price_per_month", {})
        price = {**own, "scale": own.get("scale", 1.0) * scale}
        reading = replace(reading, numbers={**reading.numbers, "price_per_month": price})
    return TableGuess(spec, path, columns, guesses, 1.0, reading)


def _reading(variant: Variant, columns: tuple[Column, ...], found: Mapping[str, Column]) -> Reading:
    where = {}
    for rule in variant.where:
        if (entry := where_of(rule, columns)) is not None:
            name, kept, rows = entry
            where[name] = (kept, f"leaves out {rows:,} rows of the sample")
    notes = [variant.why] if variant.why else []
    currency = first_of(variant.currency, columns)
    if variant.hundredths and currency is not None:
        odd = [str(code) for code in currency.counts.index if str(code).upper() in WITHOUT_HUNDREDTHS]
        if odd:
            where[currency.name] = ({"not": odd}, "has no hundredths: read such rows by an entry of their own")
    numbers: dict[str, dict[str, Any]] = {n: dict(how) for n, how in variant.numbers.items() if n in found}
    for key, names, words in (("times", variant.per_unit, "times"), ("per", variant.per_count, "over")):
        factor = first_of(names, columns)
        if factor is not None and "price_per_month" in found:
            numbers["price_per_month"] = {**numbers.get("price_per_month", {}), key: factor.name}
            notes.append(f"price_per_month: {found['price_per_month'].name} {words} {factor.name}")
    own = found.get("subscription_id")
    lines = {name: how for name, how in variant.lines.items() if name in found}
    if own is not None and lines and own.counts.max() > 1 and _are_items(variant, columns, found):
        notes.append(f"rows that share one {own.name} are its items: their prices are added up")
    elif own is not None:
        lines = {}
        if own.counts.max() > 1:
            notes.append(
                f"DOUBT: rows share one {own.name}, and only the first counts; items of one contract are added up by "
                "lines: {price_per_month: sum}"
            )
    return Reading(
        where=where,
        lines=lines,
        numbers=numbers,
        values={name: dict(words) for name, words in variant.values.items() if name in found},
        currency=None if currency is None or currency.filled.empty else currency.name,
        key_prefix=variant.key_prefix,
        may_be_empty=variant.also,
        notes=tuple(notes),
        missing=variant.missing,
    )


def _are_items(variant: Variant, columns: tuple[Column, ...], found: Mapping[str, Column]) -> bool:
    """Whether rows of one contract differ, and in nothing but what they sell: copies and later states are no items."""
    own = found["subscription_id"]
    names = (variant.currency, variant.periods.column if variant.periods else ())
    alike = [column for name, column in found.items() if name not in ("subscription_id", "plan", "price_per_month")]
    alike += [column for column in (first_of(some, columns) for some in names) if column is not None]
    rows = pd.DataFrame({n: column.values.astype("string").fillna("") for n, column in enumerate(alike)})
    key = own.values.astype("string").fillna("")
    if own.files is not None:
        key = pd.Series(own.files, index=key.index).astype("string") + " " + key
    is_one = not rows.groupby(key).nunique().gt(1).any(axis=None)
    return is_one and not own.copies and bool(lines_of(own, {"price_per_month": found["price_per_month"]}, columns))
