"""One thing that a candidate had to show: what was measured, with its uncertainty, held against a limit; a verdict.

A check fails where the shortfall is beyond chance, passes where it is met, and says "cannot tell" in between, and what
would tell. A number that is missing or NaN fails: what was not measured was not shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import norm

from training.judge.interval_coverage import Coverage
from training.margins import Margin

Metrics = Mapping[str, float]
Verdict = Literal["passed", "failed", "cannot tell"]
LEVEL = 0.992  # of the interval of a difference: what is level fails by chance in four cases of a thousand
LEAST_LEVEL = 0.9545  # two standard errors: of values of MANY customers
LEAST_LEVEL_OF_LOSS = 0.8  # what is level fails once in ten: of log losses that differ much, see `_level`
MANY = 2000  # of whom a good model leads a rule of thumb so clearly that less of a shortfall shows that it does not
ROUNDING = 1e-12
TOO_FEW = " (too few customers to tell an error)"
RISING = ("auc", "normalised_gini")


@dataclass(frozen=True)
class Check:
    """One thing that a candidate had to show.

    Attributes
    ----------
    name
        Short and stable, for records: ``min_auc``.
    value, limit
        What was measured, and what it was held against.
    verdict
        ``failed`` if either is NaN; ``cannot tell`` passes.
    text
        A sentence with both numbers.
    better_mean
        Of a value against the rule of thumb: whether the deviance, least for the mean, shows the candidate to be
        better beyond chance, whatever this figure says.
    """

    name: str
    value: float
    limit: float
    verdict: Verdict
    text: str
    better_mean: bool = False

    @property
    def passed(self) -> bool:
        """True unless it failed."""
        return self.verdict != "failed"

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; a number that is not finite becomes None."""
        numbers = {key: v if math.isfinite(v) else None for key, v in (("value", self.value), ("limit", self.limit))}
        return {"name": self.name, **numbers, "passed": self.passed, "verdict": self.verdict, "text": self.text}


@dataclass(frozen=True)
class Champion:
    """A model that serves, or did in the last year, on the rows that judge the candidate.

    Attributes
    ----------
    name
        Of the version: ``churn/3``.
    loss
        Its log loss or error of value.
    margin
        The candidate's loss less this one; None: taken as exact.
    """

    name: str
    loss: float
    margin: Margin | None = None


def limit_check(name: str, what: str, value: float, limit: float, margins: Mapping[str, Margin]) -> Check:
    """The candidate's own figure must reach a limit."""
    value_text, limit_text = _distinct_texts(value, limit)
    if value >= limit:
        return Check(name, value, limit, "passed", f"{what} {value_text} is at least {limit_text}")
    margin = margins.get(name, _exact(value))
    if _is_undefined(margin):
        return Check(name, value, limit, "cannot tell", f"{what} is not defined: all customers have one outcome")
    low, high = margin.interval(LEVEL)
    text = f"{what} {value_text} is not at least {limit_text}"
    if math.isnan(value) or not _explains(margin, limit - value):
        return Check(name, value, limit, "failed", text)
    text += TOO_FEW if math.isnan(low) else f", by chance perhaps ({low:.4g} to {high:.4g})"
    return Check(name, value, limit, "cannot tell", text + _what_tells(margin, limit - value))


def baseline_check(
    metric: str, what: str, candidate: Metrics, baseline: Metrics, rule_name: str, margins: Mapping[str, Margin]
) -> Check:
    """The candidate must be better than the rule of thumb."""
    name, sign = f"beats_baseline_{metric}", -1 if metric in RISING else 1
    value, limit = number(candidate, metric), number(baseline, metric)
    margin = margins.get(name, _exact(value - limit))
    if _is_undefined(margin):
        return Check(name, value, limit, "cannot tell", f"{what} is not defined: all customers have one outcome")
    is_sure = metric in ("mae", "rmse") and margin.customers >= MANY
    level = LEAST_LEVEL if is_sure else _level(metric, margin)
    value_text, limit_text = _distinct_texts(value, limit)
    relation = "below" if sign > 0 else "above"
    of = f"{relation} the {rule_name}'s {limit_text}{_difference(margin, level)}"
    worse = sign * (value - limit)
    if metric == "mae" and worse > 0 and is_better_mean(margins):
        mean = margins["deviance_less_baseline"]
        text = (
            f"{what} {value_text} is not {of}, but it is least for the median: by the deviance, which is least for the"
        )
        return Check(
            name, value, limit, "cannot tell", f"{text} mean that is forecast, it is better{_difference(mean)}"
        )
    if math.isnan(worse) or (worse > 0 and not _explains(margin, worse, level)):
        return Check(name, value, limit, "failed", f"{what} {value_text} is not {of}")
    if worse < 0 and not _explains(margin, worse, level):
        return Check(name, value, limit, "passed", f"{what} {value_text} is {of}")
    text = f"{what} {value_text} cannot be told from {'level' if worse == 0 else 'chance'}: is it {of}"
    return Check(name, value, limit, "cannot tell", text + _what_tells(margin, worse, level))


