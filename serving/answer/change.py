"""Why a forecast changed: its difference split into what became known, what time did, and what another model did.

Three rows stand between two answers: the features of then, the same as time alone would have moved them
(`serving.answer.aging`), and those of now; two models read each. What became known since can only come once time has
passed, so of the six orders in which the three causes can come three are left. The share of a cause is the mean, over
these orders, of what it adds when its turn comes: the Shapley value of games under precedence constraints (Faigle and
Kern 1992, "The Shapley value for cooperative games under precedence constraints", Int. J. Game Theory 21, 249-266). In
each order the steps lead from the one forecast to the other, so the shares sum to the difference. A step is split by
features as the effects after it less those before it (`training.model.explanation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from configs.errors import RegistryError, StaycastError
from serving.answer.aging import aged
from serving.answer.champion import CLASSES, NUMBERS
from training.model.bundle import Bundle, Task

Cause = Literal["data", "time", "model"]
CAUSES: tuple[Cause, ...] = ("data", "time", "model")
ORDERS: tuple[tuple[Cause, ...], ...] = (
    ("time", "data", "model"),
    ("time", "model", "data"),
    ("model", "time", "data"),
)
ROWS = ("before", "aged", "after")
EXACT = 1e-9  # a forecast made again may be off by that, of 1 or of its size, and is the same
SECONDS_A_DAY = 86_400
Effects = Mapping[str, float]
Point = tuple[bool, str]  # whether the newer model reads it, and which row


@dataclass(frozen=True)
class Told:
    """What one answer told, and from what.

    Attributes
    ----------
    number
        The forecast.
    row
        The feature row, a frame of one row; None: it was not kept.
    bundle
        The model; None: it cannot be loaded any more.
    """

    number: float
    row: pd.DataFrame | None
    bundle: Bundle | None


@dataclass(frozen=True)
class Split:
    """A difference, split.

    Attributes
    ----------
    shares
        Of each cause; they sum to the difference. Empty: it cannot be told.
    effects
        Of each cause, by feature; a cause whose effects cannot be told has none here.
    base
        What of the share of the model is of no feature: its base less the one before.
    orders
        The orders of causes that it is the mean of.
    """

    shares: Mapping[Cause, float] = field(default_factory=dict)
    effects: Mapping[Cause, Effects] = field(default_factory=dict)
    base: float = 0.0
    orders: Sequence[tuple[Cause, ...]] = ()


def both(before: Mapping[str, Any], after: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """One forecast of two answers side by side, and how it differs; None where it is not told."""
    number, word = NUMBERS[task], CLASSES[task]
    old, new = before[task] or {}, after[task] or {}
    return {
        "before": old.get(number),
        "after": new.get(number),
        "difference": new[number] - old[number] if old and new else None,
        "class_before": old.get(word),
        "class_after": new.get(word),
    }


def split(before: Told, after: Told) -> Split:
    """Split the difference of two forecasts.

    Where a forecast between the two cannot be made, as the older model is gone or a model reads what a row does not
    hold, the orders count that do without it; where none is left, nothing is told.
    """
    if before.row is None or after.row is None or after.bundle is None:
        return Split()
    grid = _Grid(before, after, (before.row, after.row))
    orders = [order for order in ORDERS if all(grid.number(point) is not None for point in _path(order))]
    if not orders:
        return Split()
    steps = {cause: [_step(order, cause) for order in orders] for cause in CAUSES}
    shares = {cause: _mean([_difference(grid, *step) for step in steps[cause]]) for cause in CAUSES}
    told = {cause: [grid.change(*step) for step in steps[cause]] for cause in CAUSES}
    known = {cause: [c for c in changes if c is not None] for cause, changes in told.items()}
    whole = {cause: changes for cause, changes in known.items() if len(changes) == len(orders)}
    effects = {cause: _mean_effects([effects for _, effects in changes]) for cause, changes in whole.items()}
    base = _mean([base for base, _ in whole["model"]]) if "model" in whole else 0.0
    return Split(shares, effects, base, orders)


def aged_row(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The row before as it would be at the moment of the row after, if nothing new had come."""
    days = (after["as_of"].iloc[0] - before["as_of"].iloc[0]).total_seconds() / SECONDS_A_DAY
    moved = aged(values_of(before), values_of(after), days)
    return before.assign(**{n: pd.Series([v], before.index, before[n].dtype) for n, v in moved.items()})


