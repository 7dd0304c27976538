"""Why: what the columns of a customer did to a prediction, as a person reads it.

The base of the model and the effects of all columns sum to the prediction. To be read, columns of one topic are one
reason (`features.columns.topics`): its effect is the sum of theirs, so the reasons of all topics sum to the prediction,
too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from features.columns.topics import told_by, topic_of
from features.schema import describe, describe_topic
from training.model.bundle import Bundle

NEGLIGIBLE = 1e-4  # of the sum of the sizes of all effects: less is no reason
Row = Mapping[str, Any]


def reasons(
    bundle: Bundle,
    matrix: np.ndarray,
    rows: Sequence[Row],
    tops: Sequence[int | None],
    currency: str,
    only_raising: Sequence[bool] | None = None,
) -> list[list[dict[str, Any]]]:
    """The reasons of each customer, the largest effect first.

    Parameters
    ----------
    bundle, matrix
        The model, and the columns it learned from, shape (customers, features).
    rows
        All columns of each customer by name, which texts name.
    tops
        How many reasons of each; 0: every column apart, those without any effect too; None: none, which saves the
        explaining where nobody asks.
    currency
        Of amounts; XXX: there are none, each order counts as one.
    only_raising
        Of whom only reasons are given that raise the prediction; None: of nobody.

    Returns
    -------
    list of list of dict
        See `serving.api.schema.answers.Reason`.
    """
    if all(top is None for top in tops):
        return [[] for _ in tops]
    effects, names = bundle.explain(matrix).effects, bundle.features
    topics, starts, groups = _by_topic(names)
    sums = np.add.reduceat(effects[:, topics], starts, axis=1)
    told = np.abs(sums) > NEGLIGIBLE * np.abs(effects).sum(axis=1, keepdims=True)
    if only_raising is not None:
        told &= (sums > 0) | ~np.asarray(only_raising, dtype=bool)[:, None]
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")
    found: list[list[dict[str, Any]]] = []
    for row, top, of_row, sum_of, is_told, best in zip(rows, tops, effects, sums, told, order, strict=True):
        if top is None:
            found.append([])
        elif top == 0:
            found.append(_of_columns(names, row, of_row, currency))
        else:
            chosen = [topic for topic in best.tolist() if is_told[topic]][:top]
            each = of_row.tolist()
            found.append([_of_topic(names, row, each, groups[t], float(sum_of[t]), currency) for t in chosen])
    return found


def _of_columns(names: tuple[str, ...], row: Row, effects: np.ndarray, currency: str) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(effects), kind="stable").tolist()
    return [_reason([names[i]], row, float(effects[i]), describe(names[i], row, currency)) for i in order]


def _of_topic(
    names: tuple[str, ...], row: Row, effects: Sequence[float], columns: list[int], effect: float, currency: str
) -> dict[str, Any]:
    """One reason of a topic, told by the column of its text, else by that which did most in its direction."""
    by_effect = [names[i] for i in sorted(columns, key=effects.__getitem__, reverse=math.copysign(1.0, effect) > 0)]
    lead = told_by(topic_of(by_effect[0]))
    told = [lead, *(name for name in by_effect if name != lead)] if lead in by_effect else by_effect
    return _reason(told, row, effect, describe_topic(told[0], row, currency))


def _reason(columns: list[str], row: Row, effect: float, text: str) -> dict[str, Any]:
    direction = "raises" if effect > 0 else "lowers" if effect < 0 else "neither"
    return {
        "feature": columns[0],
        "value": to_json_value(row[columns[0]]),
        "effect": effect,
        "direction": direction,
        "text": text,
        "features": columns,
    }


def to_json_value(value: Any) -> float | str | None:
    """A feature's value as JSON can hold it; what is not known, or not finite, is None.

    >>> to_json_value(3), to_json_value("north"), to_json_value(float("nan"))
    (3.0, 'north', None)
    """
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


@lru_cache(maxsize=8)
def _by_topic(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Positions of the columns, those of a topic side by side; where in them each topic starts; those of each."""
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(topic_of(name), []).append(position)
    topics = np.array([i for columns in found.values() for i in columns])
    starts = np.cumsum([0, *map(len, found.values())])[:-1]
    return topics, starts, list(found.values())