def is_better_mean(margins: Mapping[str, Margin]) -> bool:
    """Whether the deviance of a candidate is smaller than the rule of thumb's beyond chance; False without one."""
    mean = margins.get("deviance_less_baseline", _exact(0.0))
    return mean.value < 0 and not _explains(mean, mean.value)


def champion_checks(
    what: str, candidate: Metrics, metric: str, champions: Sequence[Champion], slack: float
) -> list[Check]:
    """The candidate must be no worse than the model that serves, nor than the best that did within a year.

    Small losses that chance explains, each against the model just before, add up; against the best of a year they do
    not. Each of several champions gets its share of the chance to fail by chance (Bonferroni).
    """
    if not champions:
        return []
    value = number(candidate, metric)
    present, *past = (_champion_check(what, value, metric, champion, slack, len(champions)) for champion in champions)
    return [present, *([replace(_worst(past), name="not_worse_than_past_champions")] if past else [])]


def _worst(checks: Sequence[Check]) -> Check:
    """The check that decides among several: one that failed, or the one with the largest loss to its limit."""
    return max(checks, key=lambda check: (not check.passed, check.value - check.limit))


def _champion_check(what: str, value: float, metric: str, champion: Champion, slack: float, n_champions: int) -> Check:
    """Worse beyond chance fails; not worse, or by less than the slack at most, passes; else the rows cannot tell."""
    name, limit = "not_worse_than_champion", champion.loss * (1 + slack)
    worse = value - champion.loss
    margin = champion.margin or _exact(worse)
    level = 1 - (1 - _level(metric, margin)) / n_champions
    value_text, champion_text = _distinct_texts(value, champion.loss)
    of = f"{what} {value_text}, the champion {champion.name}'s {champion_text}{_difference(margin, level)}"
    if math.isnan(worse) or (worse > 0 and not _explains(margin, worse, level)):
        return Check(name, value, limit, "failed", f"{of}: worse beyond chance")
    if worse <= 0:
        return Check(name, value, limit, "passed", f"{of}: not worse")
    if margin.interval(level)[1] <= slack * champion.loss:
        return Check(
            name, value, limit, "passed", f"{of}: no worse than chance tells, and by at most {slack:.4g} of it"
        )
    text = f"{of}: no worse than chance tells"
    return Check(name, value, limit, "cannot tell", text + _what_tells(margin, slack * champion.loss, level))


def calibration_check(candidate: Metrics, chance: tuple[float, float], limit: float) -> Check:
    """The calibration error must not exceed its limit by more than true probabilities may show by chance."""
    name, error, (mean, highest) = "max_calibration_error", number(candidate, "expected_calibration_error"), chance
    beyond = math.sqrt(max(0.0, error**2 - mean**2)) if math.isfinite(error + mean) else math.nan
    value_text, limit_text = _distinct_texts(beyond, limit)
    of = f" (of {error:.4g}, chance making {mean:.4g} of true probabilities)" if mean else ""
    verdict: Verdict = (
        "passed" if beyond <= limit else "cannot tell" if mean and error <= highest + ROUNDING else "failed"
    )
    relation = "is at most" if verdict == "passed" else "is not at most"
    text = f"calibration error{of} {value_text} {relation} {limit_text}"
    if verdict == "cannot tell":
        text += f", which these rows cannot tell from chance: true probabilities show up to {highest:.4g}"
        rows = candidate.get("n", math.nan) * (highest / beyond) ** 2
        text += f"; about {_round(rows)} rows would tell" if math.isfinite(rows) else ""
    return Check(name, beyond, limit, verdict, text)