def values_of(row: pd.DataFrame) -> dict[str, Any]:
    """The values of a frame of one row, by column."""
    return {str(name): value for name, value in row.iloc[0].items()}


@dataclass(frozen=True)
class _Made:
    """A forecast, and its base and effects, which sum to it."""

    number: float
    base: float
    effects: Effects


class _Grid:
    """The forecasts of both models of all three rows; one that is told is as it was told."""

    def __init__(self, before: Told, after: Told, rows: tuple[pd.DataFrame, pd.DataFrame]) -> None:
        self._rows = dict(zip(ROWS, (rows[0], aged_row(*rows), rows[1]), strict=True))
        self._bundles = {False: before.bundle, True: after.bundle}
        self._same_model = before.bundle is after.bundle
        ends = {(False, "before"): before.number, (True, "after"): after.number}
        self._ends: dict[Point, float] = {self._reader(point): number for point, number in ends.items()}

    def number(self, point: Point) -> float | None:
        """The forecast; None where it cannot be made."""
        reader = self._reader(point)
        made = self._explained.get(reader)
        return self._ends.get(reader, made.number if made else None)

    def change(self, start: Point, end: Point) -> tuple[float, Effects] | None:
        """By how much base and effects differ between two points; None where one of them cannot be explained."""
        before, after = self._explained.get(self._reader(start)), self._explained.get(self._reader(end))
        if before is None or after is None:
            return None
        names = dict.fromkeys((*before.effects, *after.effects))
        return after.base - before.base, {n: after.effects.get(n, 0.0) - before.effects.get(n, 0.0) for n in names}

    def _reader(self, point: Point) -> Point:
        return (True, point[1]) if self._same_model else point

    @cached_property
    def _explained(self) -> dict[Point, _Made]:
        """The forecast of each point that can be made; none of a model that does not give what was told."""
        found: dict[Point, _Made] = {}
        for newer, bundle in self._bundles.items():
            if bundle is None or (self._same_model and not newer):
                continue
            made = {(newer, name): _made(bundle, row) for name, row in self._rows.items()}
            known = {point: forecast for point, forecast in made.items() if forecast is not None}
            if all(self._agrees(point, forecast.number) for point, forecast in known.items()):
                found |= known  # else it is not the model that told the forecast, whatever it says of other rows
        return found

    def _agrees(self, point: Point, number: float) -> bool:
        told = self._ends.get(point)
        return told is None or abs(number - told) <= EXACT * max(1.0, abs(told))


def _made(bundle: Bundle, row: pd.DataFrame) -> _Made | None:
    """The forecast of one row; None where the row lacks what the model reads."""
    try:
        matrix = bundle.encode(row)
    except RegistryError:
        return None
    explained = bundle.explain(matrix)
    effects = dict(zip(bundle.features, explained.effects[0].tolist(), strict=True))
    return _Made(float(bundle.predict(matrix)[0]), explained.base, effects)


def _path(order: tuple[Cause, ...]) -> list[Point]:
    """The points that an order leads through, from the older answer to the newer one."""
    newer, row, points = False, 0, [(False, ROWS[0])]
    for cause in order:
        newer, row = newer or cause == "model", row + (cause != "model")
        points.append((newer, ROWS[row]))
    return points


def _step(order: tuple[Cause, ...], cause: Cause) -> tuple[Point, Point]:
    points, place = _path(order), order.index(cause)
    return points[place], points[place + 1]


def _difference(grid: _Grid, start: Point, end: Point) -> float:
    before, after = grid.number(start), grid.number(end)
    if before is None or after is None:
        raise StaycastError("a forecast between two answers cannot be made")
    return after - before


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _mean_effects(effects: Sequence[Effects]) -> dict[str, float]:
    names = dict.fromkeys(name for each in effects for name in each)
    return {name: _mean([each.get(name, 0.0) for each in effects]) for name in names}
