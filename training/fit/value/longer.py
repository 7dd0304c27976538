"""Value within longer horizons, learned from past moments whose outcome of that length is known.

The law of growth (`training.priors.growth`) needs no outcome, and holds the season as far as the main forecast does.
Past moments, each forecast as it would have been then,
show two things: at what level its steps come true, believed as far as few moments tell (`training.priors.level`), and
how far customers lie from what was expected, which makes the interval. A level above the law's raises no step beyond
its bound: the others are raised by what the bounded ones lack. Where no moment has an outcome of that length,
the interval is made of what the law draws, and spread by `UNSEEN_SD` for the level nobody has seen.

Of one length only moments count that lie as far apart: outcomes that share days tell the same twice. What is told
(``info["longer"]``) was measured at each moment with levels and interval of moments that share no day with it; with one
moment alone, the interval is that of one half of the customers on the other. What cannot be measured is None.

``examined`` is said of a length only where at least two moments, which knew the season that counts, bear its interval
out: none was further off in total than the interval allows, and it held as many customers as promised. Else ``why``
stands beside, and the interval reaches as far as one that nobody has seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from configs.errors import DataError, NotEnoughDataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.inactivity import value_column
from features.schema import SEASON_COLUMNS, SEASON_VALUE, SEASON_YEAR
from training.data.dataset import Dataset
from training.data.early_seasons import with_early_seasons
from training.data.task_rows import feature_rows, labels_of
from training.fit.assembly import FittedModels, with_facts
from training.fit.small_data import LEVELS
from training.fit.value.law import growth_at
from training.fit.value.past import forecasts_at
from training.fit.value.recent import past_moves
from training.fit.value.season import in_season, share_held
from training.model.bundle import Bundle
from training.model.conformal import MIN_PER_BIN, Outcomes, fit_intervals, level_spread
from training.model.encoding import encode
from training.model.intervals import KNOWN, Interval
from training.model.longer import Level, LongerBasis, LongerHorizon, LongerValue, anchored
from training.priors.growth import Growth
from training.priors.level import apart, log_ratio, shrunk

MOST_MOMENTS = 3
MOST_DRAWN = 1_000
UNSEEN_SD = 0.3
MOST_FURTHER = float(np.log(2))
SURE, LEAST_SD, LEAST_EXAMINED = 0.95, 0.1, 2
MEASURED = ("total_error", "largest_error_at_a_moment", "coverage")
LONGER_NOT_BUILT = "the labels were built before longer horizons were counted: run `staycast features` again"
NOTHING_AFTER = "a ready table has no dates, so nothing tells what comes after its horizon"
NOBODY_DRAWN = "of no customer the law of growth can say what may come, so nothing tells how far values spread"
NOT_LEARNED = "an error came up as they were learned, which the main forecast does not rest on: {error}"


@dataclass(frozen=True)
class _Past:
    """Past moments with outcomes of several lengths, one row a customer and moment.

    ``expected`` (n,) within the main horizon; ``increments`` (n, steps); ``came`` (n, steps + 1), NaN: not known;
    ``moment`` (n,) as a number; ``days`` since the first, ``customer`` and ``known_days`` (n,). ``most`` (steps,) is
    that of the law; empty: nothing bounds a step. ``lent`` (n,) is true at moments that did not know the season that
    counts, see `_in_their_season`; None: all knew what counts.
    """

    expected: np.ndarray
    increments: np.ndarray
    came: np.ndarray
    moment: np.ndarray
    days: np.ndarray
    customer: np.ndarray
    known_days: np.ndarray | None
    most: tuple[float | None, ...] = ()
    lent: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> _Past:
        """Some of the rows."""
        kept = {name: values[rows] for name, values in vars(self).items() if isinstance(values, np.ndarray)}
        return replace(self, **kept)

    def at_horizon(self, step: int, days: int) -> _Past:
        """The rows whose outcome within the horizon that a step ends at is known, at moments that lie as far apart."""
        known = np.isfinite(self.came[:, step + 1])
        return self.of(known & np.isin(self.days, apart(np.unique(self.days[known]), days, MOST_MOMENTS)))


def with_longer_values(models: FittedModels, data: Dataset, settings: Settings, workspace: Workspace) -> FittedModels:
    """The value models of a business, of which the one that serves tells longer horizons, too.

    None are told, and why stands in ``info["longer"]["left_out"]``, where nothing says how value goes on; the main
    forecast stands, whatever comes up here.
    """
    days = settings.clv.longer_horizons
    if models.final.task != "clv" or not days:
        return models
    if data.by == "part" or settings.churn.kind == "label":
        return _without(models, NOTHING_AFTER)
    labels = labels_of(workspace)
    if not {value_column(d) for d in days} <= set(labels):
        return _without(models, LONGER_NOT_BUILT)
    try:
        return _learned(models, data, feature_rows(workspace), labels, settings)
    except DataError as error:
        return _without(models, str(error))
    except Exception as error:  # an extra never takes the main forecast with it, and whoever trains sees the fault
        warnings.warn(f"value within longer horizons is left out: {error!r}", RuntimeWarning, stacklevel=2)
        return _without(models, NOT_LEARNED.format(error=error))


def _learned(
    models: FittedModels, data: Dataset, rows: pd.DataFrame, labels: pd.DataFrame, settings: Settings
) -> FittedModels:
    newest = rows["as_of"].max()
    then = rows
    if share_held(models.final):
        data, rows = _in_their_season(data, rows)
    lent = _lent_moments(then, rows)
    growth = in_season(growth_at(newest, rows, labels, settings), models.final, rows)
    past = _past(models, replace(data, by="as_of"), rows, labels, settings, growth, lent)
    longer, facts = learn_longer(models.final, growth, past, rows[rows["as_of"] == newest], settings)
    return replace(models, final=replace(with_facts(models.final, longer=facts), longer=longer))


def _in_their_season(data: Dataset, rows: pd.DataFrame) -> tuple[Dataset, pd.DataFrame]:
    """Labelled and feature rows of which each past moment knows the season of its time of the year.

    Else what a model missed because it knew none would be taken for a level, and carried to other times of the year.
    """
    filled = with_early_seasons(rows, data.lent)
    names = [name for name in SEASON_COLUMNS if name in data.frame and name in filled]
    frame = data.frame.copy()
    frame[names] = filled.groupby("as_of")[names].first().reindex(frame["as_of"]).to_numpy()
    return replace(data, frame=frame), filled


def _lent_moments(then: pd.DataFrame, filled: pd.DataFrame) -> list[pd.Timestamp]:
    """The moments whose season of value was filled in."""
    if filled is then:
        return []
    names = [name for name in (SEASON_VALUE, SEASON_YEAR) if name in then]
    changed = then.groupby("as_of")[names].first() != filled.groupby("as_of")[names].first()
    return list(changed.index[changed.any(axis=1)])


def _without(models: FittedModels, why: str) -> FittedModels:
    return replace(models, final=with_facts(models.final, longer={"left_out": why}))


def learn_longer(
    bundle: Bundle, growth: Growth, past: _Past, population: pd.DataFrame, settings: Settings
) -> tuple[LongerValue, dict[str, Any]]:
    """Levels and intervals of all longer horizons, and what past moments showed of each, by days."""
    horizons: list[LongerHorizon] = []
    facts: dict[str, Any] = {}
    ends = (bundle.horizon_days, *settings.clv.longer_horizons)
    sd = UNSEEN_SD
    for step, days in enumerate(ends[1:]):
        known = past.at_horizon(step, days)
        if len(known.expected) >= MIN_PER_BIN and (known.came[:, step + 1] > 0).any():
            level, sd = _level(known, step)
            levels = [*(h.step for h in horizons), level]
            interval = _interval(known, step, levels, sd, days, bundle, settings)
            showed = _examined(past, known, step, ends, bundle, settings)
            unsure = np.hypot(max(_spread(known, levels, sd, days), LEAST_SD), _chance(known, levels))
            why = _not_borne_out(showed, float(unsure), settings.clv.coverage)
            basis: LongerBasis = "unexamined" if why else "examined"
            facts[str(days)] = {"basis": basis, **({"why": why} if why else {}), "level": level.shift, **showed}
            horizons.append(LongerHorizon(days, level.shift, interval, basis, level.most))
            continue
        level, sd = _carried(past, step, horizons), max(sd, UNSEEN_SD)
        levels = [*(h.step for h in horizons), level]
        interval = _drawn_interval(growth, population, bundle, levels, ends[: step + 2], sd, settings)
        facts[str(days)] = {"basis": "unexamined", "level": level.shift, "moments": 0, "customers": 0}
        horizons.append(LongerHorizon(days, level.shift, interval, "unexamined", level.most))
    return LongerValue(bundle.horizon_days, growth, tuple(horizons)), facts


def _past(
    models: FittedModels,
    data: Dataset,
    rows: pd.DataFrame,
    labels: pd.DataFrame,
    settings: Settings,
    newest: Growth,
    lent: Collection[pd.Timestamp],
) -> _Past:
    """The forecasts of past moments with what the law of their time adds, bounded as the newest law, and what came."""
    ends = (settings.clv.horizon_days, *settings.clv.longer_horizons)
    columns = ["clv", *(value_column(d) for d in ends[1:])]
    chosen: set[pd.Timestamp] = set()
    for days, column in zip(ends[1:], columns[1:], strict=True):
        known = set(labels.loc[labels[column].notna(), "as_of"].unique()) & set(data.as_ofs)
        chosen |= set(apart(known, pd.Timedelta(days=days), MOST_MOMENTS))
    moved = past_moves(models.final.info.get("recent_level", {}), rows, labels, data, settings)
    forecasts = forecasts_at(sorted(chosen), models, data, rows, settings, moved)
    forecasts = forecasts.merge(labels[["customer_id", "as_of", *columns]], on=["customer_id", "as_of"], validate="1:1")
    expected, increments = forecasts["expected"].to_numpy(np.float64), np.zeros((len(forecasts), len(ends) - 1))
    has_law = np.zeros(len(forecasts), dtype=bool)
    for moment in forecasts["as_of"].unique():
        own = (forecasts["as_of"] == moment).to_numpy()
        try:
            growth = in_season(growth_at(moment, rows, labels, settings), models.final, rows)
        except NotEnoughDataError:
            continue
        has_law |= own
        increments[own] = growth.increments(encode(forecasts[own], growth.columns, {}), expected[own], ends)
    first = forecasts["as_of"].min()
    names = [name for name in KNOWN if name in forecasts]
    past = _Past(
        expected,
        increments,
        forecasts[columns].to_numpy(np.float64, na_value=np.nan),
        pd.factorize(forecasts["as_of"])[0],
        ((forecasts["as_of"] - first) / pd.Timedelta(days=1)).to_numpy(np.float64),
        forecasts["customer_id"].to_numpy(),
        forecasts[names[0]].to_numpy(np.float64, na_value=np.nan) if names else None,
        newest.most(ends),
        forecasts["as_of"].isin(list(lent)).to_numpy(),
    )
    return past.of(has_law)


def _level(past: _Past, step: int) -> tuple[Level, float]:
    """At what level a step comes true, and the standard deviation of its logarithm at a moment to come."""
    shifts, most = [], past.most[step] if past.most else None
    main, increments = np.maximum(past.expected, 0.0), past.increments[:, step]
    for number in np.unique(past.moment):
        own = past.moment == number
        shifts.append(log_ratio((main * increments)[own], past.came[own, step + 1] - past.came[own, step]))
    found = [shift for shift in shifts if shift is not None]
    if not found:
        return Level(0.0, most), UNSEEN_SD
    shift, sd = shrunk(np.asarray([s for s, _ in found]), np.asarray([v for _, v in found]))
    return bounded(shift, most, main, increments), sd


def bounded(shift: float, most: float | None, main: np.ndarray, increments: np.ndarray) -> Level:
    """The level that raises the total of steps by a shift, of which none is raised beyond a bound.

    The others are raised by what those lack, but by no more than twice as much: the end of a contract is near or far,
    whatever others pay. What is left then is what all pay more than their bound, as where prices rise.

    Parameters
    ----------
    shift
        Of the logarithm of the total.
    most
        The bound, which no increment exceeds; None: none.
    main, increments
        Value of the main horizon, and the step as a multiple of it, shape (n,) each.

    >>> level = bounded(np.log(1.25), 1.0, np.ones(2), np.array([0.9, 0.3]))
    >>> level.of(np.array([0.9, 0.3])).round(3).tolist()
    [1.0, 0.5]
    """

    def total(raised: float) -> float:
        return float(main @ Level(raised, most).of(increments))

    asked, largest = float(main @ increments) * np.exp(shift), shift + MOST_FURTHER
    if most is None or total(shift) >= asked * (1 - 1e-9):
        return Level(shift, most)
    if total(largest) >= asked:
        return Level(float(brentq(lambda raised: total(raised) - asked, shift, largest)), most)
    beyond = float(np.log(asked / total(largest)))
    return Level(largest + beyond, most * float(np.exp(beyond)))


def _carried(past: _Past, step: int, horizons: Sequence[LongerHorizon]) -> Level:
    """The level of a step of which no outcome is known: that of the step before, as far beyond its bound."""
    most = past.most[step] if past.most else None
    if not horizons or most is None:
        return Level(horizons[-1].level if horizons else 0.0, most)
    before, bound = horizons[-1], past.most[step - 1]
    beyond = before.most / bound if before.most and bound else 1.0
    return Level(before.level, most * beyond)


def _totals(past: _Past, levels: Sequence[Level]) -> np.ndarray:
    """Expected value within the horizon that the last of some steps ends at, shape (n,)."""
    return anchored(past.expected, past.increments[:, : len(levels)], levels)[-1]


def _interval(
    past: _Past, step: int, levels: Sequence[Level], sd: float, days: int, bundle: Bundle, settings: Settings
) -> Interval:
    """The interval of outcomes within a longer horizon, at least as far spread as the level of the step is unsure."""
    expected = _totals(past, levels)
    seen = Outcomes(expected, past.came[:, step + 1], past.known_days, past.customer, past.days)
    allowance = 0.0 if bundle.full_season else settings.clv.season_allowance
    return fit_intervals(
        seen,
        settings.clv.coverage,
        horizon_days=days,
        new_days=settings.decisions.stages.new_days,
        allowance=allowance,
        least_spread=_spread(past, levels, sd, days),
    )


def _spread(past: _Past, levels: Sequence[Level], sd: float, days: int) -> float:
    """How far the total at a moment to come may lie from what is expected, as a standard deviation of logarithms."""
    expected = _totals(past, levels)
    share = max(0.0, 1.0 - float(past.expected.sum()) / max(float(expected.sum()), 1e-12))
    return max(sd * share, level_spread(expected, past.came[:, len(levels)], past.days, days))


def _chance(past: _Past, levels: Sequence[Level]) -> float:
    """How far the total at a moment lies off by who orders, as a standard deviation of logarithms; of the usual one."""
    expected, came = _totals(past, levels), past.came[:, len(levels)]
    shifts = (log_ratio(expected[own], came[own]) for own in (past.moment == m for m in np.unique(past.moment)))
    return float(np.sqrt(np.mean([variance for _, variance in filter(None, shifts)] or [0.0])))


def _not_borne_out(showed: Mapping[str, float | None], spread: float, coverage: float) -> str:
    """Why past moments do not bear an interval out, for people; empty: they do."""
    moments, lent = int(showed["moments"] or 0), int(showed["moments_in_lent_season"] or 0)
    worst, held, customers = showed["largest_error_at_a_moment"], showed["coverage"], showed["customers"] or 0.0
    said = "" if worst is None else f": {worst:+.0%} off in total{' at the worst' if moments > 1 else ''}"
    if moments < LEAST_EXAMINED:
        return f"one past moment alone shows it{said}"
    if moments - lent < LEAST_EXAMINED:
        return f"the season was not known yet at {lent} of {moments} past moments{said}"
    if worst is None or held is None:
        return "what came at past moments is too little to measure it by"
    if abs(np.log1p(worst)) > norm.ppf(1 - (1 - SURE) / 2 / moments) * spread:
        return f"past moments do not bear it out{said}"
    if held + norm.ppf(SURE) * np.sqrt(coverage * (1 - coverage) / max(customers, 1.0)) < coverage:
        return f"past moments do not bear it out: it held {held:.1%} of them, and {coverage:.0%} was promised"
    return ""


def _examined(
    past: _Past, known: _Past, step: int, ends: Sequence[int], bundle: Bundle, settings: Settings
) -> dict[str, float | None]:
    """What forecasts of the `known` rows showed, with levels and interval of others, see above; None: not measured."""
    days, came, several = ends[step + 1], known.came[:, step + 1], len(np.unique(known.moment)) > 1
    expected, held = np.zeros(len(came)), np.full(len(came), np.nan)
    groups = known.moment if several else pd.factorize(known.customer)[0] % 2
    for number in np.unique(groups):
        own, others = groups == number, known.of(groups != number)
        levels, sd = _levels_elsewhere(past, float(known.days[own][0]), step, ends)
        sd = sd if several else _level(others, step)[1]  # as wide as the interval that serves
        expected[own] = _totals(known.of(own), levels)
        if len(others.expected) < MIN_PER_BIN:
            continue
        known_days = None if known.known_days is None else known.known_days[own]
        low, high = _interval(others, step, levels, sd, days, bundle, settings)(expected[own], known_days)
        held[own] = (low <= came[own]) & (came[own] <= high)
    by_length = known.expected * days / bundle.horizon_days
    judged = np.isfinite(held)
    errors = [_total_error(expected[at], came[at]) for at in (known.moment == m for m in np.unique(known.moment))]
    return {
        "moments": float(len(errors)),
        "moments_in_lent_season": 0.0 if known.lent is None else float(len(np.unique(known.moment[known.lent]))),
        "customers": float(len(came)),
        "expected": float(expected.sum()),
        "came": float(came.sum()),
        "total_error": _total_error(expected, came),
        "total_error_by_length": _total_error(by_length, came),
        "largest_error_at_a_moment": None if None in errors else max((e for e in errors if e is not None), key=abs),
        "coverage": float(held[judged].mean()) if judged.any() else None,
    }


def _levels_elsewhere(past: _Past, day: float, step: int, ends: Sequence[int]) -> tuple[list[Level], float]:
    """The levels of all steps up to one that moments show whose outcomes share no day with that of a day's moment.

    With the standard deviation of the last. A step that no such moment tells of has the level 0.
    """
    elsewhere = past.of(np.abs(past.days - day) >= ends[step + 1])
    found = [_level(elsewhere.at_horizon(earlier, ends[earlier + 1]), earlier) for earlier in range(step + 1)]
    return [level for level, _ in found], found[-1][1]


def _total_error(expected: np.ndarray, came: np.ndarray) -> float | None:
    """By what share the expected total lies above what came; None where nothing came in total, or less."""
    total = float(came.sum())
    return float(expected.sum()) / total - 1.0 if total > 0 else None


def _drawn_interval(
    growth: Growth,
    population: pd.DataFrame,
    bundle: Bundle,
    levels: Sequence[Level],
    ends: tuple[int, ...],
    sd: float,
    settings: Settings,
) -> Interval:
    """The interval where no outcome is known: of what the law draws for customers, at the anchored level."""
    seed = settings.tuning.seed
    rows = population[growth.drawable(encode(population, growth.columns, {}))]
    if rows.empty:
        raise NotEnoughDataError(NOBODY_DRAWN)
    rows = rows.sample(min(len(rows), MOST_DRAWN), random_state=seed).sort_index()
    x, expected = encode(rows, growth.columns, {}), bundle.predict(bundle.encode(rows))
    total = anchored(expected, growth.increments(x, expected, ends), levels)[-1]
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
    """The figures of horizons that past moments show by name, for a run's metrics."""
    return {
        f"{name}_{days}_days": value
        for days, of_horizon in facts.items()
        if days != "left_out" and of_horizon["moments"]
        for name, value in of_horizon.items()
        if name in MEASURED and value is not None
    }
