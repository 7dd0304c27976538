"""Contract columns on customers whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.schema import describe, feature_columns

Company = Callable[..., dict[str, pd.DataFrame]]
Rows = tuple[tuple[object, ...], ...]
Tables = dict[str, pd.DataFrame]
AS_OF = datetime(2024, 7, 1)
Features = Callable[..., pd.DataFrame]
BY_HAND = {
    ("ann", "contracts_active"): 1,
    ("ann", "contracts_total"): 2,
    ("ann", "subscribed_days"): 182,
    ("ann", "contract_tenure_days"): 30,
    ("ann", "days_to_renewal"): np.nan,
    ("ann", "contracts_under_notice"): 0,
    ("ann", "days_to_end"): np.nan,
    ("ann", "days_since_contract_end"): 30,
    ("ann", "cancelled_before"): 0,
    ("ann", "price_now"): 12,
    ("ann", "price_change"): 2,
    ("ann", "price_rises"): 1,
    ("ann", "days_since_price_rise"): 30,
    ("ann", "plan_changes"): 1,
    ("ann", "paid_total"): (152 * 10 + 30 * 12) / 30.4375,
    ("bob", "days_to_renewal"): 14,
    ("bob", "contracts_active"): 1,
    ("bob", "price_change"): np.nan,
    ("cat", "contracts_active"): 0,
    ("cat", "cancelled_before"): 1,
    ("cat", "price_now"): np.nan,
    ("cat", "days_since_contract_end"): 42,
    ("cat", "paid_total"): 109 * 10 / 30.4375,
    ("dan", "days_to_renewal"): 19,
    ("dan", "contracts_under_notice"): 0,
}
DAYS = st.integers(min_value=0, max_value=400)
MAYBE = st.one_of(st.none(), DAYS)
CONTRACT = st.tuples(st.sampled_from(["ann", "bob"]), DAYS, MAYBE, MAYBE, MAYBE, MAYBE, st.sampled_from(["a", "b"]))
START = pd.Timestamp("2024-01-01")


@pytest.fixture(scope="module")
def rows(features: Features, contracts: Tables) -> pd.DataFrame:
    return features(contracts, AS_OF)


@pytest.mark.parametrize(("customer", "column"), BY_HAND)
def test_column_is_what_one_works_out_by_hand(rows: pd.DataFrame, customer: str, column: str) -> None:
    assert rows.loc[customer, column] == pytest.approx(BY_HAND[customer, column], nan_ok=True)


def test_the_plan_is_that_of_the_contract_alive(rows: pd.DataFrame) -> None:
    assert rows["plan_now"].to_dict() == {"ann": "plus", "bob": "pro", "cat": None, "dan": "pro"}


def test_a_cancellation_is_known_from_its_moment_on_and_its_end_with_it(features: Features, contracts: Tables) -> None:
    before = features(contracts, datetime(2024, 7, 10)).loc["ann"]
    after = features(contracts, datetime(2024, 7, 10, 1)).loc["ann"]
    assert (before["contracts_under_notice"], after["contracts_under_notice"]) == (0, 1)
    assert np.isnan(before["days_to_end"])
    assert after["days_to_end"] == pytest.approx(21 - 1 / 24)


def test_an_end_without_a_cancellation_is_known_ahead_only_if_it_was_recorded_before(
    features: Features, company: Company
) -> None:
    unrecorded = company(("x", "eve", "2024-01-01", "2024-08-01", None, None, "basic", 10.0))
    recorded = unrecorded["subscriptions"].assign(recorded_at=pd.Timestamp("2024-03-01"))
    assert np.isnan(features(unrecorded, AS_OF).loc["eve", "days_to_end"])
    assert features({**unrecorded, "subscriptions": recorded}, AS_OF).loc["eve", "days_to_end"] == 31
    late = unrecorded["subscriptions"].assign(recorded_at=pd.Timestamp("2024-07-02"))
    assert features({**unrecorded, "subscriptions": late}, AS_OF).loc["eve", "contracts_total"] == 0


@pytest.mark.slow
def test_failed_payments_are_counted_beside_contracts_only(features: Features, contracts: Tables) -> None:
    interactions = pd.DataFrame(
        [("i1", "ann", "2024-06-15", "payment_failed"), ("i2", "ann", "2024-05-01", "payment_failed")],
        columns=["interaction_id", "customer_id", "occurred_at", "kind"],
    )
    ann = features({**contracts, "interactions": interactions}, AS_OF).loc["ann"]
    assert (ann["failed_payments_30d"], ann["failed_payments_90d"]) == (1, 2)
    assert "failed_payments_30d" not in {c.name for c in feature_columns(["orders", "interactions"], ())}


@pytest.mark.parametrize("column", feature_columns(["subscriptions", "interactions"], ()), ids=lambda c: c.name)
def test_every_column_can_be_said_with_and_without_a_value(column) -> None:
    row = {column.name: "pro" if column.dtype == "string" else 2.0}
    for said in (describe(column.name, row), describe(column.name, {column.name: None})):
        assert said and "{" not in said and "nan" not in said.lower()


def drawn(subscriptions: Callable[..., pd.DataFrame], contracts: list[tuple]) -> pd.DataFrame:
    def at(day: int | None) -> pd.Timestamp | None:
        return None if day is None else START + pd.Timedelta(days=day)

    rows = [
        (
            f"s{i}",
            who,
            at(began),
            at(end and began + end),
            at(cancelled and began + cancelled),
            at(due and began + due),
            plan,
            10.0 + i,
        )
        for i, (who, began, end, cancelled, due, _, plan) in enumerate(contracts)
    ]
    recorded = pd.Series([at(c[5]) for c in contracts], dtype="datetime64[us]")
    return subscriptions(*rows).assign(recorded_at=recorded)


@pytest.mark.slow
@hypothesis_settings(max_examples=25)
@given(past=st.lists(CONTRACT, min_size=1, max_size=5), late=st.lists(CONTRACT, max_size=4), day=st.integers(1, 300))
def test_nothing_that_comes_or_is_recorded_later_changes_a_feature(
    features: Features, subscriptions, past, late, day: int
) -> None:
    customers = pd.DataFrame({"customer_id": ["ann", "bob"], "signed_up_at": [START - pd.Timedelta(days=1)] * 2})
    as_of = START + pd.Timedelta(days=day)
    known = drawn(subscriptions, past)
    began_later = drawn(subscriptions, [(w, day + b, *rest) for w, b, *rest in late]).assign(
        subscription_id=lambda f: "later" + f["subscription_id"],
        recorded_at=lambda f: f["recorded_at"].where(f["recorded_at"] > as_of),  # else it was booked
    )
    recorded_later = drawn(subscriptions, late).assign(
        recorded_at=as_of + pd.Timedelta(days=1), subscription_id=lambda f: "recorded" + f["subscription_id"]
    )
    ends = known["recorded_at"].isna() & ~(known["ended_at"] < as_of) & ~(known["cancelled_at"] < as_of)
    changed = known.assign(
        ended_at=known["ended_at"].mask(ends, as_of + pd.Timedelta(days=3)),
        cancelled_at=known["cancelled_at"].mask(ends, as_of),
    )
    before = features({"customers": customers, "subscriptions": known}, as_of.to_pydatetime())
    frames = [f for f in (changed, began_later, recorded_later) if len(f)]
    after = features(
        {"customers": customers, "subscriptions": pd.concat(frames, ignore_index=True)}, as_of.to_pydatetime()
    )
    pd.testing.assert_frame_equal(before, after)
