"""Which as-of dates a model learns from, and which judge it: always later ones, always past a gap.

The gap is one horizon. At the date *v* on which a model would be put to use, the outcome of a customer looked at
at *a* is known only once ``[a, a + horizon)`` has ended, so ``a + horizon <= v``. A fold that trained on a later
date would learn from outcomes that nobody had yet, and from days that its own validation is asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from configs.errors import NotEnoughDataError

AsOfs = tuple[Any, ...]  # as-of dates; numbers of groups of customers where the data has no dates
HOLDOUT = 0
ASIDE = -1  # earlier rows of customers who are held out: they neither teach the judged model nor judge it


@dataclass(frozen=True)
class Fold:
    """Learn from the `train` as-of dates, be judged at the later date `valid`."""

    train: AsOfs
    valid: Any


@dataclass(frozen=True)
class Plan:
    """What each labelled as-of date is for.

    Attributes
    ----------
    holdout
        The newest dates: they judge the finished model and nothing else.
    train_for_holdout
        The dates that the judged model learns from: matured by the first hold-out date.
    folds
        Folds among `train_for_holdout`, oldest first: they choose the hyperparameters. None where the history is too
        short for one: then there is no search, and a prior answers.
    final
        All labelled dates: the model that serves is refitted on them, with what the others chose.
    moment
        Where customers of dated rows are held out, the moment at which they judge; None: dates go by themselves, or
        there are none.
    """

    holdout: AsOfs
    train_for_holdout: AsOfs
    folds: tuple[Fold, ...]
    final: AsOfs
    moment: pd.Timestamp | None = None

    @property
    def begins(self) -> pd.Timestamp | None:
        """The first moment that judges; None where the data has no dates."""
        first = min(self.holdout)
        return first if isinstance(first, pd.Timestamp) else self.moment


def matured(as_ofs: Iterable[pd.Timestamp], horizon_days: int, by: pd.Timestamp) -> AsOfs:
    """Keep the as-of dates whose label window ``[as_of, as_of + horizon)`` has ended at `by`, oldest first.

    >>> days = pd.to_datetime(["2024-01-01", "2024-01-02"])
    >>> [str(a.date()) for a in matured(days, 30, by=pd.Timestamp("2024-01-31"))]
    ['2024-01-01']
    """
    horizon = pd.Timedelta(days=horizon_days)
    return tuple(a for a in sorted(set(as_ofs)) if a + horizon <= by)


def rolling_origin(as_ofs: Iterable[pd.Timestamp], horizon_days: int, n_folds: int) -> list[Fold]:
    """Make the newest folds that time allows.

    Each date that has at least one matured date before it can be validated. A fold trains on all of those, not on the
    newest alone, as the model in use does. The gap of one horizon keeps out dates whose outcomes were still open; see
    the module's docstring.

    Parameters
    ----------
    as_ofs
        Labelled as-of dates, in any order.
    horizon_days
        Length of the label window.
    n_folds
        The most folds to make.

    Returns
    -------
    list of Fold
        At most `n_folds`, oldest first: fewer if the history is short, none if no date can be validated.
    """
    labelled = sorted(set(as_ofs))
    folds = [Fold(matured(labelled, horizon_days, by=v), v) for v in labelled]
    return [fold for fold in folds if fold.train][-n_folds:]


def plan_as_ofs(as_ofs: Iterable[pd.Timestamp], horizon_days: int, holdout_as_ofs: int, n_folds: int) -> Plan:
    """Share out the labelled as-of dates between learning, choosing and judging.

    Parameters
    ----------
    as_ofs
        Labelled as-of dates, in any order.
    horizon_days
        Length of the label window.
    holdout_as_ofs
        How many of the newest dates judge the finished model.
    n_folds
        The most folds to make of the rest.

    Returns
    -------
    Plan
        No outcome that a fold or the judged model sees ends after the first hold-out date. Where the history is short,
        fewer dates are held out, so that a fold is left; and where none is left even so, the plan has no folds.

    Raises
    ------
    NotEnoughDataError
        No two labelled dates lie a horizon apart: nothing can be learned from the one and judged at the other.
    """
    labelled = sorted(set(as_ofs))
    plans = [_plan(labelled, horizon_days, n, n_folds) for n in range(min(holdout_as_ofs, len(labelled)), 0, -1)]
    possible = [plan for plan in plans if plan.train_for_holdout]
    if not possible:
        raise NotEnoughDataError(
            f"no moment left to learn from: needs two labelled moments at least {horizon_days} days apart, so that the "
            f"first one's outcomes are known at the second, found {_span(labelled)}. {_REMEDY}"
        )
    return next((plan for plan in possible if plan.folds), possible[0])


def _plan(labelled: list[pd.Timestamp], horizon_days: int, holdout_as_ofs: int, n_folds: int) -> Plan:
    holdout = tuple(labelled[-holdout_as_ofs:])
    train = matured(labelled, horizon_days, by=holdout[0])
    return Plan(holdout, train, tuple(rolling_origin(train, horizon_days, n_folds)), tuple(labelled))


def customer_parts(
    customer_ids: Iterable[str],
    y: ArrayLike,
    holdout_share: float,
    n_folds: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Share out customers where the data has no dates, so that no later date can judge.

    Who is held out follows from seed and id alone: the same customers are, whatever others the data holds next time,
    so a model of last time never saw them. The rest goes to the folds within each label by a seeded lot (stratified).

    Parameters
    ----------
    customer_ids
        One id a row, every one once.
    y
        The labels, shape (n,).
    holdout_share
        Share of the customers held out, about.
    n_folds
        Number of folds, at least two.
    seed
        The same seed, ids, labels and groups give the same parts.
    groups
        Number of the group of each row, from 0: rows of one group go the way of the one with the smallest id. None:
        every row goes its own.

    Returns
    -------
    ndarray of int64
        For each row 0 (held out), or the number of its fold, from 1; shape (n,).
    """
    ids, labels, rng = np.asarray(list(customer_ids), dtype=object), np.asarray(y), np.random.default_rng(seed)
    if groups is not None:
        by_id = np.lexsort((ids.astype(str), groups))
        firsts = np.sort(by_id[np.unique(groups[by_id], return_index=True)[1]])
        parts = customer_parts(ids[firsts], labels[firsts], holdout_share, n_folds, seed)
        of_group = np.empty(len(firsts), np.int64)
        of_group[groups[firsts]] = parts
        return of_group[groups]
    held_out = np.array([_uniform(seed, i) < holdout_share for i in ids], dtype=bool)
    out = np.full(len(labels), HOLDOUT, dtype=np.int64)
    n_dealt = 0
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(~held_out & (labels == label)))
        out[places] = 1 + (n_dealt + np.arange(len(places))) % n_folds
        n_dealt += len(places)
    return out


