"""Which moments a model learns from, and which judge it: always later ones, always past a gap.

The gap is one horizon. At the moment *v* at which a model would be put to use, the outcome of a customer looked at
at *a* is known only once ``[a, a + horizon)`` has ended, so ``a + horizon <= v``. A fold that trained on a later
moment would learn from outcomes that nobody had yet, and from days that its own validation is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from configs.errors import NotEnoughDataError

Moments = tuple[pd.Timestamp, ...]


@dataclass(frozen=True)
class Fold:
    """One exercise: learn from the `train` moments, be judged at the later moment `valid`."""

    train: Moments
    valid: pd.Timestamp


@dataclass(frozen=True)
class Plan:
    """What each labelled moment is for.

    Attributes
    ----------
    holdout
        The newest moments: they judge the finished model and nothing else.
    train_for_holdout
        The moments that the judged model learns from: matured by the first hold-out moment.
    folds
        Exercises among `train_for_holdout`, oldest first: they choose the hyperparameters.
    final
        All labelled moments: the model that serves is refitted on them, with what the others chose.
    """

    holdout: Moments
    train_for_holdout: Moments
    folds: tuple[Fold, ...]
    final: Moments


def matured(as_ofs: Iterable[pd.Timestamp], horizon_days: int, by: pd.Timestamp) -> Moments:
    """Keep the moments whose label window ``[as_of, as_of + horizon)`` has ended at `by`, oldest first.

    >>> days = pd.to_datetime(["2024-01-01", "2024-01-02"])
    >>> [str(a.date()) for a in matured(days, 30, by=pd.Timestamp("2024-01-31"))]
    ['2024-01-01']
    """
    horizon = pd.Timedelta(days=horizon_days)
    return tuple(a for a in sorted(set(as_ofs)) if a + horizon <= by)


def rolling_origin(as_ofs: Iterable[pd.Timestamp], horizon_days: int, n_folds: int) -> list[Fold]:
    """Make the newest folds that time allows.

    Each moment that has at least one matured moment before it can be validated. A fold trains on all of those, not
    on the newest alone, as the model in use does. The gap of one horizon keeps out moments whose outcomes were still
    open; see the module's docstring.

    Parameters
    ----------
    as_ofs
        Labelled moments, in any order.
    horizon_days
        Length of the label window.
    n_folds
        The most folds to make.

    Returns
    -------
    list of Fold
        From 1 to `n_folds`, oldest first: fewer if the history is short.

    Raises
    ------
    NotEnoughDataError
        No moment can be validated.
    """
    moments = sorted(set(as_ofs))
    folds = [Fold(matured(moments, horizon_days, by=v), v) for v in moments]
    possible = [fold for fold in folds if fold.train]
    if not possible:
        raise NotEnoughDataError(
            f"no time-ordered fold: needs two labelled moments at least {horizon_days} days apart, so that the first "
            f"one's outcomes are known at the second; found {_span(moments)}. {_REMEDY}"
        )
    return possible[-n_folds:]


def plan(as_ofs: Iterable[pd.Timestamp], horizon_days: int, holdout_as_ofs: int, n_folds: int) -> Plan:
    """Share out the labelled moments between learning, choosing and judging.

    Parameters
    ----------
    as_ofs
        Labelled moments, in any order.
    horizon_days
        Length of the label window.
    holdout_as_ofs
        How many of the newest moments judge the finished model.
    n_folds
        The most folds to make of the rest.

    Returns
    -------
    Plan
        No outcome that a fold or the judged model sees ends after the first hold-out moment.

    Raises
    ------
    NotEnoughDataError
        No training moment remains before the hold-out, or no fold among them.
    """
    moments = sorted(set(as_ofs))
    if len(moments) <= holdout_as_ofs:
        raise NotEnoughDataError(
            f"no moment left to learn from: needs more than the {holdout_as_ofs} labelled moments that are held out, "
            f"found {_span(moments)}. {_REMEDY}"
        )
    holdout = tuple(moments[-holdout_as_ofs:])
    train = matured(moments, horizon_days, by=holdout[0])
    if not train:
        raise NotEnoughDataError(
            f"no moment left to learn from: needs a labelled moment at least {horizon_days} days before the first "
            f"hold-out moment {holdout[0].date()}, found {_span(moments)}. {_REMEDY}"
        )
    return Plan(holdout, train, tuple(rolling_origin(train, horizon_days, n_folds)), tuple(moments))


_REMEDY = "Bring a longer history, or set a shorter horizon_days, a smaller holdout_as_ofs or as_of.every_months"


def _span(moments: list[pd.Timestamp]) -> str:
    if not moments:
        return "no labelled moment"
    if len(moments) == 1:
        return f"one labelled moment ({moments[0].date()})"
    return f"{len(moments)} labelled moments ({moments[0].date()} to {moments[-1].date()})"
