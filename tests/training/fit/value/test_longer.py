"""Longer values come true in total and as often as promised, where the past tells; where not, they say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings, load
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.fit.assembly import FittedModels
from training.fit.small_data import fit_small_data
from training.fit.value.longer import NO_LAW, NOT_BUILT, growth_at, longer_metrics, with_longer_values
from training.model import bundle as bundles
from training.model.longer import Amounts
from training.priors.expectation import COLUMNS
from training.priors.growth import ContractGrowth

SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
MOMENTS = pd.date_range("2022-01-01", periods=8, freq="QS", tz="UTC")
LENGTHS = (30, 60, 90, 180, 365)


def shop(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature rows and labels at `MOMENTS` of customers who order by chance until they leave; two years are known."""
    rng = np.random.default_rng(seed)
    rows, labels, end = [], [], MOMENTS[-1] + pd.Timedelta(days=91)
    for number in range(n):
        rate, life, first = rng.gamma(1.5, 1 / 45), rng.exponential(700), rng.uniform(-500, 500)
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


def workspace_of(folder: Path, rows: pd.DataFrame, labels: pd.DataFrame) -> Workspace:
    place = Workspace(folder)
    place.features.mkdir(parents=True)
    rows.to_parquet(place.features / "rows.parquet")
    labels.to_parquet(place.features / "labels.parquet")
    return place


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
    then = rows["as_of"] == MOMENTS[3]
    asked = rows[then].merge(labels, on=["customer_id", "as_of"])
    x = told.encode(asked)
    expected = told.predict(x)
    found = told.longer_values(asked, x, Amounts(expected, *told.bounds(expected, x)))
    for days, amounts in found.items():
        came = asked[f"clv_{days}"].to_numpy()
        assert amounts.expected.sum() == pytest.approx(came.sum(), rel=0.25)
        assert 0.82 < ((amounts.low <= came) & (came <= amounts.high)).mean() < 0.98


def test_where_no_outcome_of_that_length_is_known_the_interval_is_said_to_be_unexamined(
    history: tuple[pd.DataFrame, pd.DataFrame, Dataset], prior: FittedModels, settings: Settings, tmp_path: Path
) -> None:
    rows, labels, data = history
    unknown = labels.assign(clv_180=np.nan, clv_365=np.nan)
    final = with_longer_values(prior, data, settings, workspace_of(tmp_path, rows, unknown)).final
    assert [h.basis for h in final.longer.horizons] == ["unexamined", "unexamined"]
    assert longer_metrics(final.info["longer"]) == {}
    asked = rows[rows["as_of"] == MOMENTS[3]].merge(labels, on=["customer_id", "as_of"])
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
    assert with_longer_values(prior, data, settings, older).final.info["longer"] == {"left_out": NOT_BUILT}
    bare = workspace_of(tmp_path / "bare", rows.drop(columns="spend_total"), labels)
    assert with_longer_values(prior, data, settings, bare).final.info["longer"] == {"left_out": NO_LAW}
    ready = with_longer_values(prior, replace(data, by="part"), settings, bare).final
    assert "no dates" in ready.info["longer"]["left_out"]
    off = settings.model_copy(update={"clv": settings.clv.model_copy(update={"longer_days": (60, 90)})})
    assert with_longer_values(prior, data, off, bare) is prior


def test_contracts_go_on_as_long_as_those_of_the_past_did(settings: Settings) -> None:
    churn = settings.churn.model_copy(update={"kind": "contract", "horizon_days": 31, "grace_days": 14})
    own = settings.model_copy(update={"churn": churn})
    keys = [(c, m) for m in MOMENTS for c in range(500)]
    rows = pd.DataFrame(keys, columns=["customer_id", "as_of"]).assign(price_now=10.0)
    left = np.random.default_rng(0).random(len(rows)) < 0.1
    labels = rows.assign(churned=np.where(rows["as_of"] < MOMENTS[-1], left, 1.0))
    growth = growth_at(MOMENTS[-1], rows, labels, own)
    assert isinstance(growth, ContractGrowth)
    assert growth.hazard == pytest.approx(-np.log(0.9) / 31, rel=0.1)


def test_a_model_with_longer_values_is_saved_and_an_older_one_tells_none(told: bundles.Bundle, tmp_path: Path) -> None:
    assert bundles.load(told.save(tmp_path / "new")).longer == told.longer
    folder = replace(told, longer=None).save(tmp_path / "old")
    text = (folder / "bundle.json").read_text("utf-8")
    (folder / "bundle.json").write_text(text.replace(' "longer": null,\n', ""), "utf-8")
    older = bundles.load(folder)
    assert older.longer is None
    assert older.longer_values(pd.DataFrame(), np.zeros((0, 4)), Amounts(*[np.zeros(0)] * 3)) == {}
