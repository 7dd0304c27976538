"""Every column on three customers whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.schema import describe, feature_columns

AS_OF = datetime(2024, 3, 1)
Features = Callable[..., pd.DataFrame]
BY_HAND = {
    # ann ordered on 1 and 11 and 31 January and 20 February at 10:00, and returned on 21 February
    ("ann", "days_since_last_order"): 9 + 14 / 24,
    ("ann", "tenure_days"): 59 + 14 / 24,
    ("ann", "silent_share"): (9 + 14 / 24) / (59 + 14 / 24),
    ("ann", "days_since_last_return"): 8 + 14 / 24,
    ("ann", "orders_7d"): 0,
    ("ann", "orders_14d"): 1,
    ("ann", "orders_30d"): 2,
    ("ann", "orders_90d"): 4,
    ("ann", "orders_total"): 4,
    ("ann", "order_days_90d"): 4,
    ("ann", "spend_30d"): 30 + 40 - 15,
    ("ann", "spend_90d"): 85,
    ("ann", "spend_total"): 85,
    ("ann", "mean_order"): 25,
    ("ann", "max_order"): 40,
    ("ann", "sd_order"): np.std([10, 20, 30, 40], ddof=1),
    ("ann", "units_90d"): 9,
    ("ann", "returns_90d"): 1,
    ("ann", "return_share"): 0.15,
    ("ann", "orders_change_30d"): 2 - 2,
    ("ann", "spend_change_30d"): 55 - 30,
    ("ann", "orders_pace_30d"): (2 / 30) / (4 / (59 + 14 / 24)),
    ("ann", "order_size_trend_30d"): 35 / 25,
    ("ann", "median_gap_days"): 20,
    ("ann", "mean_gap_days"): (10 + 20 + 20) / 3,
    ("ann", "max_gap_days"): 20,
    ("ann", "gap_ratio"): (9 + 14 / 24) / 20,
    ("ann", "discount_share_90d"): 15 / 115,
    ("ann", "discount_share_30d"): 10 / 80,
    ("ann", "discounted_orders_share_90d"): 0.5,
    ("ann", "morning_share"): 1,
    ("ann", "evening_share"): 0,
    ("ann", "weekend_share"): 0,
    ("ann", "mean_hour"): 10,
    ("ann", "weekdays"): 4,
    ("ann", "categories_90d"): 2,
    ("ann", "channels_90d"): 2,
    ("bob", "orders_total"): 1,
    ("bob", "evening_share"): 1,
    ("bob", "median_gap_days"): np.nan,
    ("bob", "sd_order"): np.nan,
    ("bob", "return_share"): 0,
    ("new", "orders_total"): 0,
    ("new", "spend_90d"): 0,
    ("new", "days_since_last_order"): np.nan,
}


@pytest.fixture(scope="module")
def rows(features: Features, shop: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return features(shop, AS_OF)


@pytest.mark.parametrize(("customer", "column"), BY_HAND)
def test_column_is_what_one_works_out_by_hand(rows: pd.DataFrame, customer: str, column: str) -> None:
    assert rows.loc[customer, column] == pytest.approx(BY_HAND[customer, column], nan_ok=True)


def test_there_is_one_row_for_each_customer_known_at_the_moment(
    features: Features, shop: dict[str, pd.DataFrame]
) -> None:
    assert features(shop, datetime(2024, 2, 10)).index.tolist() == ["ann", "bob"]


def test_interactions_and_contacts_are_counted_in_their_windows(
    features: Features, shop: dict[str, pd.DataFrame]
) -> None:
    interactions = pd.DataFrame(
        [
            ("i1", "ann", "2024-02-28", "visit", None),
            ("i2", "ann", "2024-02-01", "login", None),
            ("i3", "ann", "2024-02-20", "complaint", None),
            ("i4", "ann", "2024-01-20", "survey", 3.0),
            ("i5", "ann", "2024-02-20", "survey", 5.0),
            ("i6", "ann", "2024-03-02", "complaint", None),
            ("i7", "ann", "2024-02-29", "payment_failed", None),
        ],
        columns=["interaction_id", "customer_id", "occurred_at", "kind", "value"],
    )
    contacts = pd.DataFrame(
        [("c1", "ann", "2024-02-01", "A", "2024-02-10"), ("c2", "ann", "2024-02-20", "B", "2024-03-05")],
        columns=["contact_id", "customer_id", "contacted_at", "campaign", "redeemed_at"],
    )
    ann = features({**shop, "interactions": interactions, "contacts": contacts}, AS_OF).loc["ann"]
    assert (ann["visits_7d"], ann["visits_30d"], ann["visits_change_30d"]) == (1, 2, 2)
    assert (ann["complaints_30d"], ann["days_since_last_complaint"]) == (1, 10)
    assert ann["mean_survey_score"] == 4
    assert ann["survey_score_90d"] == 4
    assert np.isnan(ann["survey_score_change_90d"])  # no survey 90 to 180 days ago to compare with
    assert (ann["campaigns_90d"], ann["redemptions_total"], ann["redemption_share"]) == (2, 1, 0.5)
    assert ann["days_since_last_redemption"] == 20
    assert (ann["visits_total"], ann["visits_per_30d"], ann["visits_missed"]) == pytest.approx((2, 60 / 29, 4 / 29))
    # nine signs of life: four orders, two visits, a complaint and two surveys; the failed payment is none
    tenure = 59 + 14 / 24
    assert ann["days_since_last_activity"] == 2
    assert (ann["activity_per_30d"], ann["activity_missed"]) == pytest.approx((9 / tenure * 30, 9 / tenure * 2))


def test_the_days_ahead_are_told_as_they_were_a_year_ago(features: Features, shop: dict[str, pd.DataFrame]) -> None:
    ann = features(shop, datetime(2025, 1, 15)).loc["ann"]  # a year of 365 days before: 16 January 2024
    assert (ann["orders_year_ago_30d"], ann["spend_year_ago_30d"]) == (1, 30)  # 31 January
    assert (ann["orders_year_ago_90d"], ann["spend_year_ago_90d"]) == (3, 105)  # 20 February and March too
    assert np.isnan(features(shop, AS_OF).loc["ann", "orders_year_ago_90d"])  # no customer yet


def test_an_attribute_is_a_text_column(features: Features, shop: dict[str, pd.DataFrame]) -> None:
    customers = shop["customers"].assign(region=["north", None, " south "])
    rows = features({**shop, "customers": customers}, AS_OF, attributes=("region",))
    assert rows["region"].tolist() == ["north", "south", None] or rows["region"].to_dict() == {
        "ann": "north",
        "bob": None,
        "new": "south",
    }


@pytest.mark.parametrize(
    "column", feature_columns(["orders", "interactions", "contacts"], ("region",)), ids=lambda c: c.name
)
def test_every_column_can_be_said_with_and_without_a_value(column) -> None:
    row = {c.name: 2.0 for c in feature_columns(["orders", "interactions", "contacts"], ())} | {"region": "north"}
    for said in (describe(column.name, row), describe(column.name, {column.name: None})):
        assert said
        assert "{" not in said
        assert "nan" not in said.lower()


@pytest.mark.parametrize(
    ("column", "row", "said"),
    [
        ("days_since_last_order", {"days_since_last_order": 0.2}, "Last order less than a day ago"),
        (
            "days_since_last_order",
            {"days_since_last_order": 1.2, "median_gap_days": 1},
            "Last order 1 day ago; usual gap is 1 day",
        ),
        ("orders_30d", {"orders_30d": 0}, "No orders in the last 30 days"),
        ("discount_change_30d", {"discount_change_30d": -0.001}, "Discounts hardly changed in the last 30 days"),
        (
            "discount_change_30d",
            {"discount_change_30d": 0.034},
            "Discounts changed by +3 % of the price in the last 30 days",
        ),
        ("orders_total", {"orders_total": 1234}, "1,234 orders so far"),
        ("categories_90d", {"categories_90d": 2}, "Bought from 2 categories in the last 90 days"),
        ("order_days_30d", {"order_days_30d": 3}, "Ordered on 3 days of the last 30"),
        ("spend_30d", {"spend_30d": 1234.5}, "Spent 1,234.50 in the last 30 days"),
        ("gap_ratio", {"gap_ratio": 4.56, "median_gap_days": 9}, "Silent for 4.6 times the usual gap of 9 days"),
        ("gap_ratio", {"gap_ratio": float("nan")}, "Too few orders to tell a usual gap"),
        (
            "season_value",
            {"season_value": -0.223},
            "At this time of the year customers usually bring 20 % less than after a like past at others",
        ),
        (
            "season_silence",
            {"season_silence": 0.1133},
            "At this time of the year falling silent is usually 12 % more likely",
        ),
        (
            "season_gap",
            {"season_gap": 0.1133},
            "At this time of the year the gap between orders is usually 12 % longer than after a like past at others",
        ),
        (
            "season_gap",
            {"season_gap": -0.223},
            "At this time of the year the gap between orders is usually 20 % shorter than after a like past at others",
        ),
    ],
)
def test_reasons_are_plain_sentences_with_the_customers_own_numbers(
    column: str, row: dict[str, float], said: str
) -> None:
    assert describe(column, row) == said


def test_rows_are_the_same_however_often_they_are_told(features: Features, shop: dict[str, pd.DataFrame]) -> None:
    before = {name: frame.copy() for name, frame in shop.items()}
    pd.testing.assert_frame_equal(features(shop, AS_OF), features(shop, AS_OF), check_exact=True)
    for name, frame in shop.items():
        pd.testing.assert_frame_equal(frame, before[name])
    assert np.isfinite(features(shop, AS_OF).loc["ann", "gap_z"])


@pytest.mark.slow
def test_the_survey_score_is_told_by_window_and_how_it_changed(
    features: Features, shop: dict[str, pd.DataFrame]
) -> None:
    answered = [("2024-02-20", 2.0), ("2024-01-20", 4.0), ("2023-11-01", 9.0), ("2023-10-01", 7.0), ("2023-04-01", 1.0)]
    surveys = pd.DataFrame(
        [(f"s{n}", "ann", at, "survey", value) for n, (at, value) in enumerate(answered)],
        columns=["interaction_id", "customer_id", "occurred_at", "kind", "value"],
    )
    ann = features({**shop, "interactions": surveys}, AS_OF).loc["ann"]
    assert ann["survey_score_90d"] == 3
    assert ann["survey_score_365d"] == (2 + 4 + 9 + 7 + 1) / 5
    assert ann["survey_score_change_90d"] == 3 - 8
    assert ann["survey_score_change_180d"] == (2 + 4 + 9 + 7) / 4 - 1
