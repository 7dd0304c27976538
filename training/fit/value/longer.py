"""Value within longer horizons, learned from past moments whose outcome of that length is known.

The law of growth (`training.priors.growth`) needs no outcome. Past moments, each forecast as it would have been then,
show two things: at what level its steps come true, believed as far as few moments tell (`training.priors.level`), and
how far customers lie from what was expected, which makes the interval. Where no moment has an outcome of that length,
the interval is made of what the law draws, and spread by `UNSEEN_SD` for the level nobody has seen.

What is told of it (``info["longer"]``) was measured at each moment with level and interval of the other moments; with
one moment alone, without a level, and the interval of one half of the customers on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.inactivity import value_column
from training.data.dataset import Dataset, Encoder
from training.data.split import matured
from training.data.task_rows import feature_rows
from training.fit.assembly import FittedModels, expectation_of, with_facts
from training.fit.small_data import LEVELS
from training.fit.value.past import apart, forecasts_at
from training.model.bundle import Bundle, encode
from training.model.conformal import MIN_PER_BIN, Outcomes, fit_intervals
from training.model.intervals import KNOWN, Interval
from training.model.longer import LongerHorizon, LongerValue, anchored
from training.priors.expectation import COLUMNS
from training.priors.growth import ContractGrowth, Growth, OrderGrowth
from training.priors.level import log_ratio, shrunk, smoothed_share

MOST_MOMENTS = 3
MOST_DRAWN = 1_000
UNSEEN_SD = 0.3
HAZARD_MOMENTS = 12
NOT_BUILT = "the labels were built before longer horizons were counted: run `staycast features` again"
NO_DATES = "a ready table has no dates, so nothing tells what comes after its horizon"
NO_LAW = "neither orders nor prices of contracts stand in the features, which a longer horizon rests on"


@dataclass(frozen=True)
class _Past:
    """Past moments with outcomes of several lengths, one row a customer and moment.

    ``expected`` (n,) within the main horizon; ``increments`` (n, steps); ``came`` (n, steps + 1), NaN: not known;
    ``moment`` (n,) as a number; ``days`` since the first, ``customer`` and ``known_days`` (n,).
    """

    expected: np.ndarray
    increments: np.ndarray
    came: np.ndarray
    moment: np.ndarray
    days: np.ndarray
    customer: np.ndarray
    known_days: np.ndarray | None

    def of(self, rows: np.ndarray) -> _Past:
        """Some of the rows."""
        known = None if self.known_days is None else self.known_days[rows]
        kept = {name: values[rows] for name, values in vars(self).items() if name != "known_days"}
        return _Past(**kept, known_days=known)


def with_longer_values(models: FittedModels, data: Dataset, settings: Settings, workspace: Workspace) -> FittedModels:
    """The value models of a business, of which the one that serves tells longer horizons, too.

    None are told, and why stands in ``info["longer"]["left_out"]``, where nothing says how value goes on.
    """
    days = settings.clv.longer_horizons
    if models.final.task != "clv" or not days:
        return models
    if data.by == "part" or settings.churn.kind == "label":
        return _without(models, NO_DATES)
    labels = pd.read_parquet(workspace.features / "labels.parquet")
    if not {value_column(d) for d in days} <= set(labels):
        return _without(models, NOT_BUILT)
    rows = feature_rows(workspace)
    newest = rows["as_of"].max()
    growth = growth_at(newest, rows, labels, settings)
    if growth is None:
        return _without(models, NO_LAW)
    past = _past(models, replace(data, by="as_of"), rows, labels, settings)
    longer, facts = learn_longer(models.final, growth, past, rows[rows["as_of"] == newest], settings)
    return replace(models, final=replace(with_facts(models.final, longer=facts), longer=longer))


def _without(models: FittedModels, why: str) -> FittedModels:
    return replace(models, final=with_facts(models.final, longer={"left_out": why}))


def growth_at(moment: pd.Timestamp, rows: pd.DataFrame, labels: pd.DataFrame, settings: Settings) -> Growth | None:
    """The law of growth as of a moment; None where the features hold nothing that tells.

    Parameters
    ----------
    rows, labels
        Feature rows and labels of all customers at all as-of dates; none that was not known at the moment is looked at.
    """
    has_fees = "price_now" in rows and bool(rows["price_now"].notna().any())
    if set(COLUMNS) <= set(rows) and (not has_fees or settings.clv.contracts == "orders"):
        encoder, customers = Encoder(COLUMNS, {}), rows[rows["as_of"] == moment]
        expectation = expectation_of(customers, "clv", encoder, settings)
        return None if expectation is None else OrderGrowth(expectation.model, settings.clv.annual_discount_rate)
    if not has_fees or settings.churn.kind != "contract":
        return None
    wait = settings.outcome_days("churn")
    known = matured(labels["as_of"].unique(), wait, by=moment)[-HAZARD_MOMENTS:]
    left = labels.loc[labels["as_of"].isin(known), "churned"].dropna().to_numpy(np.float64)
    hazard = -np.log1p(-smoothed_share(left)) / settings.churn.horizon_days
    return ContractGrowth(float(hazard + np.log1p(settings.clv.annual_discount_rate) / 365.25), settings.clv.margin)


def learn_longer(
    bundle: Bundle, growth: Growth, past: _Past, population: pd.DataFrame, settings: Settings
) -> tuple[LongerValue, dict[str, Any]]:
    """Levels and intervals of all longer horizons, and what past moments showed of each, by days."""
    horizons: list[LongerHorizon] = []
    facts: dict[str, Any] = {}
    ends = (bundle.horizon_days, *settings.clv.longer_horizons)
    sd = UNSEEN_SD
    for step, days in enumerate(ends[1:]):
        known = past.of(np.isfinite(past.came[:, step + 1]))
        if len(known.expected) >= MIN_PER_BIN and (known.came[:, step + 1] > 0).any():
            levels = [h.level for h in horizons]
            level, sd = _level(known, step)
            interval = _interval(known, step, [*levels, level], sd, days, bundle, settings)
            facts[str(days)] = {
                "basis": "examined",
                "level": level,
                **_examined(known, step, levels, days, bundle, settings),
            }
            horizons.append(LongerHorizon(days, level, interval, "examined"))
            continue
        level, sd = horizons[-1].level if horizons else 0.0, max(sd, UNSEEN_SD)
        levels = [*(h.level for h in horizons), level]
        interval = _drawn_interval(growth, population, bundle, levels, ends[: step + 2], sd, settings)
        facts[str(days)] = {"basis": "unexamined", "level": level, "moments": 0, "customers": 0}
        horizons.append(LongerHorizon(days, level, interval, "unexamined"))
    return LongerValue(bundle.horizon_days, growth, tuple(horizons)), facts


def _past(models: FittedModels, data: Dataset, rows: pd.DataFrame, labels: pd.DataFrame, settings: Settings) -> _Past:
    """The forecasts of past moments with what the law of their time adds, and what came."""
    ends = (settings.clv.horizon_days, *settings.clv.longer_horizons)
    columns = ["clv", *(value_column(d) for d in ends[1:])]
    known = [labels.loc[labels[c].notna(), "as_of"].unique() for c in columns[1:]]
    chosen = {m for of_length in known for m in apart(of_length, ends[0], MOST_MOMENTS)}
    made = forecasts_at(sorted(chosen & set(data.as_ofs)), models, data, rows, settings)
    made = made.merge(labels[["customer_id", "as_of", *columns]], on=["customer_id", "as_of"], validate="1:1")
    expected, increments = made["expected"].to_numpy(np.float64), np.zeros((len(made), len(ends) - 1))
    can_tell = np.zeros(len(made), dtype=bool)
    for moment in made["as_of"].unique():
        growth, own = growth_at(moment, rows, labels, settings), (made["as_of"] == moment).to_numpy()
        if growth is None:
            continue
        can_tell |= own
        increments[own] = growth.increments(encode(made[own], growth.columns, {}), expected[own], ends)
    first = made["as_of"].min()
    names = [name for name in KNOWN if name in made]
    past = _Past(
        expected,
        increments,
        made[columns].to_numpy(np.float64, na_value=np.nan),
        pd.factorize(made["as_of"])[0],
        ((made["as_of"] - first) / pd.Timedelta(days=1)).to_numpy(np.float64),
        made["customer_id"].to_numpy(),
        made[names[0]].to_numpy(np.float64, na_value=np.nan) if names else None,
    )
    return past.of(can_tell)


def _level(past: _Past, step: int) -> tuple[float, float]:
    """By how much the logarithm of a step must be raised, and its standard deviation at a moment to come."""
    shifts = []
    for number in np.unique(past.moment):
        own = past.moment == number
        expected = np.maximum(past.expected, 0.0)[own] * past.increments[own, step]
        shifts.append(log_ratio(expected, past.came[own, step + 1] - past.came[own, step]))
    found = [shift for shift in shifts if shift is not None]
    if not found:
        return 0.0, UNSEEN_SD
    return shrunk(np.asarray([s for s, _ in found]), np.asarray([v for _, v in found]))


def _totals(past: _Past, levels: Sequence[float]) -> np.ndarray:
    """Expected value within the horizon that the last of some steps ends at, shape (n,)."""
    return anchored(past.expected, past.increments[:, : len(levels)], list(levels))[-1]


def _interval(
    past: _Past, step: int, levels: Sequence[float], sd: float, days: int, bundle: Bundle, settings: Settings
) -> Interval:
    """The interval of outcomes within a longer horizon, at least as far spread as the level of the step is unsure."""
    expected, grown = _totals(past, levels), float(past.expected.sum())
    share = max(0.0, 1.0 - grown / max(float(expected.sum()), 1e-12))
    seen = Outcomes(expected, past.came[:, step + 1], past.known_days, past.customer, past.days)
    allowance = 0.0 if bundle.full_season else settings.clv.season_allowance
    return fit_intervals(
        seen,
        settings.clv.coverage,
        horizon_days=days,
        new_days=settings.decisions.stages.new_days,
        allowance=allowance,
        least_spread=sd * share,
    )


def _examined(
    past: _Past, step: int, levels: Sequence[float], days: int, bundle: Bundle, settings: Settings
) -> dict[str, float]:
    """What forecasts showed at each moment, with level and interval of the others, see above."""
    numbers = np.unique(past.moment)
    expected, held = np.zeros(len(past.expected)), np.zeros(len(past.expected), dtype=bool)
    groups = past.moment if len(numbers) > 1 else pd.factorize(past.customer)[0] % 2
    for number in np.unique(groups):
        own, others = groups == number, past.of(groups != number)
        level, sd = _level(others, step) if len(numbers) > 1 else (0.0, UNSEEN_SD)
        path = [*levels, level]
        expected[own] = _totals(past.of(own), path)
        if len(others.expected) < MIN_PER_BIN:
            continue
        low, high = _interval(others, step, path, sd, days, bundle, settings)(
            expected[own], None if past.known_days is None else past.known_days[own]
        )
        held[own] = (low <= past.came[own, step + 1]) & (past.came[own, step + 1] <= high)
    came = past.came[:, step + 1]
    total = float(came.sum())
    by_length = past.expected * days / bundle.horizon_days
    return {
        "moments": float(len(numbers)),
        "customers": float(len(came)),
        "expected": float(expected.sum()),
        "came": total,
        "total_error": float(expected.sum()) / total - 1.0,
        "total_error_by_length": float(by_length.sum()) / total - 1.0,
        "coverage": float(held.mean()),
    }


def _drawn_interval(
    growth: Growth,
    population: pd.DataFrame,
    bundle: Bundle,
    levels: Sequence[float],
    ends: tuple[int, ...],
    sd: float,
    settings: Settings,
) -> Interval:
    """The interval where no outcome is known: of what the law draws for customers, at the anchored level."""
    seed = settings.tuning.seed
    rows = population.sample(min(len(population), MOST_DRAWN), random_state=seed).sort_index()
    x, expected = encode(rows, growth.columns, {}), bundle.predict(bundle.encode(rows))
    total = anchored(expected, growth.increments(x, expected, ends), list(levels))[-1]
    drawn, multiples = growth.draws(x, expected, (ends[0], ends[-1]), LEVELS)
    center = np.repeat(total[drawn], len(LEVELS))
    z = np.random.default_rng(seed).standard_normal(len(center))
    return fit_intervals(
        Outcomes(center, center * multiples.ravel() * np.exp(sd * z)),
        settings.clv.coverage,
        horizon_days=ends[-1],
        allowance=settings.clv.season_allowance,
        min_rows=min(MIN_PER_BIN, len(center)),
    )


def longer_metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    """The figures of examined horizons by name, for a run's metrics."""
    return {
        f"{name}_{days}_days": value
        for days, of_horizon in facts.items()
        if days != "left_out" and of_horizon["basis"] == "examined"
        for name, value in of_horizon.items()
        if name in ("total_error", "coverage")
    }