def plan_customers(n_folds: int) -> Plan:
    """Share out the groups of `customer_parts`: each fold is judged by a model of all others, the hold-out by none."""
    groups = tuple(range(1, n_folds + 1))
    return Plan((HOLDOUT,), groups, customer_folds(groups), (HOLDOUT, *groups))


def customer_folds(groups: Iterable[int]) -> tuple[Fold, ...]:
    """One fold a group of customers who are not held out, judged by a model of all others.

    >>> customer_folds((-1, 0, 1, 2))
    (Fold(train=(-1, 0, 2), valid=1), Fold(train=(-1, 0, 1), valid=2))
    """
    all_groups = tuple(groups)
    return tuple(Fold(tuple(p for p in all_groups if p != valid), valid) for valid in all_groups if valid > HOLDOUT)


def plan_held_out_customers(as_ofs: Iterable[pd.Timestamp], n_folds: int) -> Plan:
    """As `plan_customers`, of dated rows: who is held out judges at the newest date, and no earlier row of theirs does.

    For a history in which no two dates lie a horizon apart. No date learned from is later than the one that judges, but
    their outcomes overlap: how the level differs between moments, no such plan shows.
    """
    plan = plan_customers(n_folds)
    return replace(plan, final=(ASIDE, *plan.final), moment=max(as_ofs))


def _uniform(seed: int, customer_id: str) -> float:
    """A number in [0, 1) that follows from seed and id."""
    digest = hashlib.blake2b(f"{seed}:{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


_REMEDY = "Bring a longer history, or set a shorter horizon_days, a smaller holdout_as_ofs or as_of.every_months"


def _span(as_ofs: list[pd.Timestamp]) -> str:
    if not as_ofs:
        return "no labelled moment"
    if len(as_ofs) == 1:
        return f"one labelled moment ({as_ofs[0].date()})"
    return f"{len(as_ofs)} labelled moments ({as_ofs[0].date()} to {as_ofs[-1].date()})"