def coverage_check(measured: Coverage, target: float, tolerance: float, level: float, group: str = "") -> Check:
    """The share that an interval held must be the promised one; where values tie, the least that could be held."""
    name = f"coverage_tolerance{'_' + group if group else ''}"
    share, least = measured.share, max(target, measured.least)
    miss = max(target - share, share - least, 0.0) if not math.isnan(share) else math.nan
    edge = target - tolerance if share < target else least + tolerance
    is_known = math.isfinite(measured.independent) and not math.isnan(share)
    low, high = measured.interval(level) if is_known else (share, share)
    verdict: Verdict = "passed" if miss <= tolerance + ROUNDING else "cannot tell" if low <= edge <= high else "failed"
    share_text, target_text = _distinct_texts(share, target)
    whose = f" of {group} customers" if group else ""
    tied = f" (of values that tie at its ends, {least:.4g} at least)" if least > target + tolerance else ""
    relation = "is" if verdict == "passed" else "is not"
    text = f"interval coverage{whose} {share_text} {relation} within {tolerance:.4g} of its target {target_text}{tied}"
    if verdict == "cannot tell":
        reach = high - share if share < target else share - low
        rows = measured.rows * (reach / (share - edge)) ** 2
        text += f", by chance perhaps ({low:.4g} to {high:.4g}); about {_round(rows)} rows would tell"
        text += f", here are {measured.rows:,}"
    return Check(name, miss, tolerance, verdict, text)


def _level(metric: str, margin: Margin) -> float:
    """The level at which a difference of two models is judged.

    The sum of the differences of two log losses is the logarithm of a likelihood ratio: if the candidate's
    probabilities are the true ones and its variance is V, its mean is -V / 2. So the more the two differ, the surer a
    perfect candidate leads, and the fewer standard errors of a shortfall show that it is none: as many less as make it
    fail by chance no oftener than where they hardly differ. What is left are 1.28 at least: a candidate that is no more
    than level, though it differs much, is no loss. Rows of one customer count once.
    """
    if metric != "log_loss":
        return LEVEL
    shift = margin.customers * margin.error / 2
    return float(np.clip(2 * norm.cdf(norm.ppf((1 + LEVEL) / 2) - shift) - 1, LEAST_LEVEL_OF_LOSS, LEVEL))


def _exact(value: float) -> Margin:
    return Margin(value, 0.0, math.inf, 0)


def _is_undefined(margin: Margin) -> bool:
    """Whether there are rows and forecasts, and yet no figure, as with one class alone: no fault of the candidate."""
    return math.isnan(margin.value) and margin.customers > 0


def _explains(margin: Margin, distance: float, level: float = LEVEL) -> bool:
    """Whether chance explains a distance; what has no error (one customer alone) shows nothing."""
    return not abs(distance) > margin.reach(level)


def _difference(margin: Margin, level: float = LEVEL) -> str:
    """The interval of a difference in words; empty where it is exact."""
    if math.isnan(margin.error):
        return TOO_FEW
    low, high = margin.interval(level)
    return f" ({low:+.4g} to {high:+.4g})" if margin.error else ""


def _what_tells(margin: Margin, distance: float, level: float = LEVEL) -> str:
    """How many customers would show a distance."""
    needed = margin.customers_to_tell(distance, level)
    if not math.isfinite(needed) or not margin.customers:
        return ""
    return f"; about {_round(needed)} customers would tell, here are {margin.customers:,}"


def _round(count: float) -> str:
    """A number of rows or customers with two digits that count.

    >>> _round(1234.5)
    '1,300'
    """
    unit = 10 ** max(0, math.floor(math.log10(max(count, 1))) - 1)
    return f"{math.ceil(count / unit) * unit:,}"


def number(metrics: Metrics, key: str) -> float:
    """A metric, or NaN if it was not measured."""
    return float(metrics.get(key, math.nan))


def _distinct_texts(value: float, limit: float) -> tuple[str, str]:
    """Print both with as few digits as tell them apart, so that no sentence says 0.6 is not at least 0.6."""
    for digits in (4, 6, 9, 17):
        texts = _number_text(value, digits), _number_text(limit, digits)
        if texts[0] != texts[1] or value == limit or math.isnan(value):
            break
    return texts


def _number_text(value: float, digits: int) -> str:
    if math.isnan(value):
        return "(not measured)"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:z.{digits}g}"
