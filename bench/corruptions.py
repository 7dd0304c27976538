"""Fourteen ways in which an export goes wrong, seeded: a drill for the checks, on a company's own tables.

    corrupt("unit_change", tables, rng) -> (tables, what was done)

Each takes clean raw tables and gives raw tables with one thing wrong, of a size that matters: what is smaller than
the bounds told with each kind is not promised to be seen. The tables given are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.tables import TABLES

Tables = Mapping[str, pd.DataFrame]
Rng = np.random.Generator
Done = tuple[str, pd.DataFrame, str]
MIN_FILLED, OPEN_COLUMNS = 0.5, ("campaign",)


def corrupt(kind: str, tables: Tables, rng: Rng) -> tuple[dict[str, pd.DataFrame], str]:
    """Damage one table in one way.

    Parameters
    ----------
    kind
        A key of `KINDS`.
    tables
        Raw tables by name, as a source gives them.
    rng
        Draws the table, the column, the rows and the size of the damage.

    Returns
    -------
    tuple
        The tables, one of them damaged (all, for a time zone), and what was done in words.
    """
    if kind == "time_zone_shift" and rng.random() < 0.5:
        hours = _hours(rng)
        return {n: _shift(n, f, hours) for n, f in tables.items()}, f"all tables moved by {hours:+d} h"
    name, frame, said = KINDS[kind](tables, rng)
    return {**tables, name: frame}, said


class NotThereError(ValueError):
    """The tables have nothing that can go wrong in this way, such as a column of text."""


def _pick(rng: Rng, items: list[Any]) -> Any:
    if not items:
        raise NotThereError
    return items[int(rng.integers(len(items)))]


def _columns(name: str, frame: pd.DataFrame, kinds: tuple[str, ...]) -> list[str]:
    """Columns of these kinds that are filled in at least half of the rows."""
    told = {f.name: f.kind for f in TABLES[name].fields} | dict.fromkeys(_declared(name, frame), "text")
    return [c for c in map(str, frame) if told.get(c) in kinds and frame[c].notna().mean() >= MIN_FILLED]


def _declared(name: str, frame: pd.DataFrame) -> list[str]:
    return [c for c in map(str, frame) if c not in TABLES[name].names] if name == "customers" else []


def _column(tables: Tables, rng: Rng, kinds: tuple[str, ...], without: tuple[str, ...] = ()) -> tuple[str, str]:
    found = [(n, c) for n, f in tables.items() for c in _columns(n, f, kinds) if c not in without]
    return _pick(rng, found)


def _some(rng: Rng, size: int, low: float, high: float) -> np.ndarray:
    return rng.random(size) < rng.uniform(low, high)


def _tail(rng: Rng, frame: pd.DataFrame, name: str, low: float, high: float) -> np.ndarray:
    """The newest rows, in the order of time: a share between two bounds."""
    order = np.argsort(frame[TABLES[name].time].to_numpy(), kind="stable")
    tail = np.zeros(len(frame), bool)
    tail[order[int(len(frame) * (1 - rng.uniform(low, high))) :]] = True
    return tail


def nulls(tables: Tables, rng: Rng) -> Done:
    """10 to 60 % of a column are lost; a column that was filled in at least half of the rows."""
    name, column = _column(tables, rng, ("id", "time", "number", "text"))
    frame = tables[name]
    lost = _some(rng, len(frame), 0.1, 0.6)
    values = frame[column].astype(object).mask(lost, None)
    return name, frame.assign(**{column: values}), f"{name}.{column}: {lost.mean():.0%} lost"


def swapped_columns(tables: Tables, rng: Rng) -> Done:
    """Two columns of a table carry one another's values."""
    name = _pick(rng, [n for n, f in tables.items() if len(_swappable(n, f)) > 1])
    one, two = rng.choice(_swappable(name, tables[name]), 2, replace=False)
    frame = _as_text(tables[name], [one, two])
    return name, frame.assign(**{one: frame[two], two: frame[one]}), f"{name}: {one} and {two} exchanged"


def _swappable(name: str, frame: pd.DataFrame) -> list[str]:
    return _columns(name, frame, ("id", "time", "number", "text"))


