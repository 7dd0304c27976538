"""Nothing that happened, or became known, after a moment can change what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

AS_OF = datetime(2024, 3, 1)
Features = Callable[..., pd.DataFrame]
Shop = dict[str, pd.DataFrame]
slow = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])

order = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from(["ann", "bob", "new"]),
        "amount": st.floats(-1e4, 1e4),
        "discount": st.floats(0, 100),
        "category": st.sampled_from(["food", "toys", "new"]),
    }
)
later = st.datetimes(AS_OF, datetime(2024, 12, 31))
earlier = st.datetimes(datetime(2024, 1, 1), datetime(2024, 2, 28))


def with_orders(shop: Shop, rows: list[dict]) -> Shop:
    more = pd.DataFrame(rows).assign(order_id=[f"x{i}" for i in range(len(rows))])
    return {**shop, "orders": pd.concat([shop["orders"], more], ignore_index=True)}


@slow
@given(st.lists(st.tuples(order, later), min_size=1, max_size=5))
def test_an_order_after_the_moment_changes_no_feature(features: Features, shop: Shop, extra: list) -> None:
    rows = [{**o, "ordered_at": t} for o, t in extra]
    pd.testing.assert_frame_equal(features(with_orders(shop, rows), AS_OF), features(shop, AS_OF), check_exact=True)


@pytest.mark.slow
@slow
@given(st.lists(st.tuples(order, earlier, later), min_size=1, max_size=5))
def test_an_order_recorded_after_the_moment_changes_no_feature(features: Features, shop: Shop, extra: list) -> None:
    rows = [{**o, "ordered_at": t, "recorded_at": max(r, datetime(2024, 3, 1, 0, 0, 1))} for o, t, r in extra]
    pd.testing.assert_frame_equal(features(with_orders(shop, rows), AS_OF), features(shop, AS_OF), check_exact=True)


@pytest.mark.slow
@slow
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_feature(features: Features, shop: Shop, random) -> None:
    places = list(range(len(shop["orders"])))
    random.shuffle(places)
    mixed = {**shop, "orders": shop["orders"].iloc[places].reset_index(drop=True)}
    pd.testing.assert_frame_equal(features(mixed, AS_OF), features(shop, AS_OF), rtol=1e-9)


def test_an_order_of_another_customer_changes_no_feature_of_ann(features: Features, shop: Shop) -> None:
    rows = [{"customer_id": "bob", "ordered_at": datetime(2024, 2, 1), "amount": 9.0, "discount": 0.0}]
    changed = features(with_orders(shop, rows), AS_OF)
    pd.testing.assert_series_equal(changed.loc["ann"], features(shop, AS_OF).loc["ann"], check_exact=True)
    assert changed.loc["bob", "orders_total"] == 2


def test_an_order_at_the_moment_itself_belongs_to_the_future(features: Features, shop: Shop) -> None:
    rows = [{"customer_id": "bob", "ordered_at": AS_OF, "amount": 9.0, "discount": 0.0}]
    pd.testing.assert_frame_equal(features(with_orders(shop, rows), AS_OF), features(shop, AS_OF), check_exact=True)


def test_shifting_everything_by_a_week_changes_no_feature(features: Features, shop: Shop) -> None:
    week = pd.Timedelta(days=7)
    moved = {
        "customers": shop["customers"].assign(signed_up_at=shop["customers"]["signed_up_at"] + week),
        "orders": shop["orders"].assign(ordered_at=shop["orders"]["ordered_at"] + week),
    }
    pd.testing.assert_frame_equal(features(moved, AS_OF + week), features(shop, AS_OF), rtol=1e-12)


@pytest.mark.slow
@slow
@given(st.lists(st.text("abcXYZ019-_", min_size=1, max_size=9), min_size=6, max_size=6, unique=True))
def test_renaming_customers_and_orders_changes_no_feature(features: Features, shop: Shop, names: list[str]) -> None:
    renamed = dict(zip(shop["customers"]["customer_id"], names, strict=False))
    orders = shop["orders"]
    told = features(
        {
            "customers": shop["customers"].assign(customer_id=shop["customers"]["customer_id"].map(renamed)),
            "orders": orders.assign(
                customer_id=orders["customer_id"].map(renamed), order_id=[f"{names[0]}{i}" for i in range(len(orders))]
            ),
        },
        AS_OF,
    )
    plain = features(shop, AS_OF).rename(index=renamed)
    pd.testing.assert_frame_equal(told.sort_index(), plain.sort_index(), rtol=1e-12)


@pytest.mark.slow
@slow
@given(st.integers(1, 6))
def test_shifting_everything_by_days_changes_only_which_days_are_weekends(
    features: Features, shop: Shop, number: int
) -> None:
    days = pd.Timedelta(days=number)
    moved = {
        "customers": shop["customers"].assign(signed_up_at=shop["customers"]["signed_up_at"] + days),
        "orders": shop["orders"].assign(ordered_at=shop["orders"]["ordered_at"] + days),
    }
    free = ["weekend_share"]
    told, plain = features(moved, AS_OF + days), features(shop, AS_OF)
    pd.testing.assert_frame_equal(told.drop(columns=free), plain.drop(columns=free), rtol=1e-12)


def test_a_redemption_after_the_moment_is_not_known_yet(features: Features, shop: Shop) -> None:
    contact = {"contact_id": "c", "customer_id": "ann", "contacted_at": "2024-02-01", "campaign": "A"}
    rows = features({**shop, "contacts": pd.DataFrame([{**contact, "redeemed_at": "2024-03-01"}])}, AS_OF)
    assert rows.loc["ann", "redemptions_total"] == 0
