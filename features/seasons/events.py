"""Known events: what promotions, closures and feasts whose days the business names did to a day's revenue before.

An event is named, and has first and last days in the past and in the future (``calendar.events``). Its effect is the
logarithm of a day's revenue within it over that of the weeks beside it: the mean over all earlier times, made smaller
by how much stretches of that length differ anyway (the non-negative garrote, Breiman 1995). Days of the future count
with the effect, as the business plans them; what an event brought is known once it is over and recorded. Days that are
missing in the data teach nothing.

Where events of different names share days, each is measured beside what the others bring on these, the longest first,
in rounds until all agree: effects add up to what was seen, and what one explains is not counted again for another.
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
ROUNDS = 30


@dataclass(frozen=True)
class Events:
    """The days of each event, as numbers of days since the first order: first and last."""

    windows: Windows

    def effects(self, daily: Array, known: int) -> dict[str, float]:
        """The effect of each event on the logarithm of a day's revenue, from what was over before a day.

        Parameters
        ----------
        daily
            Net revenue of each day since the first, shape (days,); NaN of days that are missing in the data.
        known
            The day; of it and the days after it not everything is recorded.

        Examples
        --------
        >>> daily = np.where(np.arange(400) % 100 < 10, 20.0, 10.0)
        >>> sale = Events({"sale": [(day, day + 9) for day in range(0, 500, 100)]})
        >>> bool(np.isclose(sale.effects(daily, 400)["sale"], np.log(2)))
        True
        >>> sale.effects(daily, 100)
        {}
        """
        past = np.maximum(daily[: max(known, 0)], 0.0)  # NaN stays NaN
        past = past[: np.flatnonzero(past > 0).max(initial=-1) + 1]  # days after the newest order may be unrecorded
        usual = np.isfinite(past) & ~self._in_any(len(past))
        earlier = self._measurable(past, usual)
        variance = {n: _variance_elsewhere(past, usual, _longest(self.windows[n])) for n in earlier}
        places = {name: self._in_event(name, len(past)) for name in earlier}
        out = dict.fromkeys(earlier, 0.0)
        for _ in range(ROUNDS):
            before = dict(out)
            for name, windows in earlier.items():
                others = np.exp(sum((out[n] * places[n] for n in earlier if n != name), np.zeros(len(past))))
                ratios = np.array([_log_ratio(past, usual, *w, others) for w in windows])
                out[name] = _believed(ratios, variance[name])
            if np.allclose([*out.values()], [*before.values()], rtol=0, atol=1e-9):
                break
        return {name: out[name] for name in self.windows if name in out}

    def exposure(self, effects: Mapping[str, float], days: npt.NDArray[np.int64], before: int, ahead: int) -> Array:
        """By how much the days ahead of each day are raised by events over the days before it, in logarithms.

        Parameters
        ----------
        effects
            See `effects`.
        days
            Days since the first one, shape (n,); one before it counts as the first.
        before, ahead
            How many days each window has.
        """
        days = np.maximum(days, 0)
        size = int(days.max(initial=0)) + ahead
        logs = sum((effect * self._in_event(name, size) for name, effect in effects.items()), np.zeros(size))
        logs = np.clip(logs, np.log(LEAST_SHARE), np.log(MOST_TIMES))  # together no more than one alone may do
        sums = np.concatenate([[0.0], np.cumsum(np.exp(logs))])
        begins = np.maximum(days - before, 0)
        means = sums[days + ahead] - sums[days], sums[days] - sums[begins]
        counts = ahead, np.maximum(days - begins, 1)
        past = np.where(days > begins, means[1] / counts[1], 1.0)
        return np.asarray(np.log(means[0] / counts[0]) - np.log(past))

    def _in_event(self, name: str, days: int) -> npt.NDArray[np.bool_]:
        """True for days of an event, shape (days,)."""
        out = np.zeros(days, dtype=bool)
        for first, last in self.windows[name]:
            out[max(first, 0) : max(last + 1, 0)] = True
        return out

    def _in_any(self, days: int) -> npt.NDArray[np.bool_]:
        return np.any([np.zeros(days, dtype=bool), *(self._in_event(name, days) for name in self.windows)], axis=0)

    def _measurable(self, past: Array, usual: npt.NDArray[np.bool_]) -> dict[str, list[tuple[int, int]]]:
        """The earlier windows of each event of which all days are known and usual ones lie beside; longest first."""
        out = {}
        for name in sorted(self.windows, key=lambda n: -_longest(self.windows[n])):
            over = [w for w in self.windows[name] if w[0] >= BESIDE_DAYS and w[1] < len(past)]
            there = [w for w in over if np.isfinite(_log_ratio(past, usual, *w))]
            if there:
                out[name] = there
        return out


def _longest(windows: Sequence[tuple[int, int]]) -> int:
    return max((last - first + 1 for first, last in windows), default=0)


def _believed(ratios: Array, elsewhere: float) -> float:
    """Mean of the logarithms of an event's earlier times, made smaller by their variance and that of other days."""
    variance = (elsewhere + float(np.var(ratios))) / len(ratios)
    mean = float(ratios.mean())
    return mean * float(np.clip(1 - DOUBT * variance / max(mean**2, 1e-12), 0, 1))


def _log_ratio(daily: Array, usual: npt.NDArray[np.bool_], first: int, last: int, others: Array | None = None) -> float:
    """Logarithm of revenue of the days over what the usual days beside them and other events, in times, let expect.

    NaN where the days beside bring nothing, or where a day is missing.
    """
    begins, ends = max(first - BESIDE_DAYS, 0), min(last + 1 + BESIDE_DAYS, len(daily))
    beside = np.concatenate([daily[begins:first][usual[begins:first]], daily[last + 1 : ends][usual[last + 1 : ends]]])
    if not len(beside) or beside.mean() <= 0:
        return float("nan")
    expected = beside.mean() * (1.0 if others is None else others[first : last + 1].mean())
    return float(np.log(np.clip(daily[first : last + 1].mean() / expected, LEAST_SHARE, MOST_TIMES)))


def _variance_elsewhere(daily: Array, usual: npt.NDArray[np.bool_], length: int) -> float:
    """Variance of the same logarithm over stretches without an event."""
    starts = range(BESIDE_DAYS, len(daily) - length, max(length, 7))
    own = [_log_ratio(daily, usual, s, s + length - 1) for s in starts if usual[s : s + length].all()]
    finite = np.array([ratio for ratio in own if np.isfinite(ratio)])
    return float(np.mean(finite**2)) if len(finite) > 1 else np.inf
