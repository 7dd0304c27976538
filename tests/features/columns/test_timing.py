"""Hours lie on a circle: one before midnight and one after it are two hours apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

AS_OF = datetime(2024, 3, 1)
Features = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def clock(features: Features) -> Callable[..., pd.Series]:
    """Times of one customer's orders in, the columns out."""

    def told(*times: str) -> pd.Series:
        customers = pd.DataFrame({"customer_id": ["ann"], "signed_up_at": pd.to_datetime(["2023-01-01"])})
        orders = pd.DataFrame({"order_id": [f"o{i}" for i in range(len(times))], "ordered_at": list(times)})
        return features({"customers": customers, "orders": orders.assign(customer_id="ann", amount=5.0)}, AS_OF).loc[
            "ann"
        ]

    return told


def test_the_mean_of_an_hour_before_and_one_after_midnight_is_midnight(clock: Callable[..., pd.Series]) -> None:
    night = clock("2024-01-01 23:10", "2024-01-05 01:10")
    assert night["mean_hour"] == pytest.approx(0, abs=1e-6)
    noon = clock("2024-01-01 11:10", "2024-01-05 13:10")
    assert noon["mean_hour"] == pytest.approx(12)
    assert night["sd_hour"] == pytest.approx(noon["sd_hour"])


def test_hours_that_are_all_alike_do_not_vary(clock: Callable[..., pd.Series]) -> None:
    assert clock("2024-01-01 10:00", "2024-01-05 10:59")["sd_hour"] == pytest.approx(0, abs=1e-6)


def test_close_hours_vary_as_much_as_on_a_line(clock: Callable[..., pd.Series]) -> None:
    hours = [9, 10, 11] * 10
    times = [f"2024-01-{day + 1:02d} {hour:02d}:00" for day, hour in enumerate(hours)]
    assert clock(*times)["sd_hour"] == pytest.approx(np.std(hours), rel=0.02)


def test_hours_all_round_the_clock_have_no_mean(clock: Callable[..., pd.Series]) -> None:
    spread = clock("2024-01-01 00:10", "2024-01-02 06:10", "2024-01-03 12:10", "2024-01-04 18:10")
    assert np.isnan(spread["mean_hour"])
    assert spread["sd_hour"] > 6


def test_dates_alone_tell_no_hour_but_a_weekday(clock: Callable[..., pd.Series]) -> None:
    dates = clock("2024-01-06", "2024-01-07", "2024-01-08")
    assert dates[["mean_hour", "sd_hour", "morning_share", "evening_share"]].isna().all()
    assert dates["weekend_share"] == pytest.approx(2 / 3)
    assert dates["weekdays"] == 3
