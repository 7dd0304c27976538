"""Topics name columns that exist, and say one fact of a customer."""

from __future__ import annotations

import pytest

from features.columns.topics import TOPICS, WINDOW
from features.schema import _by_name, describe_topic


def test_topics_name_functions_of_columns_that_exist() -> None:
    names = {*_by_name(), *(WINDOW.sub("", name) for name in _by_name())}
    assert {column for columns in TOPICS.values() for column in columns} <= names


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"days_since_last_order": 38.0, "median_gap_days": 14.0, "orders_total": 23.0},
            "Last order 38 days ago, usually one every 14 days; 23 orders so far",
        ),
        ({"days_since_last_order": 1.0, "orders_total": 1.0}, "Last order 1 day ago; 1 order so far"),
        ({"orders_total": 0.0}, "No order on record"),
    ],
)
def test_the_rhythm_is_told_whole_whichever_of_its_columns_did_most(row: dict[str, float], said: str) -> None:
    assert {describe_topic(name, row) for name in TOPICS["rhythm"]} == {said}
