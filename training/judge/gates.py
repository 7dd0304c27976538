"""May a candidate serve? Numbers in, a decision with its reasons out; nothing here touches the world.

All are judged on the same hold-out rows: the candidate, the rule of thumb, and the champion if there is one. A number
that is missing or NaN never passes: what was not measured was not shown.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from configs.settings import Gates

Metrics = Mapping[str, float]
RELATIONS = {"at least": operator.ge, "at most": operator.le, "above": operator.gt, "below": operator.lt}
ERRORS = {"mae": "mean absolute error", "rmse": "root mean squared error"}
ROUNDING = 1e-12
MIN_GROUP = 30
RISING = ("auc", "normalised_gini")
REFUSED_EXIT_CODE = 3  # of a training that ended well and whose model was not let through


@dataclass(frozen=True)
class Check:
    """One thing that a candidate had to show.

    Attributes
    ----------
    name
        Short and stable, for records: ``min_auc``.
    value, limit
        What was measured, and what it was held against.
    passed
        False if either is NaN.
    text
        A sentence with both numbers.
    """

    name: str
    value: float
    limit: float
    passed: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; a number that is not finite becomes None."""
        numbers = {key: v if math.isfinite(v) else None for key, v in (("value", self.value), ("limit", self.limit))}
        return {"name": self.name, **numbers, "passed": self.passed, "text": self.text}


@dataclass(frozen=True)
class Decision:
    """What the checks come to.

    Attributes
    ----------
    promote
        True if every check passed, or if nothing else could answer.
    checks
        All checks, always in the same order.
    reasons
        The sentences of the checks that failed; of all checks, if none did.
    """

    promote: bool
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True if every check passed."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        checks = [check.to_dict() for check in self.checks]
        return {"promote": self.promote, "checks": checks, "reasons": list(self.reasons)}


def judge_churn(
    candidate: Metrics,
    baseline: Metrics,
    champion: Metrics | None,
    gates: Gates,
    rule_name: str = "recency rule",
    chance: tuple[float, float] = (0.0, 0.0),
) -> Decision:
    """Decide on a churn model.

    Parameters
    ----------
    candidate, baseline, champion
        What :func:`training.metrics.churn_metrics` says of each on the same hold-out rows; None: no champion yet.
    gates
        The limits.
    rule_name
        Which rule of thumb the baseline is.
    chance
        The calibration error of true probabilities on these rows: its mean and its 99 % quantile, see
        `training.metrics.calibration_error_by_chance`. The mean is taken out of the candidate's (squares are
        subtracted, as independent errors add in their squares), and what is under the quantile is no shown fault.
    """
    auc, log_loss = _number(candidate, "auc"), _number(candidate, "log_loss")
    error = _number(candidate, "expected_calibration_error")
    checks = [
        _check("min_auc", "AUC", auc, "at least", gates.min_auc),
        _calibration_check(error, chance, gates.max_calibration_error),
    ]
    if gates.must_beat_baseline:
        rule = f"the {rule_name}'s "
        checks += [
            _check("beats_baseline_auc", "AUC", auc, "above", _number(baseline, "auc"), rule),
            _check("beats_baseline_log_loss", "log loss", log_loss, "below", _number(baseline, "log_loss"), rule),
        ]
    if champion is not None:
        checks.append(_champion_check("log loss", log_loss, _number(champion, "log_loss"), gates.max_loss_to_champion))
    return _decide(checks)


def judge_value(
    candidate: Metrics,
    baseline: Metrics,
    champion: Metrics | None,
    gates: Gates,
    target_coverage: float,
    rule_name: str = "past rate",
    error: Literal["mae", "rmse"] = "mae",
    groups: Mapping[str, tuple[float, int]] | None = None,
) -> Decision:
    """Decide on a value model.

    Parameters
    ----------
    candidate, baseline, champion
        What :func:`training.metrics.value_metrics` says of each on the same hold-out rows; None: no champion yet.
        The candidate's must hold its interval's coverage, and should hold ``n``, the number of rows: of what the
        coverage misses, two standard errors of a share of so many rows are left to chance.
    gates
        The limits.
    target_coverage
        Share of customers whose value shall lie in the interval (``clv.coverage``).
    rule_name
        Which rule of thumb the baseline is.
    error
        What the baseline is beaten in. Where most customers pay one known price, the mean absolute error is least for
        the price itself, the median, whoever leaves; there the squared error, least for the mean, must judge.
    groups
        Coverage and number of rows of each tier and of new customers: each must keep the promise too. A group under 30
        rows is not judged.
    """

    def tolerance(rows: float | None) -> float:
        chance = 2 * math.sqrt(target_coverage * (1 - target_coverage) / rows) if rows else 0.0
        return gates.coverage_tolerance + chance

    gini, mae = _number(candidate, "normalised_gini"), _number(candidate, "mae")
    checks = [
        _check("min_gini", "normalised Gini", gini, "at least", gates.min_gini),
        _coverage_check(_number(candidate, "coverage"), target_coverage, tolerance(candidate.get("n"))),
    ]
    for name, (covered, n) in sorted((groups or {}).items()):
        if n >= MIN_GROUP:
            checks.append(_coverage_check(covered, target_coverage, tolerance(n), name))
    if gates.must_beat_baseline:
        rule = f"the {rule_name}'s "
        baseline_gini = _number(baseline, "normalised_gini")
        checks += [
            _check("beats_baseline_normalised_gini", "normalised Gini", gini, "above", baseline_gini, rule),
            _check(
                f"beats_baseline_{error}",
                ERRORS[error],
                _number(candidate, error),
                "below",
                _number(baseline, error),
                rule,
            ),
        ]
    if champion is not None:
        checks.append(_champion_check("mean absolute error", mae, _number(champion, "mae"), gates.max_loss_to_champion))
    return _decide(checks)


