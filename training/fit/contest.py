"""Trees must earn their place: priors, regressions, the best boosters and their weighted average on the same folds.

Every contender is fitted on the earlier dates of each fold and forecasts its later ones. What is learned on later rows
(the slope of log-odds, the weights of an average) is learned on one half of the customers and judged on the other, so
that nothing is judged by what it was fitted to. A contender without trees is taken unless another is better by more
than one standard error of the difference over blocks of customers (Breiman et al. 1984): where the evidence is thin,
the simple stays. Once trees have earned their place, of those within a thousandth of the least loss the one with the
fewest trees is taken, as in the search: each tree costs time at every answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.data.dataset import Matrix
from training.fit.boosters import (
    SIMPLE_FORMS,
    Fitted,
    Member,
    ScoredRows,
    calibrate,
    fit_member,
    forms,
    joined_form,
    mapped,
    predict,
)
from training.fit.folds import FoldData
from training.metrics import log_losses
from training.model.bundle import Task
from training.model.explanation import link, spans

VALUE_POWER = 1.5
HALVES = 2
MIN_WEIGHT = 0.05
SEEDS = 4  # of an average of boosters that differ by it alone
WORTH_TREES = 0.001  # of the least loss: more trees must bring as much, as in the search


@dataclass(frozen=True)
class Contender:
    """What a model, or a weighted average of several, showed on the folds.

    Attributes
    ----------
    members
        Of the average; one of a model alone.
    later, learned
        Raw scores of the later and of the earlier rows of each fold.
    losses
        Of each later row, all folds one under another, shape (n,).
    """

    members: tuple[Member, ...]
    later: tuple[ScoredRows, ...]
    learned: tuple[ScoredRows, ...]
    losses: np.ndarray

    @property
    def name(self) -> str:
        """The names of its members."""
        return "+".join(member.name for member in self.members)

    @property
    def trees(self) -> int:
        """How many trees an answer asks."""
        return sum(member.trees_asked for member in self.members)

    def mean_loss(self, weight: np.ndarray) -> float:
        """The mean of the losses, rows counted by a weight of shape (n,)."""
        return float(np.average(self.losses, weights=weight))


def contest(
    task: Task, folds: Sequence[FoldData], boosters: Sequence[Member], seed: int
) -> tuple[tuple[Member, ...], tuple[dict[str, Any], ...]]:
    """Choose between priors, regressions, boosters and their weighted average.

    Parameters
    ----------
    task
        ``churn`` or ``clv``.
    folds
        What the contenders learn from, and what judges them.
    boosters
        What a search found.
    seed
        Of the boosters.

    Returns
    -------
    tuple of Member
        The model, or those of the weighted average, that shall be fitted.
    tuple of dict
        One record a contender, in the order of `contenders`: ``name``, ``trees``, ``loss``, ``above_least`` (the loss
        less the least one), ``standard_error`` of that, and whether it was ``chosen``.
    """
    entered = contenders(task, folds, boosters, seed)
    weight, blocks = _weight(folds), np.concatenate([fold.block for fold in folds])
    means = [contender.mean_loss(weight) for contender in entered]
    best = entered[int(np.argmin(means))]
    errors = [standard_error(contender.losses - best.losses, blocks, weight) for contender in entered]
    above = [mean - min(means) for mean in means]
    without_trees = [n for n, contender in enumerate(entered) if not contender.trees and above[n] <= errors[n]]
    close = [n for n in range(len(entered)) if above[n] <= WORTH_TREES * min(means)]
    chosen = min(without_trees, key=lambda n: means[n], default=min(close, key=lambda n: entered[n].trees))
    table = tuple(
        {
            "name": contender.name,
            "trees": contender.trees,
            "loss": means[n],
            "above_least": above[n],
            "standard_error": errors[n],
            "chosen": n == chosen,
        }
        for n, contender in enumerate(entered)
    )
    return entered[chosen].members, table


def contenders(task: Task, folds: Sequence[FoldData], boosters: Sequence[Member], seed: int) -> list[Contender]:
    """Priors, regressions and boosters from the fewest trees on, the best booster over several seeds, their average.

    The parameters are those of `contest`.
    """
    simple = [
        Member(form, folds[0].season_params, {}) for form in forms(task, [fold.encoder for fold in folds], SIMPLE_FORMS)
    ]
    weight = _weight(folds)
    alone = [_contender(task, folds, member, seed) for member in (*simple, *boosters)]
    single = min((c for c in alone if c.trees), key=lambda c: c.mean_loss(weight))
    several = _contender(task, folds, _of_seeds(single.members[0]), seed)
    alone.sort(key=lambda contender: contender.trees)
    is_worth = several.mean_loss(weight) < single.mean_loss(weight) * (1 - WORTH_TREES)
    in_average = [several if c is single and is_worth else c for c in alone]
    return [*alone, several, *_averages(task, folds, in_average)]


def _of_seeds(member: Member) -> Member:
    """The average of several boosters of this kind that differ by their seed alone."""
    return replace(member, params={**member.params, "seeds": SEEDS})


def standard_error(difference: np.ndarray, blocks: np.ndarray, weight: np.ndarray) -> float:
    """Of the weighted mean of differences, where all rows of a block of customers may go together.

    The sandwich estimate of a ratio of sums (Cochran, "Sampling techniques", 1977, chapter 6); infinite with one block.
    """
    sums, sizes = np.bincount(blocks, weight * difference), np.bincount(blocks, weight)
    n_blocks = int((sizes > 0).sum())
    if n_blocks < 2:
        return math.inf
    residual = sums - sizes * sums.sum() / sizes.sum()
    return float(np.sqrt(n_blocks / (n_blocks - 1) * (residual @ residual)) / sizes.sum())


def row_losses(task: Task, y: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """The loss of each row, shape (n,): negative log-likelihood (churn), or Tweedie deviance of power 1.5 (value).

    Both are proper: the true probability, and the true mean, have the least. Net revenue under zero counts as zero.
    The deviance is that of Jorgensen, "The theory of dispersion models" (1997), chapter 4.
    """
    if task == "churn":
        least = np.finfo(np.float64).eps
        return log_losses(y, np.clip(forecast, least, 1 - least))
    y, mean, a, b = np.maximum(y, 0), np.maximum(forecast, 1e-6), 1 - VALUE_POWER, 2 - VALUE_POWER
    return np.asarray(2 * (y**b / (a * b) - y * mean**a / a + mean**b / b))


def _averages(task: Task, folds: Sequence[FoldData], alone: Sequence[Contender]) -> list[Contender]:
    """The weighted average of all contenders that count in it; none where only one does.

    A prior that stands in another contender as it is, beside boosters, does not come in twice.
    """
    within = {part.prior for c in alone if c.trees for part in c.members[0].form.parts if not part.objective}
    alone = [c for c in alone if c.trees or not within & {part.prior for part in c.members[0].form.parts}]
    weights = _weights_in_average(*_together(alone))
    kept = [contender for contender, weight in zip(alone, weights, strict=True) if weight >= MIN_WEIGHT]
    if len(kept) < 2:
        return []
    members, later, learned = _together(kept)
    return [Contender(members, later, learned, _cross_fitted_losses(task, folds, members, later, learned))]


def _together(
    alone: Sequence[Contender],
) -> tuple[tuple[Member, ...], tuple[ScoredRows, ...], tuple[ScoredRows, ...]]:
    """Members of several contenders, and their raw scores side by side: later and earlier rows of each fold."""
    members = tuple(member for contender in alone for member in contender.members)
    later = tuple(map(_side_by_side, zip(*(contender.later for contender in alone), strict=True)))
    learned = tuple(map(_side_by_side, zip(*(contender.learned for contender in alone), strict=True)))
    return members, later, learned


def _weights_in_average(
    members: tuple[Member, ...], later: Sequence[ScoredRows], learned: Sequence[ScoredRows]
) -> np.ndarray:
    """How much each member counts, shape (members,), by all later rows."""
    form, rows = joined_form(members), _one_under_another(later)
    affine = calibrate(form, rows, learned[-1])
    ends = np.cumsum([len(member.form.parts) for member in members])
    if form.link == "sigmoid":
        spread = np.std(rows.raw, axis=0) * [a.slope for a in affine]
        return np.asarray([part.sum() for part in np.split(spread, ends[:-1])]) / max(spread.sum(), 1e-12)
    scores, total = mapped(rows.raw, affine), predict(form, rows.raw, affine).sum()
    shares = np.zeros(len(members))
    for name, span in spans(form.link):
        shares[int(np.searchsorted(ends, span.start, side="right"))] += link(name, scores[:, span]).sum() / total
    return shares


def _contender(task: Task, folds: Sequence[FoldData], member: Member, seed: int) -> Contender:
    later, learned = [], []
    for fold in folds:
        options = {"seed": seed, "expectation": fold.expectation, "linear": fold.linear}
        fitted = fit_member(member, fold.train, fold.encoder, **options)
        later.append(_scored(fitted, fold.valid))
        learned.append(_scored(fitted, fold.train))
    losses = _cross_fitted_losses(task, folds, (member,), later, learned)
    return Contender((member,), tuple(later), tuple(learned), losses)


def _cross_fitted_losses(
    task: Task,
    folds: Sequence[FoldData],
    members: tuple[Member, ...],
    later: Sequence[ScoredRows],
    learned: Sequence[ScoredRows],
) -> np.ndarray:
    """The loss of each later row, forecast by maps that were learned on the other half of the customers."""
    form = joined_form(members)
    losses = [np.zeros(len(rows.y)) for rows in later]
    for half in range(HALVES):
        kept = [_some(rows, fold.block % HALVES != half) for rows, fold in zip(later, folds, strict=True)]
        others = _one_under_another(kept)
        for number, fold in enumerate(folds):
            own = fold.block % HALVES == half
            affine = calibrate(form, others if len(others.y) else later[number], learned[number])
            forecast = predict(form, later[number].raw[own], affine)
            losses[number][own] = row_losses(task, later[number].y[own], forecast)
    return np.concatenate(losses)


def _scored(fitted: Fitted, rows: Matrix) -> ScoredRows:
    return ScoredRows(fitted.raw(rows.x), rows.y, np.zeros(len(rows.y), dtype=int), rows.weight)


def _some(rows: ScoredRows, kept: np.ndarray) -> ScoredRows:
    weight = None if rows.weight is None else rows.weight[kept]
    return ScoredRows(rows.raw[kept], rows.y[kept], rows.fold[kept], weight)


def _side_by_side(rows: Sequence[ScoredRows]) -> ScoredRows:
    return ScoredRows(np.hstack([r.raw for r in rows]), rows[0].y, rows[0].fold, rows[0].weight)


def _one_under_another(rows: Sequence[ScoredRows]) -> ScoredRows:
    filled = [r for r in rows if len(r.y)]
    return sum(filled[1:], filled[0]) if filled else rows[0]


def _weight(folds: Sequence[FoldData]) -> np.ndarray:
    """How much each later row counts, all folds one under another, shape (n,)."""
    later = [fold.valid for fold in folds]
    return np.concatenate([np.ones(len(rows.y)) if rows.weight is None else rows.weight for rows in later])
