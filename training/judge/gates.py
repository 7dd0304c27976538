"""May a candidate serve? Numbers in, a decision with its reasons out; nothing here touches the world.

All are judged on the same hold-out rows: the candidate, the rule of thumb and the champions. Each number is judged with
its uncertainty over customers, see `training.judge.checks`: what chance explains is no fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from configs.settings import Gates
from training.judge.checks import (
    LEVEL,
    RISING,
    Champion,
    Check,
    Metrics,
    Verdict,
    baseline_check,
    calibration_check,
    champion_checks,
    coverage_check,
    is_better_mean,
    limit_check,
    number,
)
from training.judge.interval_coverage import Coverage
from training.margins import Margin

ERRORS = {"mae": "mean absolute error", "rmse": "root mean squared error"}
COVERAGE_LEVEL = 0.99  # of all intervals of a coverage together
MIN_GROUP = 30
DEVIANCE = "deviance"
UNTOLD = "cannot tell: the customers held out are too few, or their outcomes are alike"
AGAINST_RULE = "beats_baseline_"
REFUSED_EXIT_CODE = 3  # of a training that ended well and whose model was not let through


@dataclass(frozen=True)
class Decision:
    """What the checks come to.

    Attributes
    ----------
    promote
        True if no check failed, or if nothing else could answer.
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
        """True if no check failed."""
        return all(check.passed for check in self.checks)

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """Names of the checks that passed as the data cannot tell."""
        return tuple(check.name for check in self.checks if check.verdict == "cannot tell")

    @property
    def summary(self) -> str:
        """That every gate was passed, and which only as the data cannot tell."""
        doubt = f", where the data cannot tell: {', '.join(self.in_doubt)}" if self.in_doubt else ""
        return f"passed every gate{doubt}"

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        checks = [check.to_dict() for check in self.checks]
        return {"promote": self.promote, "checks": checks, "reasons": list(self.reasons)}


def judge_churn(
    candidate: Metrics,
    baseline: Metrics,
    champions: Sequence[Champion],
    gates: Gates,
    rule_name: str = "recency rule",
    chance: tuple[float, float] = (0.0, 0.0),
    margins: Mapping[str, Margin] | None = None,
) -> Decision:
    """Decide on a churn model.

    Parameters
    ----------
    candidate, baseline
        What :func:`training.metrics.churn_metrics` says of each on the same hold-out rows.
    champions
        Their log loss; the one that serves first. Empty: none yet.
    gates
        The limits.
    rule_name
        Which rule of thumb the baseline is.
    chance
        The calibration error of true probabilities on these rows: its mean and its highest, see
        `training.metrics.calibration_error_by_chance`. The mean is taken out of the candidate's (squares are
        subtracted, as independent errors add in their squares), and what is under the highest is no shown fault.
    margins
        By name of the check: ``min_auc`` the candidate's own figure, ``beats_baseline_*`` the candidate's less the
        baseline's. One that is missing is taken as exact.
    """
    margins = margins or {}
    checks = [
        limit_check("min_auc", "AUC", number(candidate, "auc"), gates.min_auc, margins),
        calibration_check(candidate, chance, gates.max_calibration_error),
    ]
    if gates.must_beat_baseline:
        for metric, what in (("auc", "AUC"), ("log_loss", "log loss")):
            checks.append(baseline_check(metric, what, candidate, baseline, rule_name, margins))
    return _decide(checks + champion_checks("log loss", candidate, "log_loss", champions, gates.max_loss_to_champion))