def judge_small_data(
    margins: Mapping[str, tuple[float, float]], champion_is_prior: bool | None, rule_name: str = "recency rule"
) -> Decision:
    """Decide on a model that had little to learn from: it must not be shown to be worse than the rule of thumb.

    With few customers every number is noise, and limits for many would refuse good models and pass bad ones. Where no
    model serves yet, it serves whatever the figures say, which stay on record: an answer from a prior is better than
    none.

    Parameters
    ----------
    margins
        The 95 % interval of model less rule in each headline metric, see `training.judge.examination.Examination`;
        empty: nothing has matured to judge by. An interval that is not defined (one outcome alone) tells nothing.
    champion_is_prior
        Whether the champion had little to learn from, too; None: there is none.
    rule_name
        Which rule of thumb the baseline is.
    """
    allowed = champion_is_prior is not False
    text = "no champion learned from more" if allowed else "the champion learned from enough data, this one did not"
    checks = [Check("champion_had_no_more", float(allowed), 1.0, allowed, text)]
    for name, (low, high) in margins.items():
        better = name in RISING
        worse = high < 0 if better else low > 0
        text = f"{name.replace('_', ' ')} less the {rule_name}'s: {low:+.4g} to {high:+.4g}"
        verdict = "worse" if worse else "not shown to be worse"
        checks.append(Check(f"not_worse_{name}", high if better else low, 0.0, not worse, f"{text}, {verdict}"))
    if not margins:
        checks.append(Check("matured", 0.0, 0.0, True, "nothing has matured to judge by: it answers from a prior"))
    decision = _decide(checks)
    return replace(decision, promote=True) if champion_is_prior is None else decision


def _decide(checks: list[Check]) -> Decision:
    failed = [check for check in checks if not check.passed]
    return Decision(not failed, tuple(checks), tuple(check.text for check in failed or checks))


def _check(name: str, what: str, value: float, relation: str, limit: float, whose: str = "") -> Check:
    passed = RELATIONS[relation](value, limit)
    value_text, limit_text = _distinct_texts(value, limit)
    return Check(name, value, limit, passed, f"{what} {value_text} {_is(passed)} {relation} {whose}{limit_text}")


def _calibration_check(error: float, chance: tuple[float, float], limit: float) -> Check:
    mean, highest = chance
    beyond = math.sqrt(max(0.0, error**2 - mean**2)) if math.isfinite(error) else math.nan
    if not mean:
        return _check("max_calibration_error", "calibration error", beyond, "at most", limit)
    of = f"calibration error (of {error:.4g}, chance making {mean:.4g} of true probabilities)"
    check = _check("max_calibration_error", of, beyond, "at most", limit)
    if check.passed or not error <= highest:
        return check
    text = f"{check.text}, which these rows cannot tell from chance: true probabilities show up to {highest:.4g}"
    return replace(check, passed=True, text=text)


def _coverage_check(value: float, target: float, tolerance: float, group: str = "") -> Check:
    miss = abs(value - target)
    passed = miss <= tolerance + ROUNDING
    value_text, target_text = _distinct_texts(value, target)
    whose = f" of {group} customers" if group else ""
    text = f"interval coverage{whose} {value_text} {_is(passed)} within {tolerance:.4g} of its target {target_text}"
    return Check(f"coverage_tolerance{'_' + group if group else ''}", miss, tolerance, passed, text)


def _champion_check(what: str, value: float, champion_value: float, slack: float) -> Check:
    limit = champion_value * (1 + slack)
    passed = value <= limit
    value_text, limit_text = _distinct_texts(value, limit)
    champion_text, _ = _distinct_texts(champion_value, value)
    text = (
        f"{what} {value_text} {_is(passed)} at most {limit_text}, the champion's {champion_text} plus {slack:.4g} of it"
    )
    return Check("not_worse_than_champion", value, limit, passed, text)


def _is(passed: bool) -> str:
    return "is" if passed else "is not"


def _number(metrics: Metrics, key: str) -> float:
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
