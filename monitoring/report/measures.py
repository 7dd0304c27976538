"""How a fairness metric is called, explained and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.judge.fairness import FOUR_FIFTHS


@dataclass(frozen=True)
class Measure:
    """How a fairness metric is called, explained and written.

    Parameters
    ----------
    name, meaning
        In words.
    text
        Writes a value.
    percent
        Whether it is a share, written in percent.
    reference
        Value at which the figure shows a dashed line; None: no line.
    """

    name: str
    meaning: str
    text: Callable[[float], str]
    percent: bool = False
    reference: float | None = None


def _share(name: str, meaning: str) -> Measure:
    return Measure(name, meaning, "{:.1%}".format, percent=True)


def _difference(name: str, meaning: str) -> Measure:
    return Measure(name, meaning, "{:+.1%}".format, percent=True)


def _number(name: str, meaning: str) -> Measure:
    return Measure(name, meaning, "{:,.4g}".format)


MEASURES = {
    "selection_rate": _share("Selected", "Share of the group whom the campaign takes."),
    "recall": _share("Leavers reached", "Share of the group's leavers who had been selected."),
    "ratio": Measure(
        "Ratio",
        "The group's figure over that of the group it is compared to. A group is lower than others if the whole "
        "interval lies below four fifths (0.80).",
        "{:.2f}".format,
        reference=FOUR_FIFTHS,
    ),
    "coverage": _share("Within interval", "Share of customers whose true value lay in the forecast interval."),
    "relative_error": _difference("Forecast error", "Sum of the forecasts over the sum of the true values, less 1."),
    "churn_rate": _share("Left", "Share of the group that left."),
    "mean_predicted": _share("Predicted to leave", "Mean of the predicted probabilities."),
    "calibration_gap": _difference(
        "Predicted − left", "How much higher the predictions are than the share that left, in percentage points."
    ),
    "mean_actual": _number("Mean value", "True value of a customer, on average."),
    "mean_expected": _number("Mean forecast", "Forecast value of a customer, on average."),
}


def measure(metric: str) -> Measure:
    """Of a metric by its column; one that `MEASURES` does not explain is called by its column.

    >>> measure("waiting_days").name
    'Waiting days'
    """
    return MEASURES.get(metric) or _number(metric.replace("_", " ").capitalize(), f"The metric '{metric}'.")
