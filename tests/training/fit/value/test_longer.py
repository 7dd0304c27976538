"""Longer values come true in total and as often as promised, where the past tells; where not, they say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import NotEnoughDataError
from configs.settings import Settings, load
from features.schema import SEASON_LONGER, Feature, FeatureSchema
from tests.feature_rows import workspace_of
from training.data.dataset import Dataset
from training.fit.assembly import FittedModels, Forecast, with_facts
from training.fit.small_data import fit_small_data
from training.fit.value import longer
from training.fit.value.law import NOTHING_GOES_ON
from training.fit.value.longer import LONGER_NOT_BUILT, longer_metrics, with_longer_values
from training.fit.value.past import forecasts_at
from training.model import bundle as bundles
from training.model.conformal import Outcomes, fit_intervals
from training.model.intervals import Interval
from training.model.longer import Amounts, LongerHorizon, anchored
from training.model.proof import manifest
from training.priors.expectation import COLUMNS
from training.priors.growth import DAYS_A_MONTH, ContractGrowth, SeasonalGrowth, paid_days
from training.priors.prior import Sum
from training.priors.season import Season

SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
MOMENTS = pd.date_range("2022-01-01", periods=12, freq="QS", tz="UTC")
LENGTHS = (30, 60, 90, 180, 365)


def shop(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature rows and labels at `MOMENTS` of customers who order by chance until they leave; three years are known."""
    rng = np.random.default_rng(seed)
    rows, labels, end = [], [], MOMENTS[-1] + pd.Timedelta(days=91)
    for number in range(n):
        rate, life, first = rng.gamma(1.5, 1 / 45), rng.exponential(700), rng.uniform(-500, 900)
        at = first + np.concatenate([[0.0], np.cumsum(rng.exponential(1 / rate, 200))])
        at = at[at <= first + life]
        amounts = rng.gamma(3, rng.gamma(4, 3), len(at))
        for moment in MOMENTS:
            now = (moment - MOMENTS[0]) / pd.Timedelta(days=1)
            past = at < now
            if not past.any():
                continue
            key = {"customer_id": f"c{number}", "as_of": moment}
            values = (float(past.sum()), now - at[past][-1], now - first, amounts[past].sum())
            rows.append(key | dict(zip(COLUMNS, values, strict=True)))
            came = {d: amounts[(at >= now) & (at < now + d)].sum() for d in LENGTHS}
            known = {d: came[d] if moment + pd.Timedelta(days=d) <= end else np.nan for d in LENGTHS}
            labels.append(key | {"clv" if d == 90 else f"clv_{d}": v for d, v in known.items()})
    return pd.DataFrame(rows), pd.DataFrame(labels)


def data_of(rows: pd.DataFrame, labels: pd.DataFrame) -> Dataset:
    known = labels[labels["clv"].notna()].rename(columns={"clv": "label"})[["customer_id", "as_of", "label"]]
    return Dataset("clv", rows.merge(known, on=["customer_id", "as_of"]), SCHEMA, "made up")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load("test")


@pytest.fixture(scope="module")
def history() -> tuple[pd.DataFrame, pd.DataFrame, Dataset]:
    rows, labels = shop(160, 4)
    return rows, labels, data_of(rows, labels)


@pytest.fixture(scope="module")
def prior(history: tuple[pd.DataFrame, pd.DataFrame, Dataset], settings: Settings) -> FittedModels:
    rows, _, data = history
    return fit_small_data(settings, data, None, rows)


@pytest.fixture(scope="module")
def told(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset],
    prior: FittedModels,
    settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> bundles.Bundle:
    rows, labels, data = history
    place = workspace_of(tmp_path_factory.mktemp("told"), rows, labels)
    return with_longer_values(prior, data, settings, place).final


@pytest.mark.slow
def test_what_past_moments_show_is_told_and_comes_true(told: bundles.Bundle, settings: Settings) -> None:
    facts = told.info["longer"]
    assert list(facts) == ["180", "365"]
    for of_horizon in facts.values():
        assert of_horizon["basis"] == "examined"
        assert of_horizon["moments"] >= 2
        assert abs(of_horizon["total_error"]) < 0.2
        assert abs(of_horizon["coverage"] - settings.clv.coverage) < 0.06
    assert {"total_error_180_days", "coverage_365_days"} <= set(longer_metrics(facts))


