from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pandas as pd
import pytest

from configs.settings import Settings
from serving.answer.champion import Champions, LoadedModel
from serving.answer.score import score
from serving.bulk.batch import answers_table
from serving.bulk.summary import Summary


def test_counts_and_sums_are_those_of_the_answers_however_they_are_cut(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    answers = score(customers, champions, planned, now, 1)
    found = []
    for sizes in (400, 130):
        summary = Summary(champions, planned)
        for start in range(0, 400, sizes):
            summary.add(answers_table(answers[start : start + sizes], {}))
        found.append(summary.to_dict())
    told = found[0]
    values = [a["clv"]["expected"] for a in answers]
    listed = [a for a in answers if a["campaign"] and a["campaign"]["contact"]]
    assert told["customers"] == 400 and told["expected_total"] == pytest.approx(sum(values))
    assert told["campaign"]["contacts"] == len(listed) > 0
    assert told["campaign"]["lowest_probability"] == min(a["churn"]["probability"] for a in listed)
    assert told["bands"] == pd.Series([a["churn"]["band"] for a in answers if a["churn"]]).value_counts().to_dict()
    assert found[1]["campaign"] == {
        **told["campaign"],
        "expected_profit": pytest.approx(told["campaign"]["expected_profit"]),
    }


def test_without_a_model_of_value_there_is_no_sum(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    alone = Champions(champions.churn, None)
    summary = Summary(alone, settings)
    summary.add(answers_table(score(customers.head(9), alone, settings, now, 1), {}))
    assert summary.to_dict()["expected_total"] is None and summary.to_dict()["campaign"] is None


def test_the_range_of_a_campaign_counts_in_how_unsure_a_canary_is(
    running: Callable[..., Champions], champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    unsure = replace(champions.churn.bundle, info={"level_sd": 0.9})
    answers = answers_table(score(customers, champions, planned, now, 1), {})
    widths = []
    for percent in (None, 20.0):
        summary = Summary(running(percent, model=LoadedModel.from_bundle(unsure, "9")), planned)
        summary.add(answers)
        campaign = summary.to_dict()["campaign"]
        widths.append(campaign["high"] - campaign["low"])
    assert unsure.level_sd == 0.9 and widths[1] > widths[0]
