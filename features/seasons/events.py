"""Known events: what promotions, closures and feasts whose days the business names did to a day's revenue before.

An event is named, and has first and last days in the past and in the future (``calendar.events``). Its effect is the
logarithm of a day's revenue within it over that of the weeks beside it: the mean over all earlier times, made smaller
by how much stretches of that length differ anyway (the non-negative garrote, Breiman 1995). Days of the future count
with the effect, as the business plans them; what an event brought is known once it is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Windows = Mapping[str, Sequence[tuple[int, int]]]

BESIDE_DAYS = 28
DOUBT = 2.0
LEAST_SHARE = 0.02  # a day of a closure counts as so much of a usual one: the logarithm of nothing is infinite
MOST_TIMES = 20.0


@dataclass(frozen=True)
class Events:
    """The days of each event, as numbers of days since the first order: first and last."""

    windows: Windows

    def effects(self, daily: Array, known: int) -> dict[str, float]:
        """The effect of each event on the logarithm of a day's revenue, from what was over before a day.

        Parameters
        ----------
        daily
            Net revenue of each day since the first, shape (days,).
        known
            The day; what happened on it is not known.

        Examples
        --------
        >>> daily = np.where(np.arange(400) % 100 < 10, 20.0, 10.0)
        >>> sale = Events({"sale": [(day, day + 9) for day in range(0, 500, 100)]})
        >>> bool(np.isclose(sale.effects(daily, 400)["sale"], np.log(2)))
        True
        >>> sale.effects(daily, 100)
        {}
        """
        past = np.maximum(daily[:known], 0.0)
        usual = self._is_usual(len(past))
        out = {}
        for name, windows in self.windows.items():
            ratios = [_log_ratio(past, usual, *w) for w in windows if w[0] >= BESIDE_DAYS and w[1] < known]
            there = np.array([ratio for ratio in ratios if np.isfinite(ratio)])
            if not len(there):
                continue
            length = max(last - first + 1 for first, last in windows)
            variance = (_variance_elsewhere(past, usual, length) + float(np.var(there))) / len(there)
            mean = float(there.mean())
            out[name] = mean * float(np.clip(1 - DOUBT * variance / max(mean**2, 1e-12), 0, 1))
        return out

    def exposure(self, effects: Mapping[str, float], days: npt.NDArray[np.int64], before: int, ahead: int) -> Array:
        """By how much the days ahead of each day are raised by events over the days before it, in logarithms.

        Parameters
        ----------
        effects
            See `effects`.
        days
            Days since the first one, shape (n,), not negative.
        before, ahead
            How many days each window has.
        """
        size = int(days.max(initial=0)) + ahead
        logs = np.zeros(size)
        for name, effect in effects.items():
            for first, last in self.windows[name]:
                logs[max(first, 0) : max(min(last + 1, size), 0)] += effect
        sums = np.concatenate([[0.0], np.cumsum(np.exp(logs))])
        begins = np.maximum(days - before, 0)
        means = sums[days + ahead] - sums[days], sums[days] - sums[begins]
        counts = ahead, np.maximum(days - begins, 1)
        past = np.where(days > begins, means[1] / counts[1], 1.0)
        return np.asarray(np.log(means[0] / counts[0]) - np.log(past))

    def _is_usual(self, days: int) -> npt.NDArray[np.bool_]:
        out = np.ones(days, dtype=bool)
        for windows in self.windows.values():
            for first, last in windows:
                out[max(first, 0) : max(last + 1, 0)] = False
        return out


def _log_ratio(daily: Array, usual: npt.NDArray[np.bool_], first: int, last: int) -> float:
    """Logarithm of mean revenue of the days over that of the usual days beside them; NaN where these bring nothing."""
    begins, ends = max(first - BESIDE_DAYS, 0), min(last + 1 + BESIDE_DAYS, len(daily))
    beside = np.concatenate([daily[begins:first][usual[begins:first]], daily[last + 1 : ends][usual[last + 1 : ends]]])
    if not len(beside) or beside.mean() <= 0:
        return float("nan")
    return float(np.log(np.clip(daily[first : last + 1].mean() / beside.mean(), LEAST_SHARE, MOST_TIMES)))


def _variance_elsewhere(daily: Array, usual: npt.NDArray[np.bool_], length: int) -> float:
    """Variance of the same logarithm over stretches without an event."""
    starts = range(BESIDE_DAYS, len(daily) - length, max(length, 7))
    own = [_log_ratio(daily, usual, s, s + length - 1) for s in starts if usual[s : s + length].all()]
    finite = np.array([ratio for ratio in own if np.isfinite(ratio)])
    return float(np.mean(finite**2)) if len(finite) > 1 else np.inf