def test_values_of_the_newest_customers_come_true_a_year_later(told: bundles.Bundle) -> None:
    rows, labels = shop(600, 5)
    then = rows["as_of"] == MOMENTS[7]
    asked = rows[then].merge(labels, on=["customer_id", "as_of"])
    x = told.encode(asked)
    expected = told.predict(x)
    found = told.longer_values(asked, x, Amounts(expected, *told.bounds(expected, x)))
    for days, amounts in found.items():
        came = asked[f"clv_{days}"].to_numpy()
        assert amounts.expected.sum() == pytest.approx(came.sum(), rel=0.25)
        assert 0.82 < ((amounts.low <= came) & (came <= amounts.high)).mean() < 0.98


def test_steps_are_learned_from_past_forecasts_at_the_level_that_serves(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset],
    prior: FittedModels,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, labels, data = history
    facts, seen = {"share": 0.5, "factor": 1.2}, []

    def move(moment: pd.Timestamp, forecast: Forecast) -> float:
        return 0.0

    def forecasts(*arguments: Any) -> pd.DataFrame:
        seen.append(arguments[-1])
        return forecasts_at(*arguments)

    monkeypatch.setattr(longer, "past_moves", lambda told, *others: seen.append(told) or move)
    monkeypatch.setattr(longer, "forecasts_at", forecasts)
    moved = replace(prior, final=with_facts(prior.final, recent_level=facts))
    with_longer_values(moved, data, settings, workspace_of(tmp_path, rows, labels))
    assert seen == [facts, move]


def test_where_no_outcome_of_that_length_is_known_the_interval_is_said_to_be_unexamined(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset], prior: FittedModels, settings: Settings, tmp_path: Path
) -> None:
    rows, labels, data = history
    unknown = labels.assign(clv_180=np.nan, clv_365=np.nan)
    final = with_longer_values(prior, data, settings, workspace_of(tmp_path, rows, unknown)).final
    assert [h.basis for h in final.longer.horizons] == ["unexamined", "unexamined"]
    assert longer_metrics(final.info["longer"]) == {}
    asked = rows[rows["as_of"] == MOMENTS[7]].merge(labels, on=["customer_id", "as_of"])
    x = final.encode(asked)
    expected = final.predict(x)
    found = final.longer_values(asked, x, Amounts(expected, *final.bounds(expected, x)))
    held = (found[365].low <= asked["clv_365"]) & (asked["clv_365"] <= found[365].high)
    assert held.mean() > 0.85


def test_who_cannot_tell_says_why(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset], prior: FittedModels, settings: Settings, tmp_path: Path
) -> None:
    rows, labels, data = history
    older = workspace_of(tmp_path / "older", rows, labels.drop(columns="clv_365"))
    assert with_longer_values(prior, data, settings, older).final.info["longer"] == {"left_out": LONGER_NOT_BUILT}
    bare = workspace_of(tmp_path / "bare", rows.drop(columns="spend_total"), labels)
    assert with_longer_values(prior, data, settings, bare).final.info["longer"] == {"left_out": NOTHING_GOES_ON}
    ready = with_longer_values(prior, replace(data, by="part"), settings, bare).final
    assert "no dates" in ready.info["longer"]["left_out"]
    off = settings.model_copy(update={"clv": settings.clv.model_copy(update={"longer_days": (60, 90)})})
    assert with_longer_values(prior, data, off, bare) is prior


