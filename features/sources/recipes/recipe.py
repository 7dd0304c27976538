"""A recipe: what the exports of one system are called and mean, and its use on the columns of a user's files.

Every name in a recipe may be a list of names, of which the first that a file has is taken: systems rename columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from configs.errors import ConfigError, DataError, nearest
from configs.settings import Section
from configs.yaml_file import read_yaml
from features.sources.proposal.columns import Column
from features.sources.rows.meaning import normalized
from features.tables import TABLES

ROOM = Path(str(resources.files("features.sources.recipes")))

Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
WITHOUT_HUNDREDTHS = frozenset(("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "PYG", "RWF"))


class Rule(Section):
    """Which rows of a file are rows of the table, by one column; see ``where`` in `features.sources.mapping`.

    Attributes
    ----------
    column
        Its name; a rule of a column that a file does not have is left out.
    keep, excluded, empty
        As in the mapping.
    like
        A pattern: the values of the file that hold it, in any case, are kept.
    """

    column: Names
    keep: tuple[str, ...] = ()
    excluded: tuple[str | None, ...] = Field(default=(), alias="not")
    empty: bool | None = None
    like: str | None = None


class Periods(Section):
    """Prices of several periods: the column that tells it, and by what a price is divided to be that of a month."""

    column: Names
    scale: dict[str, float]


class Variant(Section):
    """One shape of the files of a table.

    Attributes
    ----------
    known_by, without
        Columns that such a file has, and columns that it does not have.
    columns
        Names of the file, by our names.
    also
        A further reading of the same file, beside the one before.
    lines
        One line an item: how the numbers of an order's lines are combined; of contracts, where rows share an id and
        differ in nothing but plan and price.
    hundredths
        Numbers that are told in the smallest unit of their currency.
    per_unit
        The column that says for how many units the price of one is to be paid.
    per_count
        The column that says of how many periods the price is.
    why
        In words, for the proposal.
    missing
        Of required columns that such a file may lack: what to export instead, in words.
    """

    known_by: tuple[Names, ...]
    without: tuple[str, ...] = ()
    columns: dict[str, Names]
    also: bool = False
    key_prefix: str | None = None
    currency: Names = ()
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    hundredths: tuple[str, ...] = ()
    lines: dict[str, Literal["once", "sum"]] = Field(default_factory=dict)
    where: tuple[Rule, ...] = ()
    periods: Periods | None = None
    per_unit: Names = ()
    per_count: Names = ()
    why: str = ""
    missing: dict[str, str] = Field(default_factory=dict)

    def fits(self, columns: Sequence[Column]) -> bool:
        """Whether a file has this shape."""
        has_all = all(first_of(names, columns) for names in self.known_by)
        return has_all and not any(first_of((name,), columns) for name in self.without)


class Recipe(Section):
    """All that is known of one system."""

    title: str
    kind: Literal["inactivity", "contract"]
    tables: dict[str, tuple[Variant, ...]]

    def readings(self, columns: Sequence[Column]) -> tuple[str, list[Variant]] | None:
        """The table that a file is, and how it is read: the first shape that fits, and further readings of it."""
        for table in TABLES:
            fitting = [v for v in self.tables.get(table, ()) if v.fits(columns)]
            first = next((v for v in fitting if not v.also), None)
            if first is not None:
                return table, [first, *(v for v in fitting if v.also)]
        return None


def recipes() -> tuple[str, ...]:
    """Names of all recipes."""
    return tuple(sorted(path.stem for path in ROOM.glob("*.yaml")))


def export_instead(table: str, column: str, names: Iterable[str]) -> str:
    """What to export instead of a file that lacks a column, if a recipe knows files of these names; empty if none does.

    >>> export_instead("orders", "customer_id", ["order #", "Status", "N. Revenue"])[:44]
    "the download of WooCommerce's analytics page"
    """
    plain = {_plain(name) for name in names}
    for recipe in map(read_recipe, recipes()):
        for variant in recipe.tables.get(table, ()):
            known = all(any(_plain(name) in plain for name in alternatives) for alternatives in variant.known_by)
            if known and column in variant.missing:
                return variant.missing[column]
    return ""


def read_recipe(name: str) -> Recipe:
    """Read the recipe of a system.

    Raises
    ------
    ConfigError
        There is no such recipe.
    """
    known = recipes()
    if name not in known:
        raise ConfigError(f"no recipe '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return Recipe.model_validate(read_yaml(ROOM / f"{name}.yaml"))


def first_of(names: Sequence[str], columns: Sequence[Column]) -> Column | None:
    """The column of the first name that a file has; capitals and spaces at the ends do not count."""
    by_name = {_plain(column.name): column for column in reversed(columns)}
    return next((by_name[_plain(name)] for name in names if _plain(name) in by_name), None)


def _plain(name: str) -> str:
    return normalized(name).strip()


def where_of(rule: Rule, columns: Sequence[Column]) -> tuple[str, Any, int] | None:
    """The column of a rule, what stands under ``where`` for it, and how many rows of the sample it leaves out.

    None where the file has no such column, or no value like the one that is looked for.
    """
    column = first_of(rule.column, columns)
    if column is None:
        return None
    rows, filled = len(column.values), len(column.filled)
    if rule.empty is not None:
        return column.name, {"empty": rule.empty}, filled if rule.empty else rows - filled
    if rule.excluded:
        words = {_plain(value) for value in rule.excluded if value is not None}
        out = sum(n for value, n in column.counts.items() if _plain(str(value)) in words)
        return column.name, {"not": list(rule.excluded)}, out + (rows - filled if None in rule.excluded else 0)
    counts = {str(value): int(n) for value, n in column.counts.items()}
    if rule.like:
        kept = [v for v in counts if re.search(rule.like, v, re.I) and not re.search(r"\bnot\b|lost", v, re.I)]
    else:
        kept = list(rule.keep)
    words = {_plain(value) for value in kept}
    left_out = rows - sum(n for value, n in counts.items() if _plain(value) in words)
    return (column.name, kept, left_out) if kept else None


def scales(variant: Variant, columns: Sequence[Column]) -> list[tuple[str | None, float]]:
    """Periods of the prices in a file, each with what a price of it is divided by; None for the only one.

    Raises
    ------
    DataError
        A period is not known.
    """
    periods = variant.periods
    column = first_of(periods.column, columns) if periods else None
    if periods is None or column is None or column.filled.empty:
        return [(None, 1.0)]
    found = [str(value) for value in column.counts.index]
    unknown = [value for value in found if value.lower() not in periods.scale]
    if unknown:
        known = ", ".join(periods.scale)
        raise DataError(f"'{column.name}' holds {unknown[0]!r}; periods that are known are {known}: map it by hand")
    if len(found) == 1:
        return [(None, periods.scale[found[0].lower()])]
    return [(value, periods.scale[value.lower()]) for value in found]


def mapped(variant: Variant, columns: Sequence[Column]) -> Mapping[str, Column]:
    """The file's columns by our names."""
    found = {ours: first_of(theirs, columns) for ours, theirs in variant.columns.items()}
    return {ours: column for ours, column in found.items() if column is not None}
