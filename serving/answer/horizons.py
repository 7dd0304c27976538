"""What is told of several horizons: values within longer ones, and in words what rises or falls with the days. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from configs.settings import NO_CURRENCY
from training.model.bundle import Bundle
from training.model.longer import Amounts

Told = Literal["next_order", "contract_end", "return", "label"]
CHANCES: dict[Told, tuple[str, str]] = {  # what is told, and why it moves with the days
    "next_order": ("No order", "It falls with the days: the longer one waits, the likelier an order comes."),
    "contract_end": (
        "The contract ends",
        "It rises with the days: the longer one waits, the likelier the end has come.",
    ),
    "return": ("An order", "It rises with the days: the longer one waits, the likelier an order comes."),
    "label": ("Leaves", "It rises with the days: the longer one waits, the likelier it has come."),
}
GROWS = "It grows with the days, as what comes later is added."
SAME = "It is the same within all of them."
NOTHING_MORE = "Nothing more is expected later."


def longer_values(
    bundle: Bundle, frame: pd.DataFrame, matrix: np.ndarray, main: Amounts
) -> list[dict[str, dict[str, Any]] | None]:
    """What each customer brings within each longer horizon; None for all where the value model holds none.

    Parameters
    ----------
    bundle
        The value model.
    frame, matrix
        Feature rows, and as the model encodes them.
    main
        Their forecast of the main horizon.

    Returns
    -------
    list of dict or None
        By days ``expected``, ``low``, ``high`` and ``basis``.
    """
    found = bundle.longer_values(frame, matrix, main)
    if not found:
        return [None] * len(frame)
    columns = [
        [
            {"expected": expected, "low": low, "high": high, "basis": amounts.basis}
            for expected, low, high in zip(
                *((v + 0.0).tolist() for v in (amounts.expected, amounts.low, amounts.high)), strict=True
            )
        ]
        for amounts in found.values()
    ]
    names = [str(days) for days in found]
    return [dict(zip(names, of_customer, strict=True)) for of_customer in zip(*columns, strict=True)]


def chances_text(told: Told, by_horizon: Mapping[str, float]) -> str:
    """Chances within so many days, and why they rise or fall.

    Parameters
    ----------
    told
        Of what: no next order, the end of the contract, the return of who has lapsed, a label.
    by_horizon
        The chance by days, the nearest first, rising or falling as `told` says.

    Examples
    --------
    >>> chances_text("next_order", {"30": 0.391, "60": 0.25, "90": 0.003}).split(". ")[0]
    'No order within 30 days: 39 %, 60: 25 %, 90: under 1 %'
    >>> chances_text("label", {"90": 0.12})
    'Leaves within 90 days: 12 %.'
    """
    what, why = CHANCES[told]
    return _sentences(what, by_horizon, _percent, why, SAME)


def values_text(by_horizon: Mapping[str, float], currency: str) -> str:
    """Values expected within so many days, and why they grow.

    Parameters
    ----------
    by_horizon
        The value by days, the nearest first, never falling.
    currency
        ISO 4217; XXX: orders.

    Examples
    --------
    >>> values_text({"90": 180.5, "180": 370.456}, "EUR")
    'Expected within 90 days: 180.50 EUR, 180: 370.46 EUR. It grows with the days, as what comes later is added.'
    >>> values_text({"90": 0.7}, "XXX")
    'Expected within 90 days: 0.70 orders.'
    """
    unit = "orders" if currency == NO_CURRENCY else currency
    return _sentences("Expected", by_horizon, lambda value: f"{value:z,.2f} {unit}", GROWS, NOTHING_MORE)


def _sentences(
    what: str, by_horizon: Mapping[str, float], tell: Callable[[float], str], if_it_moves: str, if_not: str
) -> str:
    """A number at every horizon; where there are several, what is said of how it moves."""
    (days, number), *further = by_horizon.items()
    told = ", ".join([f"{days} days: {tell(number)}", *(f"{later}: {tell(then)}" for later, then in further)])
    text = f"{what} within {told}."
    if not further:
        return text
    return f"{text} {if_it_moves if any(then != number for _, then in further) else if_not}"


def _percent(chance: float) -> str:
    """A chance as a person says it; none that may be is told to be impossible or certain.

    >>> [_percent(chance) for chance in (0.0, 0.004, 0.005, 0.5, 0.9951, 1.0)]
    ['0 %', 'under 1 %', '1 %', '50 %', 'over 99 %', '100 %']
    """
    if 0 < chance < 0.005:
        return "under 1 %"
    if 0.995 <= chance < 1:
        return "over 99 %"
    return f"{max(round(100 * chance), 1) if chance else 0} %"