def test_an_error_of_the_extra_leaves_the_main_forecast_and_is_said(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset],
    prior: FittedModels,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, labels, data = history

    def fails(*given: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(longer, "learn_longer", fails)
    with pytest.warns(RuntimeWarning, match="left out: ZeroDivisionError"):
        final = with_longer_values(prior, data, settings, workspace_of(tmp_path, rows, labels)).final
    assert final.longer is None and "by nothing" in final.info["longer"]["left_out"]
    assert final.scores == prior.final.scores


def past(moments: int, days: float, factors: tuple[float, ...], n: int = 600, spread: float = 1.0) -> longer._Past:
    """Moments some days apart, at which each step brings its law times the factor of the moment."""
    rng, moment = np.random.default_rng(0), np.repeat(np.arange(moments), n)
    expected, factor = rng.gamma(2, 50, n * moments), np.asarray(factors)[moment]

    def by_chance() -> np.ndarray:
        return rng.gamma(1 / spread, spread, n * moments)

    first = expected * by_chance()
    second = first + expected * factor * by_chance()
    third = second + 2 * expected * factor * by_chance()
    increments = np.tile([1.0, 2.0], (n * moments, 1))
    came = np.stack([first, second, third], axis=1)
    return longer._Past(expected, increments, came, moment, moment * days, np.tile(np.arange(n), moments), None)


def fees(n: int = 2_400, rise: float = 1.0) -> tuple[longer._Past, np.ndarray]:
    """Contracts of which half seldom end and half soon, at three moments, and each one's share of a full price.

    The forecast knows how long each has lasted, and is off by a tenth; later prices are by `rise` higher.
    """
    rng, ends = np.random.default_rng(0), (90, 180, 365)
    tenure, rates = rng.exponential(300, n), np.array([0.0003, 0.01])
    chance = np.exp(-np.outer(tenure, rates))
    often = rng.random(n) < chance[:, 1] / chance.sum(axis=1)
    paid = np.minimum(rng.exponential(1 / np.where(often, *rates[::-1])), np.array(ends)[:, None]).T
    came = paid[:, :1] + rise * (paid - paid[:, :1])
    known = (chance @ paid_days(rates, 90)) / chance.sum(axis=1) * np.exp(rng.normal(0, 0.1, n))
    law, price = ContractGrowth(0.004), np.full((n, 1), DAYS_A_MONTH)
    main, moment = np.minimum(known, 90.0), np.arange(n) % 3
    steps = law.increments(price, main, ends)
    return longer._Past(main, steps, came, moment, moment * 366.0, np.arange(n), None, law.most(ends)), main


@pytest.mark.parametrize("length", [180, 365])
def test_fees_come_true_in_total_and_none_is_beyond_its_price_where_those_who_stay_stay_longer(
    length: int, settings: Settings
) -> None:
    rows, main = fees()
    told, facts = longer.learn_longer(MAIN, None, rows, pd.DataFrame(), settings)  # type: ignore[arg-type]
    assert facts[str(length)]["level"] > 0.05  # the rate of those who may leave is not the rate of all
    total = dict(zip((180, 365), anchored(main, rows.increments, [h.step for h in told.horizons]), strict=True))
    came = rows.came[:, (90, 180, 365).index(length)]
    assert (total[length] <= main * length / 90 * (1 + 1e-9)).all()
    assert total[length].sum() == pytest.approx(came.sum(), rel=0.02)


def test_what_all_pay_more_than_before_is_told_of_all(settings: Settings) -> None:
    rows, main = fees(rise=3.0)
    told, _ = longer.learn_longer(MAIN, None, rows, pd.DataFrame(), settings)  # type: ignore[arg-type]
    assert all(h.most is not None and h.most > length for h, length in zip(told.horizons, (1, 185 / 90), strict=True))
    total = anchored(main, rows.increments, [h.step for h in told.horizons])[-1]
    assert total.sum() == pytest.approx(rows.came[:, -1].sum(), rel=0.08)  # the shift is shrunk


@given(
    st.floats(-2, 2),
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 2)), min_size=1, max_size=20),
)
def test_a_bounded_level_keeps_the_total_and_its_bound_or_says_that_all_are_beyond(
    shift: float, customers: list[tuple[float, float]]
) -> None:
    main, steps = np.array(customers).T
    level = longer.bounded(shift, 2.0, main, steps)
    told = level.of(steps)
    assert float(main @ told) == pytest.approx(np.exp(shift) * float(main @ steps), rel=1e-6, abs=1e-9)
    assert level.most is not None and level.most >= 2.0 and (told <= level.most).all()
    assert level.shift >= shift - 1e-12
    assert longer.bounded(shift, None, main, steps) == (shift, None)


def test_a_step_that_nobody_has_seen_is_as_far_beyond_its_bound_as_the_one_before(settings: Settings) -> None:
    rows, _ = fees()
    before = LongerHorizon(180, 0.3, told_interval(), "examined", 1.1)
    assert longer._carried(rows, 1, [before]) == (0.3, pytest.approx(1.1 * 185 / 90))
    assert longer._carried(rows, 0, []) == (0.0, 1.0)
    assert longer._carried(replace(rows, most=()), 1, [replace(before, most=None)]) == (0.3, None)


def told_interval() -> Interval:
    return Interval(0.9, (), (0.0,), (2.0,), 1.0, 0.0)


MAIN = SimpleNamespace(horizon_days=90, full_season=True)


def facts_of(rows: longer._Past, settings: Settings) -> dict[str, dict[str, Any]]:
    return longer.learn_longer(MAIN, None, rows, pd.DataFrame(), settings)[1]  # type: ignore[arg-type]


def test_moments_whose_outcomes_share_days_count_once(settings: Settings) -> None:
    facts = facts_of(past(5, 91.0, (1.0,) * 5), settings)
    assert [facts[days]["moments"] for days in ("180", "365")] == [3.0, 1.0]  # 0, 182 and 364 days; the newest alone
    apart = facts_of(past(3, 366.0, (1.0,) * 3), settings)
    assert [apart[days]["moments"] for days in ("180", "365")] == [3.0, 3.0]


