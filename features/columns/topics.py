"""Columns that say the same in other words: to a person they are one reason.

"No orders in the last 30 days", "ordered on no days of the last 30" and "0 % of the usual pace" are three columns and
one fact. Of columns that no topic names, all windows of one function are one topic.
"""

from __future__ import annotations

import re
from functools import cache

TOPICS: dict[str, tuple[str, ...]] = {
    "rhythm": (
        "days_since_last_order",
        "tenure_days",
        "silent_share",
        "orders_total",
        "orders_per_30d",
        "median_gap_days",
        "mean_gap_days",
        "recent_gap_days",
        "gap_ratio",
        "gap_to_max",
        "gap_z",
    ),
    "evenness": ("sd_gap_days", "gap_cv", "max_gap_days"),
    "recent orders": (  # who ordered nothing spent nothing: one fact
        "orders",
        "order_days",
        "order_weeks",
        "orders_change",
        "orders_pace",
        "units",
        "spend",
        "spend_change",
        "spend_pace",
        "mean_order_recent",
    ),
    "order size": ("mean_order", "max_order", "sd_order", "order_size_trend"),
    "returns": ("returns", "return_share", "days_since_last_return"),
    "discounts": ("discount_share", "discount_share_total", "discounted_orders_share", "discount_change"),
    "signs of life": ("days_since_last_activity", "activity_per_30d", "activity_missed"),
    "visits": (
        "visits",
        "days_since_last_visit",
        "visits_total",
        "visits_per_30d",
        "visits_missed",
        "visits_change",
    ),
    "complaints": ("complaints", "days_since_last_complaint"),
    "surveys": ("mean_survey_score", "survey_score", "survey_score_change"),
    "time of day": ("morning_share", "evening_share", "mean_hour", "sd_hour"),
    "campaigns": ("campaigns", "campaigns_total", "days_since_last_campaign"),
    "redemptions": ("redemptions_total", "redemption_share", "days_since_last_redemption"),
    "notice": ("contracts_under_notice", "days_to_end"),
    "price": ("price_now", "paid_total"),
    "price rises": ("price_change", "price_rises", "days_since_price_rise"),
    "time as a subscriber": ("subscribed_days", "contract_tenure_days"),
    "ended contracts": ("days_since_contract_end", "cancelled_before", "contracts_total"),
}
TEXTS: dict[str, tuple[str, ...]] = {
    # What raises or lowers is how the silence compares with the rhythm: no part of that tells it alone.
    "rhythm": (
        "Last order {days_since_last_order:days} ago, usually one every {median_gap_days:days}; "
        "{orders_total:count order} so far",
        "Last order {days_since_last_order:days} ago; {orders_total:count order} so far",
        "Last order {days_since_last_order:days} ago",
        "No order on record",
    ),
}
WINDOW = re.compile(r"_\d+d$")
COLUMN = re.compile(r"{(\w+)")


def topic_of(column: str) -> str:
    """The topic of a column; its own name, without the window, where none names it.

    >>> topic_of("orders_30d"), topic_of("gap_z"), topic_of("tickets_90d"), topic_of("region")
    ('recent orders', 'rhythm', 'tickets', 'region')
    """
    function = WINDOW.sub("", column)
    by_name = _topics()
    return by_name.get(column) or by_name.get(function, function)


@cache
def told_by(topic: str) -> str | None:
    """The column that the texts of a topic begin with; None where the column that did most tells its own.

    >>> told_by("rhythm"), told_by("visits")
    ('days_since_last_order', None)
    """
    texts = TEXTS.get(topic)
    return COLUMN.findall(texts[0])[0] if texts else None


@cache
def _topics() -> dict[str, str]:
    return {column: topic for topic, columns in TOPICS.items() for column in columns}
