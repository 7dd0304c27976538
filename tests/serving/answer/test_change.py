"""Two answers of real models, beside the shares worked out by every order in which their causes can come."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from serving.answer.champion import Champions
from serving.answer.change import CAUSES, ORDERS, Told, aged_row, split
from tests.serving.conftest import booster, train
from training.model.bundle import Bundle, Score
from training.model.calibration import Affine
from training.model.encoding import encode


@pytest.fixture(scope="module")
def newer(customers: pd.DataFrame) -> dict[str, Bundle]:
    return {task: train(task, customers, trees=9, seed=3) for task in ("churn", "clv")}


def later(row: pd.DataFrame, days: float, **changes: float) -> pd.DataFrame:
    """A row some days later, in which something may have come."""
    moved = {name: row[name] + days for name in ("days_since_last_order", "tenure_days")}
    return row.assign(as_of=row["as_of"] + pd.Timedelta(days=days), **moved).assign(**changes)


def of(bundle: Bundle, row: pd.DataFrame) -> float:
    return float(bundle.predict(bundle.encode(row))[0])


def told(bundle: Bundle, row: pd.DataFrame) -> Told:
    return Told(of(bundle, row), row, bundle)


def train_on(features: tuple[str, ...], customers: pd.DataFrame) -> Bundle:
    """A churn model of some of the columns."""
    bundle = train("churn", customers, trees=3)
    matrix = encode(customers, features, bundle.categories)
    label = (customers["days_since_last_order"] > 60).to_numpy(dtype=float)
    return replace(
        bundle, features=features, scores=(Score("leave", booster(matrix, label, "binary", 5), Affine(1, 0)),)
    )


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_the_shares_are_the_mean_over_all_orders_in_which_data_comes_after_time(
    task: str, customers: pd.DataFrame, champions: Champions, newer: dict[str, Bundle]
) -> None:
    old, new = champions.by_task[task].bundle, newer[task]
    for place in range(12):
        before = customers.iloc[[place]]
        after = later(before, 20.0, days_since_last_order=2.0, spend_90d=300.0)
        rows = {frozenset(): before, frozenset({"time"}): later(before, 20.0), frozenset({"time", "data"}): after}
        worth = {(m, s): of(new if m else old, row) for m in (False, True) for s, row in rows.items()}
        feasible = [order for order in permutations(CAUSES) if order.index("time") < order.index("data")]
        assert set(feasible) == set(ORDERS)
        expected = dict.fromkeys(CAUSES, 0.0)
        for order in feasible:
            seen: frozenset[str] = frozenset()
            for cause in order:
                start, seen = seen, seen | {cause}
                step = [worth["model" in s, s - {"model"}] for s in (start, seen)]
                expected[cause] += (step[1] - step[0]) / len(feasible)
        found = split(told(old, before), told(new, after))
        assert found.shares == pytest.approx(expected, abs=1e-9)
        assert abs(sum(found.shares.values()) - (of(new, after) - of(old, before))) < 1e-9
        for cause in CAUSES:
            base = found.base if cause == "model" else 0.0
            assert abs(base + sum(found.effects[cause].values()) - found.shares[cause]) < 1e-9


def test_what_only_time_did_is_of_time_and_what_only_data_did_of_data(
    customers: pd.DataFrame, champions: Champions
) -> None:
    bundle, before = champions.churn.bundle, customers.iloc[[5]]
    shares = split(told(bundle, before), told(bundle, later(before, 40.0))).shares
    assert shares["data"] == shares["model"] == 0.0 and abs(shares["time"]) > 1e-3
    shares = split(told(bundle, before), told(bundle, before.assign(spend_90d=0.5, spend_total=5e3))).shares
    assert shares["time"] == shares["model"] == 0.0 and shares["data"] != 0.0


def test_an_older_model_that_is_gone_counts_first_by_what_was_told(
    customers: pd.DataFrame, champions: Champions, newer: dict[str, Bundle]
) -> None:
    old, new, before = champions.churn.bundle, newer["churn"], customers.iloc[[5]]
    after = later(before, 20.0, spend_90d=900.0, spend_total=1200.0)
    other = replace(old, scores=newer["churn"].scores)  # gives other numbers than were told: it is not that model
    for gone in (None, other):
        found = split(Told(of(old, before), before, gone), told(new, after))
        assert found.orders == [("model", "time", "data")] and "model" not in found.effects
        assert found.shares["model"] == of(new, before) - of(old, before)
        assert found.shares["time"] == pytest.approx(of(new, later(before, 20.0)) - of(new, before), abs=1e-12)
        assert abs(sum(found.shares.values()) - (of(new, after) - of(old, before))) < 1e-9


def test_a_model_that_reads_what_the_row_before_does_not_hold_counts_last(
    customers: pd.DataFrame, champions: Champions, newer: dict[str, Bundle]
) -> None:
    old, new, before = champions.churn.bundle, newer["churn"], customers.iloc[[5]]
    after = later(before, 20.0)
    found = split(told(old, before.drop(columns="region").assign(region=None)), told(new, after))
    assert list(found.orders) == list(ORDERS)
    poorer = before.drop(columns="median_gap_days")
    fewer = replace(old, features=tuple(n for n in old.features if n != "median_gap_days"))
    stub = replace(fewer, scores=train_on(fewer.features, customers).scores)
    found = split(told(stub, poorer), told(new, after))
    assert found.orders == [("time", "data", "model")] and found.shares["data"] == 0.0
    assert found.shares["model"] == pytest.approx(of(new, after) - of(stub, after), abs=1e-12)
    assert split(Told(0.1, None, old), told(new, after)).shares == {}
    assert split(Told(0.1, poorer, None), told(new, after)).shares == {}


def test_a_row_keeps_its_columns_types_and_whatever_time_does_not_move(customers: pd.DataFrame) -> None:
    before = customers.iloc[[3]]
    moved = aged_row(before, later(before, 3.5, spend_90d=1.0))
    assert moved.dtypes.equals(before.dtypes)
    assert moved["tenure_days"].iloc[0] == before["tenure_days"].iloc[0] + 3.5
    same = ["customer_id", "spend_total", "region", "median_gap_days", "as_of"]
    pd.testing.assert_frame_equal(moved[same], before[same])
    assert np.isclose(moved["days_since_last_order"].iloc[0], before["days_since_last_order"].iloc[0] + 3.5)