def test_a_moment_is_judged_by_levels_that_were_learned_without_it(settings: Settings) -> None:
    facts = facts_of(past(1, 0.0, (4.0,)), settings)
    for days, came in (("180", 5.0), ("365", 13.0)):
        law = {"180": 2.0, "365": 4.0}[days]
        assert facts[days]["total_error"] == pytest.approx(law / came - 1, abs=0.05)


def test_the_interval_that_one_moment_judges_is_as_wide_as_the_one_that_serves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spreads: list[float] = []

    def seen(outcomes: Outcomes, coverage: float, **options: Any) -> Interval:
        spreads.append(options["least_spread"])
        return fit_intervals(outcomes, coverage, **options)

    monkeypatch.setattr(longer, "fit_intervals", seen)
    facts_of(past(1, 0.0, (1.0,), n=4_000), settings)
    served, *judged = spreads[:3]
    assert len(judged) == 2 and judged == pytest.approx([served] * 2, rel=0.2)


def test_errors_of_moments_that_cancel_are_told_beside_the_total(settings: Settings) -> None:
    facts = facts_of(past(2, 366.0, (0.5, 2.0)), settings)
    for of_horizon in facts.values():
        worst, total = of_horizon["largest_error_at_a_moment"], of_horizon["total_error"]
        assert worst is not None and total is not None
        assert abs(worst) > 0.3 > abs(total)
    assert longer_metrics(facts)["largest_error_at_a_moment_180_days"] == facts["180"]["largest_error_at_a_moment"]


def test_what_cannot_be_measured_is_none_and_no_metric(settings: Settings) -> None:
    few = facts_of(past(1, 0.0, (1.0,), n=60), settings)  # half of them make no interval
    assert few["180"]["coverage"] is None and few["180"]["total_error"] is not None
    rows = past(1, 0.0, (1.0,))
    for total in (0.0, -90.0):
        came = np.zeros_like(rows.came)
        came[0], came[1] = 10.0, total - 10.0
        facts = facts_of(replace(rows, came=came), settings)
        assert facts["180"]["total_error"] is None and facts["180"]["largest_error_at_a_moment"] is None
        assert set(longer_metrics(facts)) == {"coverage_180_days", "coverage_365_days"}


class FewDrawn(ContractGrowth):
    """Contracts of whom few can be drawn for."""

    def drawable(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x[:, 0] > 0)


def test_an_interval_is_drawn_of_those_who_can_be_drawn_for_however_few_they_are(settings: Settings) -> None:
    population = pd.DataFrame({"price_now": np.where(np.arange(5_000) < 3, 10.0, 0.0)})
    main = SimpleNamespace(
        horizon_days=90, full_season=True, encode=lambda rows: rows.to_numpy(), predict=lambda x: 2.0 * x[:, 0]
    )
    nothing = past(1, 0.0, (1.0,)).of(np.zeros(600, dtype=bool))
    law = FewDrawn(0.003)
    found, facts = longer.learn_longer(main, law, nothing, population, settings)  # type: ignore[arg-type]
    assert [h.basis for h in found.horizons] == ["unexamined"] * 2 and facts["180"]["moments"] == 0
    with pytest.raises(NotEnoughDataError, match="of no customer"):
        longer.learn_longer(main, law, nothing, population.tail(9), settings)  # type: ignore[arg-type]


def test_a_model_with_longer_values_is_saved_and_an_older_one_tells_none(told: bundles.Bundle, tmp_path: Path) -> None:
    assert bundles.load(told.save(tmp_path / "new")).longer == told.longer
    folder = replace(told, longer=None).save(tmp_path / "old")
    text = (folder / "bundle.json").read_text("utf-8")
    (folder / "bundle.json").write_text(text.replace(' "longer": null,\n', ""), "utf-8")
    manifest.seal(folder)
    older = bundles.load(folder)
    assert older.longer is None
    assert older.longer_values(pd.DataFrame(), np.zeros((0, 4)), Amounts(*[np.zeros(0)] * 3)) == {}


def in_season(models: FittedModels, strength: float) -> FittedModels:
    score = models.final.scores[0]
    held = replace(score, prior=Sum((score.prior, Season(0, strength))))
    return replace(models, final=replace(models.final, scores=(held,)))


