"""What customers are worth on the hold-out: the first source there is, never one that knows what came."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings, load
from configs.workspace import Workspace
from training.data.task_rows import holdout
from training.judge import campaign_backtest
from training.judge.baselines import past_rate
from training.registry import model_registry, runs


def with_campaign(settings: Settings, **given: float | None) -> Settings:
    campaign = settings.decisions.campaign.model_copy(update=given)
    return settings.model_copy(update={"decisions": settings.decisions.model_copy(update={"campaign": campaign})})


@pytest.fixture
def rows() -> pd.DataFrame:
    as_of = pd.Timestamp("2024-03-01", tz="UTC")
    columns = {"spend_total": [300.0, 50.0], "tenure_days": [150.0, 1.0], "price_now": [10.0, np.nan]}
    return pd.DataFrame({"customer_id": ["a", "b"], "as_of": [as_of] * 2, "label": [1.0, 0.0], **columns})


def test_a_value_set_for_all_comes_first(rows: pd.DataFrame) -> None:
    result = campaign_backtest.values(with_campaign(load("test"), value_per_customer=200.0), tuple, rows)
    assert result is not None
    assert (result[0].tolist(), result[1]) == ([200.0, 200.0], "value_per_customer")


@pytest.mark.parametrize(
    ("contracts", "name", "of_a"),
    [
        ("orders", "past rate", lambda rate, price: rate),
        ("fees", "present price", lambda rate, price: price),
        ("both", "price and past rate", lambda rate, price: rate + price),
        (None, "price or past rate", max),
    ],
)
def test_without_a_value_model_the_past_rate_and_the_price_are_taken_as_they_count(
    rows: pd.DataFrame, contracts: str | None, name: str, of_a: Callable[[float, float], float]
) -> None:
    settings = load("test")
    settings = settings.model_copy(update={"clv": settings.clv.model_copy(update={"contracts": contracts})})
    result = campaign_backtest.values(settings, tuple, rows)
    assert result is not None and result[1] == name
    rate = past_rate(rows["spend_total"], rows["tenure_days"], settings.clv.horizon_days)
    price = 10.0 * settings.clv.horizon_days / 30.4375
    assert result[0][0] == pytest.approx(of_a(rate[0], price))
    alone = campaign_backtest.values(settings, tuple, rows.drop(columns="price_now"))
    assert alone is not None and (alone[0].tolist(), alone[1]) == (rate.tolist(), "past rate")


def test_where_only_a_price_is_known_it_is_paid_on(rows: pd.DataFrame) -> None:
    result = campaign_backtest.values(load("test"), tuple, rows.drop(columns=["spend_total", "tenure_days"]))
    assert result is not None and result[1] == "present price"
    assert result[0].tolist() == pytest.approx([10 * 90 * 12 / 365.25, 0])


def test_nothing_is_played_without_a_plan_or_without_any_value(rows: pd.DataFrame) -> None:
    p = np.array([0.5, 0.5])
    no_plan = with_campaign(load("test"), contact_cost=None, offer_cost=None)
    assert campaign_backtest.backtest_campaign(no_plan, tuple, rows, p) is None
    assert campaign_backtest.backtest_campaign(load("test"), tuple, rows[["customer_id", "as_of", "label"]], p) is None


def test_a_hold_out_of_two_moments_tells_of_one_campaign(rows: pd.DataFrame) -> None:
    later = rows.assign(as_of=rows["as_of"] + pd.Timedelta(days=30))
    played = campaign_backtest.backtest_campaign(
        load("test"), tuple, pd.concat([rows, later]), np.array([0.5, 0.4, 0.5, 0.4])
    )
    assert played is not None
    assert (played.facts["moments"], played.facts["customers"], played.facts["contacted"]) == (2, 2, 1)


def test_the_value_model_of_the_holdout_never_saw_what_came_after_it(lived: Workspace, settings: Settings) -> None:
    held_out, _ = holdout(settings, lived, "churn")
    result = campaign_backtest.values(settings, lambda: model_registry.named_champion_bundles(lived, "clv"), held_out)
    assert result is not None and result[1] == "clv/1, as judged"
    judged = model_registry.bundles(lived, "clv", "1")[1]
    assert pd.Timestamp(judged.trained_through) + pd.Timedelta(days=judged.horizon_days) <= held_out["as_of"].min()
    assert result[0].tolist() == judged.predict(judged.encode(held_out)).tolist()


def test_the_run_of_a_churn_model_holds_the_profit_curve_and_its_figures(lived: Workspace) -> None:
    version = model_registry.get_version(lived, "churn", "1")
    result = runs.documents(lived, version.run_id)["campaign"]
    assert result["contacted"] > 0 and len(result["policies"]) == 6
    connection = runs.client(lived)
    recorded = connection.get_run(version.run_id).data.metrics
    assert recorded["campaign_realised_profit"] == pytest.approx(result["realised_profit"])
    assert recorded["empc"] > recorded["baseline_empc"]
    assert "plots/profit.png" in {f.path for f in connection.list_artifacts(version.run_id, "plots")}
