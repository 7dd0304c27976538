"""What the bench of seasons counts as an error, and which shops it draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.businesses import RAMADAN, Shop, shop
from bench.season import _error, summary


def test_the_error_is_the_logarithm_of_forecast_over_outcome_of_all_customers_together() -> None:
    assert _error("clv", np.array([10.0, 30.0]), np.array([20.0, -5.0])) == pytest.approx(np.log(2))
    assert _error("churn", np.full(4, 0.5), np.array([0, 1, 0, 1.0])) == pytest.approx(0)
    assert _error("churn", np.full(4, 0.5), np.zeros(4)) > 1


def test_the_summary_sets_the_season_beside_none() -> None:
    rows = pd.DataFrame({"shop": "a", "task": "clv", "by": "prior", "season": ["off", "on"] * 2})
    table = summary(rows.assign(error=[0.4, 0.1, -0.4, -0.1]))
    assert table.iloc[0].to_dict() == {"off": 0.4, "on": 0.1, "ratio": 0.25}


def test_a_feast_moves_the_orders_of_its_days() -> None:
    orders = shop(Shop(2.0, feast=3.0, feast_days=RAMADAN), 100, 24, 1)["orders"]
    first, last = RAMADAN[-2]
    beside = orders["ordered_at"].between("2024-02-10", "2024-03-09").sum()
    assert orders["ordered_at"].between(first, last).sum() > 2 * beside