def test_a_season_that_the_main_forecast_holds_moves_the_steps_of_past_moments_and_of_answers(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset],
    prior: FittedModels,
    told: bundles.Bundle,
    settings: Settings,
    tmp_path: Path,
) -> None:
    rows, labels, _ = history
    slack = (rows["as_of"].dt.month == 1).to_numpy()
    seasonal = rows.assign(**{name: np.where(slack, 0.6, 0.3) for name in SEASON_LONGER})
    place = workspace_of(tmp_path, seasonal, labels)
    final = with_longer_values(in_season(prior, 0.5), data_of(seasonal, labels), settings, place).final
    assert isinstance(final.longer.growth, SeasonalGrowth)
    assert final.longer.growth.share == pytest.approx(0.5 * final.scores[0].affine.slope)
    for own, plain in zip(final.longer.horizons, told.longer.horizons, strict=True):
        assert -0.35 < own.level - plain.level < -0.08  # what the season tells of past moments is no level
    asked = seasonal[seasonal["as_of"] == MOMENTS[4]]
    main = Amounts(*[np.full(len(asked), 10.0)] * 3)
    high, low = (
        final.longer_values(asked.assign(**dict.fromkeys(SEASON_LONGER, ratio)), final.encode(asked), main)
        for ratio in (0.6, -0.6)
    )
    np.testing.assert_allclose(
        (high[180].expected - 10) / (low[180].expected - 10), np.exp(1.2 * final.longer.growth.share)
    )
    assert bundles.load(final.save(tmp_path / "saved")).longer == final.longer


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "index"), [(0.0, 0.5), (0.5, 0.0)])
def test_where_no_season_is_known_or_counts_longer_values_are_as_without(
    strength: float,
    index: float,
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset],
    prior: FittedModels,
    told: bundles.Bundle,
    settings: Settings,
    tmp_path: Path,
) -> None:
    rows, labels, data = history
    place = workspace_of(tmp_path, rows.assign(**dict.fromkeys(SEASON_LONGER, index)), labels)
    assert with_longer_values(in_season(prior, strength), data, settings, place).final.longer == told.longer


@pytest.mark.slow
def test_what_a_moment_missed_that_knew_no_season_is_no_level(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset], prior: FittedModels, settings: Settings, tmp_path: Path
) -> None:
    rows, labels = (table[table["customer_id"].isin([f"c{n}" for n in range(70)])] for table in history[:2])
    index = pd.Series(np.where(rows["as_of"].dt.month == 1, 0.6, -0.3), rows.index)
    late = (rows["as_of"] >= MOMENTS[8]).to_numpy()
    whole, unknown = (
        rows.assign(**{name: np.where(keeps, index, 0.0) for name in SEASON_LONGER}) for keeps in (True, late)
    )
    lent = index.groupby(rows["as_of"]).first()
    levels = []
    for seen, lends in ((whole, None), (unknown, pd.DataFrame(dict.fromkeys(SEASON_LONGER, lent)))):
        place = workspace_of(tmp_path / str(len(levels)), seen, labels)
        data = replace(data_of(seen, labels), lent=lends)
        final = with_longer_values(in_season(prior, 0.5), data, settings, place).final
        levels.append([h.level for h in final.longer.horizons])
    assert levels[1] == pytest.approx(levels[0])


def test_examined_is_said_only_where_two_moments_bear_the_interval_out(settings: Settings) -> None:
    def told(rows: longer._Past) -> list[tuple[str, str]]:
        facts = facts_of(rows, settings)
        return [(str(facts[days]["basis"]), str(facts[days].get("why", ""))) for days in ("180", "365")]

    steady = past(3, 366.0, (1.0, 1.1, 0.95))
    assert told(steady) == [("examined", "")] * 2
    assert all(
        (basis, said[:31]) == ("unexamined", "one past moment alone shows it:")
        for basis, said in told(past(1, 0.0, (1.0,)))
    )
    for basis, said in told(replace(steady, lent=steady.moment < 2)):
        assert basis == "unexamined" and said.startswith("the season was not known yet at 2 of 3 past moments: ")


@pytest.mark.parametrize(
    ("worst", "held", "said"),
    [
        (0.3, 0.9, ""),
        (3.3, 0.9, "do not bear it out: +330% off in total at the worst"),
        (-0.6, 0.9, "do not bear it out: -60% off in total at the worst"),
        (0.0, 0.8, "it held 80.0% of them, and 90% was promised"),
        (0.0, None, "too little to measure it by"),
    ],
)
def test_a_miss_larger_than_an_interval_allows_is_told_with_its_size(
    worst: float, held: float | None, said: str
) -> None:
    showed = {"moments": 3.0, "moments_in_lent_season": 0.0, "customers": 900.0}
    why = longer._not_borne_out(showed | {"largest_error_at_a_moment": worst, "coverage": held}, 0.2, 0.9)
    assert why.endswith(said) and bool(why) == bool(said)
