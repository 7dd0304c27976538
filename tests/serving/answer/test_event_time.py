from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest

from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.event_time import event_days
from serving.answer.score import score
from training.model.ends.known_end import NOTICE_COLUMNS


@pytest.mark.parametrize(
    ("active", "noticed", "booked", "end", "forecast", "expected"),
    [
        (1, 1, 0, 15.0, 4.9, 15.0),  # the day is known
        (1, 1, 0, 140.0, math.nan, 140.0),  # also beyond the longest horizon
        (2, 2, 0, 15.0, 4.9, 15.0),  # the first of two ends; the last comes no earlier
        (2, 2, 0, 15.0, 40.0, 40.0),
        (2, 1, 0, 15.0, 4.9, 4.9),  # the other contract goes on
        (1, 1, 1, 15.0, math.nan, math.nan),  # what is booked may run beside it
        (1, 1, 0, None, 4.9, 4.9),  # under notice, to a day that nobody knows
        (1, 0, 0, math.nan, 4.9, 4.9),
    ],
)
def test_a_known_end_is_the_day_that_is_expected(active, noticed, booked, end, forecast, expected) -> None:
    row = dict(zip(NOTICE_COLUMNS, (active, noticed, booked, end), strict=True))
    assert event_days(row, forecast, "contract") == pytest.approx(expected, nan_ok=True)
    assert event_days({}, forecast, "inactivity") == pytest.approx(forecast, nan_ok=True)


def test_an_answer_gives_the_day_on_which_the_contract_ends(
    champions: Champions, settings: Settings, now: datetime, make_customers: Callable[[int, int], pd.DataFrame]
) -> None:
    contract = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    known = dict.fromkeys(NOTICE_COLUMNS, 1.0) | {"contracts_booked": 0.0, "days_to_end": 15.0}
    frame = make_customers(3, 1).assign(subscribed_days=400.0, price_now=9.0, price_change=0.0, **known)
    for answer in score(frame, champions, contract, now, 1):
        end = pd.Timestamp(answer["as_of"]) + pd.Timedelta(days=15)
        assert answer["churn"]["expected"]["days"] == 15.0
        assert pd.Timestamp(answer["churn"]["expected"]["at"]) == end


def test_whose_only_contract_begins_later_is_booked_and_is_not_valued_as_one_who_left(
    champions: Champions, settings: Settings, now: datetime, make_customers: Callable[[int, int], pd.DataFrame]
) -> None:
    contract = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    states = {"contracts_active": [0.0, 1.0, 0.0, 0.0], "contracts_booked": [1.0, 1.0, 0.0, 2.0]}
    days = [math.nan, 400.0, 400.0, 400.0]  # the last one was a member once
    frame = make_customers(4, 1).assign(subscribed_days=days, price_now=9.0, price_change=0.0, days_to_end=math.nan)
    answers = score(frame.assign(contracts_under_notice=0.0, **states), champions, contract, now, 1)
    assert [answer["stage"] for answer in answers] == ["booked", "mature", "lapsed", "booked"]
    assert [answer["clv"] is None for answer in answers] == [True, False, False, True]
    assert [answer["churn"] is None for answer in answers] == [True, False, True, True]
    alone = score(frame.assign(contracts_under_notice=0.0, **states).iloc[1:2], champions, contract, now, 1)
    assert (answers[1]["clv"], answers[0]["clv_reasons"]) == (alone[0]["clv"], [])
    assert answers[0]["action"]["code"] == "first_steps"
