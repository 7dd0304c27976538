"""Levels of the other horizons of churn, each learned from its own outcomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.fit import recipe
from training.fit.assembly import FittedModels
from training.fit.level.own_levels import with_levels_of_horizons, with_own_levels
from training.fit.search import SearchResult, no_search
from training.fit.small_data import fit_small_data
from training.model import bundle as bundles
from training.priors.level import log_odds_shift, shrunk

ORDERS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
MONTHS = pd.date_range("2024-01-01", periods=5, freq="MS", tz="UTC")


def made(share: float, settings: Settings) -> tuple[bundles.Bundle, pd.DataFrame, pd.DataFrame, Settings]:
    """A model of 350 days without an outcome of its own; those of 90 days are known at one moment, of 30 at none."""
    parts = []
    for number, as_of in enumerate(MONTHS):
        rng = np.random.default_rng(number)
        tenure = rng.uniform(10, 150, 200)
        orders = 1.0 + rng.poisson(tenure / 20)
        since = np.where(orders == 1, tenure, rng.uniform(0, 0.5, 200) * tenure)
        own = dict(zip(ORDERS, (orders, since, tenure, 30 * orders), strict=True))
        parts.append(pd.DataFrame(own).assign(customer_id=[f"c{i}" for i in range(200)], as_of=as_of))
    rows = pd.concat(parts, ignore_index=True)
    left = np.random.default_rng(1).random(len(rows)) < share
    known = rows["as_of"] == MONTHS[1]
    labels = rows[["customer_id", "as_of"]].assign(churned_90=np.where(known, left.astype(float), np.nan))
    churn = {"horizon_days": 350, "horizons_days": (30, 90, 500), "activity_days": 120}
    long = settings.model_copy(update={"churn": settings.churn.model_copy(update=churn)})
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in ORDERS))
    nothing = Dataset("churn", rows.head(0).assign(label=pd.Series(dtype=float)), schema, "made up")
    return fit_small_data(long, nothing, None, rows).final, rows, labels, long


def curve(model: bundles.Bundle, rows: pd.DataFrame) -> dict[int, np.ndarray]:
    x = model.encode(rows)
    return model.by_horizon(model.survival(x, model.predict(x)))


@pytest.mark.parametrize("share", [0.05, 0.6, 0.95])
def test_a_horizon_is_leveled_by_its_own_outcomes_and_none_contradicts_another(
    share: float, settings: Settings, tmp_path: Path
) -> None:
    plain, rows, labels, own = made(share, settings)
    learned = with_own_levels(plain, own, rows, labels)
    then = rows[rows["as_of"] == MONTHS[1]]
    at_moment = fit_small_data(
        own, Dataset("churn", rows.head(0).assign(label=0.0), _schema(), ""), None, rows[rows["as_of"] <= MONTHS[1]]
    ).final
    shift = log_odds_shift(curve(at_moment, then)[90], labels.loc[then.index, "churned_90"].to_numpy())
    assert shift is not None
    expected = shrunk(np.array([shift[0]]), np.array([shift[1]]))[0]
    levels = {step.days: step.level for step in learned.steps}
    assert levels[90] == pytest.approx(expected, abs=1e-6)
    assert levels[30] == levels[90] and levels[500] == 0.0  # without outcomes of its own that of its neighbour
    asked = rows[rows["as_of"] == MONTHS[-1]]
    before, after = curve(plain, asked), curve(learned, asked)
    np.testing.assert_array_equal(after[350], before[350])
    moved = expit(logit(before[90]) + levels[90])
    np.testing.assert_allclose(after[90], np.maximum(moved, after[350]), atol=1e-9)
    assert (np.diff([after[days] for days in (30, 90, 350, 500)], axis=0) <= 0).all()
    back = bundles.load(learned.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(curve(back, asked)[90], after[90])


def _schema() -> FeatureSchema:
    return FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in ORDERS))


def test_no_outcome_past_a_moment_counts_nor_does_a_model_of_values_change(settings: Settings) -> None:
    plain, rows, labels, own = made(0.05, settings)
    early = with_own_levels(plain, own, rows, labels, MONTHS[1] + pd.Timedelta(days=89))
    assert {step.level for step in early.steps} == {0.0}
    asked = rows[rows["as_of"] == MONTHS[-1]]
    for days, chance in curve(plain, asked).items():
        np.testing.assert_array_equal(curve(early, asked)[days], chance)
    models = FittedModels(None, SearchResult((), None, None, no_search()), None, plain)
    served = with_levels_of_horizons(models, own, rows, labels).final
    assert served.steps == with_own_levels(plain, own, rows, labels).steps != plain.steps


def test_the_recipe_of_a_prior_levels_each_horizon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _, rows, labels, own = made(0.05, settings)
    first = rows[rows["as_of"] == MONTHS[0]].reset_index(drop=True)
    data = Dataset("churn", first.assign(label=np.arange(len(first)) % 2.0), _schema(), "made up")
    for name, found in (("rows_of_stayers", rows), ("labels_of", labels), ("plan_if_any", None)):
        monkeypatch.setattr(recipe, name, lambda *_, found=found: found)
    model = recipe.fit_prior_to_compare(own, Workspace(Path("nowhere")), data).final
    assert {step.days: step.level < 0 for step in model.steps} == {30: True, 90: True, 500: False}