def reordered_columns(tables: Tables, rng: Rng) -> Done:
    """Three or more columns carry one another's values, in a ring, under the old header."""
    name = _pick(rng, [n for n, f in tables.items() if len(_swappable(n, f)) > 2])
    columns = _swappable(name, tables[name])
    ring = list(rng.choice(columns, int(rng.integers(3, len(columns) + 1)), replace=False))
    frame = _as_text(tables[name], ring)
    moved = {to: frame[source] for to, source in zip(ring, [*ring[1:], ring[0]], strict=True)}
    return name, frame.assign(**moved), f"{name}: {' <- '.join(ring)}"


def _as_text(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns as a CSV file gives them."""
    return frame.assign(**{c: frame[c].astype(object).astype(str).mask(frame[c].isna()) for c in columns})


def unit_change(tables: Tables, rng: Rng) -> Done:
    """A number comes 100 times as large or as small, in all rows or in the newest 25 to 60 %."""
    name, column = _column(tables, rng, ("number",))
    frame, factor = tables[name], _pick(rng, [100.0, 0.01])
    rows = np.ones(len(frame), bool) if rng.random() < 0.5 else _tail(rng, frame, name, 0.25, 0.6)
    values = frame[column].astype(float)
    return (
        name,
        frame.assign(**{column: values.where(~rows, values * factor)}),
        f"{name}.{column} x {factor:g} in {rows.mean():.0%}",
    )


def duplicated_file(tables: Tables, rng: Rng) -> Done:
    """10 to 100 % of a table, one stretch of it, come a second time: under the same keys or under new ones."""
    name = _pick(rng, list(tables))
    frame, key, again = tables[name], TABLES[name].key, rng.random() < 0.5 and name != "customers"
    size = int(len(frame) * rng.uniform(0.1, 1.0))
    start = int(rng.integers(0, len(frame) - size + 1))
    second = frame.iloc[start : start + size]
    if again:
        second = second.assign(**{key: [f"{v}0009" for v in second[key]]})
        frame = frame.assign(**{key: frame[key].astype(str)})
    said = f"{name}: {size / len(frame):.0%} twice, {'new' if again else 'same'} keys"
    return name, pd.concat([frame, second], ignore_index=True), said


def _hours(rng: Rng) -> int:
    return int(_pick(rng, [h for h in range(-12, 13) if h]))


def _has_hours(name: str, frame: pd.DataFrame) -> bool:
    """True if an hour of the day has less than half of the rows of another."""
    hours = np.bincount(frame[TABLES[name].time].dt.hour, minlength=24)
    return bool(hours.min() < hours.max() / 2)


def _shift(name: str, frame: pd.DataFrame, hours: int) -> pd.DataFrame:
    times = [f.name for f in TABLES[name].fields if f.kind == "time" and f.name in frame]
    return frame.assign(**{c: frame[c] + pd.Timedelta(hours=hours) for c in times})


def time_zone_shift(tables: Tables, rng: Rng) -> Done:
    """Times of one table of events, or of all tables, are 1 to 12 hours off; a table that has hours of the day.

    Where events come evenly around the clock, nothing tells a moved clock from the right one.
    """
    name, hours = _pick(rng, [n for n, f in tables.items() if n != "customers" and _has_hours(n, f)]), _hours(rng)
    return name, _shift(name, tables[name], hours), f"{name} moved by {hours:+d} h"


def truncated_file(tables: Tables, rng: Rng) -> Done:
    """Rows are missing: 15 to 90 % from the end of a file in the order of time, 40 to 90 % of one in any order."""
    name, by_time = _pick(rng, list(tables)), rng.random() < 0.5
    frame = tables[name]
    if by_time and name in ("orders", "interactions"):
        kept = frame[~_tail(rng, frame, name, 0.15, 0.9)]
    else:
        kept = frame.sample(frac=1 - rng.uniform(0.4, 0.9), random_state=int(rng.integers(2**31))).sort_index()
    return name, kept.reset_index(drop=True), f"{name}: {1 - len(kept) / len(frame):.0%} missing"


def encoding_damage(tables: Tables, rng: Rng) -> Done:
    """Letters outside ASCII are broken, in all rows: read in a wrong encoding, or replaced.

    A text of ASCII letters alone survives all wrong encodings but UTF-16, which is what such a column gets.
    """
    name, column = _column(tables, rng, ("text",))
    frame = tables[name]
    texts = frame[column].astype(str)
    ways: dict[str, Callable[[str], str]] = {
        "UTF-8 as Windows-1252": lambda t: t.encode().decode("cp1252", "replace"),
        "UTF-8 as Latin-1": lambda t: t.encode().decode("latin-1"),
        "Latin-1 as UTF-8": lambda t: t.encode("latin-1", "replace").decode("utf-8", "replace"),
    }
    plain = texts.map(str.isascii).all()
    way = "UTF-16 as Latin-1" if plain else _pick(rng, list(ways))
    read = ways.get(way, lambda t: t.encode("utf-16-le").decode("latin-1"))
    values = texts.map(read).mask(frame[column].isna())
    return name, frame.assign(**{column: values}), f"{name}.{column}: {way}"


def new_categories(tables: Tables, rng: Rng) -> Done:
    """8 to 60 % of a text column hold a value that never came before; a column whose values do not come and go."""
    name, column = _column(tables, rng, ("text",), OPEN_COLUMNS)
    frame = tables[name]
    new = _some(rng, len(frame), 0.08, 0.6)
    values = frame[column].astype(object).mask(new, f"new-{rng.integers(1000)}")
    return name, frame.assign(**{column: values}), f"{name}.{column}: {new.mean():.0%} new"


def stuck_values(tables: Tables, rng: Rng) -> Done:
    """The newest 20 to 100 % of a column repeat one value; a column whose values do not come in batches."""
    batches = (*OPEN_COLUMNS, "contacted_at", "arm")
    name, column = _column(tables, rng, ("id", "time", "number", "text"), batches)
    frame = tables[name].sort_values(TABLES[name].time, kind="stable", ignore_index=True)
    stuck = _tail(rng, frame, name, 0.2, 1.0)
    filled = frame.loc[stuck, column].dropna()
    values = frame[column].where(~stuck, filled.iloc[0] if len(filled) else frame[column].dropna().iloc[0])
    return name, frame.assign(**{column: values}), f"{name}.{column}: {stuck.mean():.0%} stuck"


def negative_amounts(tables: Tables, rng: Rng) -> Done:
    """10 to 100 % of the amounts, or of the prices of contracts, have the wrong sign."""
    name, column = ("orders", "amount") if "orders" in tables else ("subscriptions", "price_per_month")
    frame = tables[name]
    turned = _some(rng, len(frame), 0.1, 1.0)
    amounts = frame[column].astype(float)
    return name, frame.assign(**{column: amounts.where(~turned, -amounts)}), f"{turned.mean():.0%} of the signs turned"


def future_dates(tables: Tables, rng: Rng) -> Done:
    """1 to 50 % of the rows of a table happen 1 to 10 years later."""
    name = _pick(rng, list(tables))
    frame, time = tables[name], TABLES[name].time
    late = _some(rng, len(frame), 0.01, 0.5)
    late[0] = True
    years = pd.to_timedelta(np.where(late, 365 * rng.integers(1, 11), 0), unit="D")
    return name, frame.assign(**{time: frame[time] + years}), f"{name}.{time}: {late.mean():.0%} later by years"


def gap(tables: Tables, rng: Rng) -> Done:
    """14 to 42 days are missing within a table of orders, contracts or interactions, or at its end if others go on."""
    name = _pick(rng, [n for n in tables if n in ("orders", "subscriptions", "interactions")])
    frame = tables[name]
    days = frame[TABLES[name].time].dt.floor("D")
    length, span = int(rng.integers(14, 43)), (days.max() - days.min()).days
    start = days.min() + pd.Timedelta(days=int(rng.integers(28, max(span - 27, 29))))
    lost = (days >= start) & (days < start + pd.Timedelta(days=length))
    return name, frame[~lost].reset_index(drop=True), f"{name}: {length} days from {start:%Y-%m-%d} on missing"


def mixture(tables: Tables, rng: Rng) -> Done:
    """Two kinds at once in one table, each of a size that alone would do: a gap, and lost or stuck values beside it."""
    name, frame, said = gap(tables, rng)
    second = _pick(rng, [nulls, unit_change, stuck_values, new_categories])
    _, changed, more = second({name: frame}, rng)
    return name, changed, f"{said}; {more}"


KINDS: Mapping[str, Callable[[Tables, Rng], Done]] = {
    k.__name__: k
    for k in (
        nulls, swapped_columns, unit_change, duplicated_file, time_zone_shift, truncated_file, encoding_damage,
        reordered_columns, new_categories, stuck_values, negative_amounts, future_dates,
        gap, mixture,
    )
}  # fmt: skip
