"""A column is a function, named as the column: an as-of table in, one aggregate a customer out.

    @column("orders", "{value:count order} in the last {days} days", windows=(30, 90), empty=0)
    def orders(o, days):
        return purchases(o, days).count()

makes the columns ``orders_30d`` and ``orders_90d``. Texts say a value in plain words with the customer's own
numbers; of several, the first whose numbers are all known is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from string import Formatter
from types import ModuleType
from typing import Any

import ibis.expr.types as ir

from configs.settings import NO_CURRENCY

Aggregate = Callable[..., ir.Value]


@dataclass(frozen=True)
class Column:
    """One feature: its name, the table it is computed from, how it is computed, and how a value is described.

    Attributes
    ----------
    name
        Name of the column.
    table
        The as-of table that `aggregate` takes.
    aggregate
        As-of table in, aggregate expression out; one value a customer.
    texts
        Sentences for a reason, tried in turn; ``{value}`` is the own value, other names are other columns.
    empty
        The value of a customer without a single row in `table`; None stands for unknown.
    dtype
        ``float64`` or ``string``.
    doc
        What it means, for the feature list.
    reach_days
        Rows older than this change nothing; None: all rows count.
    of_amounts, counted
        Computed from amounts of orders; and its sentences for a business without amounts, where each order counts as
        one. A column of amounts that has none is not a feature of such a business.
    """

    name: str
    table: str
    aggregate: Aggregate
    texts: tuple[str, ...]
    empty: float | None = None
    dtype: str = "float64"
    doc: str = ""
    reach_days: int | None = None
    of_amounts: bool = False
    counted: tuple[str, ...] = ()

    def describe(self, row: Mapping[str, Any], currency: str = "") -> str:
        """Describe the value of this column for one customer in plain words; `currency`: see `first_text`."""
        texts = self.counted if currency == NO_CURRENCY and self.counted else self.texts
        text = first_text(texts, row, currency, row.get(self.name))
        return text or f"{self.name.replace('_', ' ')} unknown"


def first_text(texts: Iterable[str], values: Mapping[str, Any], currency: str = "", value: Any = None) -> str:
    """The first text whose numbers are all known, with them in it; empty if there is none.

    Parameters
    ----------
    texts
        Of a `Column`.
    values
        Numbers and words by the name that texts give them.
    currency
        ISO 4217, told beside amounts; ``XXX``: there are none, each order counts as one.
    value
        What texts name ``value``.
    """
    for text in texts:
        told: list[str] = []
        for before, name, tell in _pieces(text, currency):
            found = value if name == "value" else values.get(name) if name else ""
            if not _is_known(found):
                break
            told += (before, tell(found)) if name else (before,)
        else:
            said = "".join(told)
            return said[:1].upper() + said[1:]
    return ""


@cache
def _pieces(text: str, currency: str) -> tuple[tuple[str, str, Callable[[Any], str]], ...]:
    """A text in pieces: what is said, then the name of a value, or none, and what tells it."""
    return tuple((said, name or "", _teller(spec or "", currency)) for said, name, spec, _ in Formatter().parse(text))


def column(
    table: str,
    *texts: str,
    windows: tuple[int, ...] = (),
    reach: int | None = None,
    empty: float | None = None,
    dtype: str = "float64",
    of_amounts: bool = False,
    counted: str = "",
) -> Callable[[Aggregate], Aggregate]:
    """Declare a function as a column, or as one column for each window in days.

    `reach` says, in windows, how far back the function looks: a large build then leaves older rows out. None: to the
    first row. A customer without a row within reach has the value `empty`, so the function must give that too.
    `of_amounts` and `counted`: see `Column`.
    """

    def declare(function: Aggregate) -> Aggregate:
        doc = (function.__doc__ or "").strip().split("\n")[0]
        columns = [
            Column(
                name=f"{function.__name__}_{days}d",
                table=table,
                aggregate=partial(function, days=days),
                texts=tuple(t.replace("{days}", str(days)) for t in texts),
                empty=empty,
                dtype=dtype,
                doc=doc.replace("`days`", str(days)),
                reach_days=None if reach is None else reach * days,
                of_amounts=of_amounts,
                counted=(counted.replace("{days}", str(days)),) if counted else (),
            )
            for days in windows
        ]
        alone = Column(
            function.__name__, table, function, texts, empty, dtype, doc, None, of_amounts, (counted,) * bool(counted)
        )
        function.columns = columns or [alone]  # type: ignore[attr-defined]
        return function

    return declare


def columns_of(module: ModuleType) -> list[Column]:
    """All columns that a module declares, in the order they stand there."""
    return [c for f in vars(module).values() for c in getattr(f, "columns", []) if f.__module__ == module.__name__]


@cache
def _teller(spec: str, currency: str = "") -> Callable[[Any], str]:
    """What tells numbers as a person would say them: ``count order``, ``days``, ``percent``, ``money``.

    A difference of logarithms is a ``level``: 12 % more, 5 % less; or a ``level longer shorter``; one of amounts a
    ``change``, one of shares of a price a ``shift``.

    >>> [_teller(spec, "EUR")(-0.001) for spec in ("money", "percent", "times", "change")]
    ['0.00 EUR', '0 %', '0.0 times', '+0.00 EUR']
    """
    kind, _, noun = spec.partition(" ")
    unit = f" {currency}" if currency not in ("", NO_CURRENCY) else ""
    if kind == "count":
        return partial(_count, noun=noun, nouns=_plural(noun))
    if kind == "level":
        more, less = noun.split() or ("more", "less")
        return lambda value: f"{abs(math.expm1(value)):.0%} {more if value >= 0 else less}".replace("%", " %")
    tellers: dict[str, Callable[[Any], str]] = {
        "days": _days,
        "percent": lambda value: f"{100 * value:z.0f} %",
        "money": lambda value: f"{value:z,.2f}{unit}",
        "change": lambda value: f"{value:+z,.2f}{unit}",
        "raw": lambda value: f"{value:,.10g}" if isinstance(value, int | float) else str(value),
        "shift": _shift,
        "times": lambda value: f"{value:z.1f} times",
    }
    return tellers.get(kind) or (lambda value: format(value, spec))


def _count(value: Any, noun: str, nouns: str) -> str:
    number = f"{value:z,.0f}"
    return f"{number if value else 'no'} {noun if number == '1' else nouns}"


def _days(value: Any) -> str:
    return "1 day" if round(value) == 1 else f"{value:,.0f} days" if value >= 1 else "less than a day"


def _shift(value: Any) -> str:
    percent = f"{100 * value:+z.0f}"
    return "hardly changed" if percent == "+0" else f"changed by {percent} % of the price"


def _plural(noun: str) -> str:
    head, _, tail = noun.partition(" ")
    plural = head[:-1] + "ies" if head.endswith("y") and head[-2] not in "aeiou" else head + "s"
    return f"{plural} {tail}".strip()


def _is_known(value: Any) -> bool:
    return value is not None and (not isinstance(value, float) or math.isfinite(value))