def judge_value(
    candidate: Metrics,
    baseline: Metrics,
    champions: Sequence[Champion],
    gates: Gates,
    target_coverage: float,
    rule_name: str = "past rate",
    error: Literal["mae", "rmse"] = "mae",
    coverage: Coverage | None = None,
    groups: Mapping[str, Coverage] | None = None,
    margins: Mapping[str, Margin] | None = None,
) -> Decision:
    """Decide on a value model.

    Parameters
    ----------
    candidate, baseline
        What :func:`training.metrics.value_metrics` says of each on the same hold-out rows.
    champions
        Their `error`; the one that serves first. Empty: none yet.
    gates
        The limits.
    target_coverage
        Share of customers whose value shall lie in the interval (``clv.coverage``).
    rule_name
        Which rule of thumb the baseline is.
    error
        What the baseline is beaten in. Where most customers pay one known price, the mean absolute error is least for
        the price itself, the median, whoever leaves; there the squared error, least for the mean, must judge.
    coverage
        Of the candidate's interval over all rows; None: its metric ``coverage``, taken as exact.
    groups
        Coverage in each tier and of new customers: each must keep the promise too. A group under 30 rows is not
        judged. Intervals of all coverages hold the true shares together (Bonferroni).
    margins
        As of `judge_churn`; and ``deviance_less_baseline``: a candidate whose absolute error is larger, but whose
        deviance is less beyond chance, forecasts the mean better, and is not failed for not forecasting the median.
    """
    margins = margins or {}
    groups = {name: group for name, group in (groups or {}).items() if group.rows >= MIN_GROUP}
    level = 1 - (1 - COVERAGE_LEVEL) / (1 + len(groups))
    whole = coverage or Coverage(number(candidate, "coverage"), 0, math.inf, target_coverage)
    checks = [
        limit_check("min_gini", "normalised Gini", number(candidate, "normalised_gini"), gates.min_gini, margins),
        coverage_check(whole, target_coverage, gates.coverage_tolerance, level),
    ]
    for name, group in sorted(groups.items()):
        checks.append(coverage_check(group, target_coverage, gates.coverage_tolerance, level, name))
    if gates.must_beat_baseline:
        for metric, what in (("normalised_gini", "normalised Gini"), (error, ERRORS[error])):
            check = baseline_check(metric, what, candidate, baseline, rule_name, margins)
            checks.append(replace(check, better_mean=is_better_mean(margins)))
    return _decide(checks + champion_checks(ERRORS[error], candidate, error, champions, gates.max_loss_to_champion))


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
        empty: nothing has matured to judge by. An interval that is not defined (one outcome alone) tells nothing. That
        of ``deviance`` judges by itself nothing: where it lies below 0, a larger absolute error is no fault, as in
        `judge_value`.
    champion_is_prior
        Whether the champion had little to learn from, too; None: there is none.
    rule_name
        Which rule of thumb the baseline is.
    """
    allowed = champion_is_prior is not False
    text = "no champion learned from more" if allowed else "the champion learned from enough data, this one did not"
    checks = [Check("champion_had_no_more", float(allowed), 1.0, "passed" if allowed else "failed", text)]
    better_mean = margins.get(DEVIANCE, (0.0, 0.0))[1] < 0
    for name, (low, high) in margins.items():
        if name == DEVIANCE:
            continue
        least, most = (-high, -low) if name in RISING else (low, high)  # of how much worse it is
        verdict: Verdict = "failed" if least > 0 else "passed" if most < 0 else "cannot tell"
        text = f"{name.replace('_', ' ')} less the {rule_name}'s: {low:+.4g} to {high:+.4g}"
        shown = "worse" if verdict == "failed" else "not shown to be worse"
        if math.isnan(low) or math.isnan(high):
            text, shown = f"{name.replace('_', ' ')} beside the {rule_name}'s", UNTOLD
        if name == "mae" and verdict == "failed" and better_mean:
            verdict, shown = (
                "cannot tell",
                "worse for the median, but the mean that is forecast is better by its deviance",
            )
        checks.append(Check(f"not_worse_{name}", high if name in RISING else low, 0.0, verdict, f"{text}, {shown}"))
    if not margins:
        text = "nothing has matured to judge by: it answers from a prior"
        checks.append(Check("matured", 0.0, 0.0, "cannot tell", text))
    decision = _decide(checks)
    return replace(decision, promote=True) if champion_is_prior is None else decision


def is_in_doubt(decision: Decision) -> bool:
    """Whether a candidate passed with a figure worse than the rule of thumb's, and with none better beyond chance."""
    against = [check for check in decision.checks if check.name.startswith(AGAINST_RULE)]
    if not decision.promote or any(check.verdict == "passed" or check.better_mean for check in against):
        return False
    return any(_is_worse(check) for check in against)


def _is_worse(check: Check) -> bool:
    """Whether a figure is worse than the rule of thumb's, by however little; one that is level or undefined is not."""
    is_rising = check.name.removeprefix(AGAINST_RULE) in RISING
    return check.value < check.limit if is_rising else check.value > check.limit


def lean_to_simpler(decision: Decision, loss_less_prior: Margin) -> Decision:
    """Refuse a candidate that is in doubt, see `is_in_doubt`, where a prior did better on the same rows.

    No chance is granted here: what is not shown to be better than a rule of thumb has not earned its place before a
    simpler model with the smaller loss. `loss_less_prior` is the candidate's loss less the prior's.
    """
    if not is_in_doubt(decision) or not loss_less_prior.value > 0:
        return decision
    low, high = loss_less_prior.interval(LEVEL)
    text = (
        "whether it is better than the rule of thumb cannot be told, and a prior, which is simpler, has a loss smaller "
        f"by {loss_less_prior.value:.4g} ({low:+.4g} to {high:+.4g})"
    )
    return _decide([*decision.checks, Check("simpler_has_smaller_loss", loss_less_prior.value, 0.0, "failed", text)])


def _decide(checks: list[Check]) -> Decision:
    failed = [check for check in checks if not check.passed]
    return Decision(not failed, tuple(checks), tuple(check.text for check in failed or checks))
