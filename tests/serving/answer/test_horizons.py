"""Value within longer horizons stands in every answer of a model that holds it; what all horizons say, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, LoadedModel
from serving.answer.horizons import GROWS, NOTHING_MORE, SAME, chances_text, values_text
from serving.answer.score import score
from serving.api.schema.answers import Answer
from tests.serving.bulk.scored import score_all
from training.model.longer import LongerHorizon, LongerValue
from training.priors.expectation import COLUMNS, summary_of
from training.priors.growth import OrderGrowth
from training.priors.order_model import OrderModel


@pytest.fixture
def rows(customers: pd.DataFrame) -> pd.DataFrame:
    """The last one never ordered."""
    known = customers.head(40).assign(orders_total=3.0, tenure_days=700.0)
    return known.assign(orders_total=np.where(np.arange(40) == 39, 0.0, 3.0))


@pytest.fixture
def telling(champions: Champions, rows: pd.DataFrame) -> Champions:
    assert champions.clv is not None
    held = champions.clv.bundle
    assert held.interval is not None
    model = OrderModel.fit(summary_of(rows[list(COLUMNS)].to_numpy(np.float64)))
    horizons = (
        LongerHorizon(180, 0.0, held.interval, "examined"),
        LongerHorizon(365, -0.1, held.interval, "unexamined"),
    )
    bundle = replace(held, longer=LongerValue(90, OrderGrowth(model), horizons))
    return Champions(champions.churn, LoadedModel(bundle, champions.clv.version, champions.clv.base))


def test_every_value_goes_on_and_never_falls(
    telling: Champions, rows: pd.DataFrame, settings: Settings, now: datetime
) -> None:
    for answer in score(rows, telling, settings, now, 2):
        Answer.model_validate(answer)
        further = answer["clv"]["by_horizon"]
        assert {days: part["basis"] for days, part in further.items()} == {"180": "examined", "365": "unexamined"}
        for name in ("expected", "low", "high"):
            assert answer["clv"][name] <= further["180"][name] <= further["365"][name]


def test_one_by_one_and_in_the_score_files_are_the_same(
    telling: Champions, rows: pd.DataFrame, settings: Settings, now: datetime, workspace: Workspace
) -> None:
    together = [a["clv"]["by_horizon"] for a in score(rows, telling, settings, now, 1)]
    alone = [score(rows.iloc[[i]], telling, settings, now, 1)[0]["clv"]["by_horizon"] for i in range(4)]
    assert alone == together[:4]
    folder = score_all(rows, telling, settings, workspace, now, chunk_rows=7)["folder"]
    table = pd.read_parquet(f"{folder}/scores.parquet").set_index("customer_id").loc[rows["customer_id"]]
    assert [dict(of_customer) for of_customer in table["clv_by_horizon"]] == together


def test_a_model_that_holds_none_tells_none(
    champions: Champions, rows: pd.DataFrame, settings: Settings, now: datetime, workspace: Workspace
) -> None:
    assert [a["clv"]["by_horizon"] for a in score(rows, champions, settings, now, 1)] == [None] * len(rows)
    table = pd.read_parquet(f"{score_all(rows, champions, settings, workspace, now)['folder']}/scores.parquet")
    assert table["clv_by_horizon"].isna().all()


def test_no_order_grows_less_likely_with_the_days_and_the_end_of_a_contract_likelier() -> None:
    falling = chances_text("next_order", {"30": 0.4, "90": 0.1})
    rising = chances_text("contract_end", {"30": 0.1, "90": 0.4})
    assert falling.startswith("No order within 30 days: 40 %, 90: 10 %. It falls")
    assert rising.startswith("The contract ends within 30 days: 10 %, 90: 40 %. It rises")
    assert chances_text("return", {"30": 0.1, "90": 0.4}).startswith(
        "An order within 30 days: 10 %, 90: 40 %. It rises"
    )


@pytest.mark.parametrize("told", ["next_order", "contract_end", "return", "label"])
def test_what_does_not_change_is_said_not_to(told: Any) -> None:
    assert chances_text(told, {"30": 0.0, "90": 0.0}).endswith(f"within 30 days: 0 %, 90: 0 %. {SAME}")


def test_one_horizon_has_no_further_to_compare_with() -> None:
    assert chances_text("label", {"60": 0.07}) == "Leaves within 60 days: 7 %."
    assert values_text({"60": 1234.5}, "CNY") == "Expected within 60 days: 1,234.50 CNY."


def test_a_value_grows_or_nothing_more_is_expected() -> None:
    assert values_text({"90": 10.0, "365": 25.0}, "EUR").endswith(GROWS)
    assert values_text({"90": 10.0, "365": 10.0}, "EUR").endswith(NOTHING_MORE)


def test_no_value_is_told_as_minus_nothing() -> None:
    assert values_text({"90": -0.001}, "EUR") == "Expected within 90 days: 0.00 EUR."
