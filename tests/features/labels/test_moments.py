"""Moments are firsts of the month and the end of the data; what lies in no window of theirs is found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from features.labels.moments import as_of_dates


def test_moments_are_firsts_of_the_month_with_history_before_them(settings: Settings) -> None:
    found = as_of_dates(datetime(2024, 1, 10), datetime(2024, 5, 1), settings.as_of)
    assert found == [datetime(2024, 3, 1), datetime(2024, 4, 1), datetime(2024, 5, 1)]


def test_moments_further_apart_are_counted_back_from_the_newest(settings: Settings) -> None:
    every_other = settings.as_of.model_copy(update={"every_months": 2})
    found = as_of_dates(datetime(2024, 1, 1), datetime(2024, 6, 15), every_other)
    assert found == [datetime(2024, 2, 1), datetime(2024, 4, 1), datetime(2024, 6, 1), datetime(2024, 6, 15)]


@pytest.mark.parametrize(
    ("until", "newest"),
    [
        (datetime(2024, 5, 1), datetime(2024, 5, 1)),
        (datetime(2024, 5, 20, 17, 4, 5, 1), datetime(2024, 5, 20, 17, 4, 6)),
        (datetime(2024, 2, 20), datetime(2024, 2, 20)),
    ],
)
def test_the_newest_moment_is_the_end_of_the_data_so_that_nothing_known_is_left_out(
    settings: Settings, until: datetime, newest: datetime
) -> None:
    found = as_of_dates(datetime(2024, 1, 20), until, settings.as_of)
    assert found[-1] == newest
    assert all(moment.day == 1 for moment in found[:-1])


def test_moments_keep_within_the_bounds_that_are_set(settings: Settings) -> None:
    bounded = settings.as_of.model_copy(
        update={"first": datetime(2024, 3, 1, tzinfo=UTC), "last": datetime(2024, 4, 1, tzinfo=UTC)}
    )
    assert as_of_dates(datetime(2024, 1, 1), datetime(2024, 6, 15), bounded) == [
        datetime(2024, 3, 1),
        datetime(2024, 4, 1),
    ]


def test_a_history_too_short_for_one_moment_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(NotEnoughDataError, match=r"2024-01-10 to 2024-01-20.*min_history_days"):
        as_of_dates(datetime(2024, 1, 10), datetime(2024, 1, 20), settings.as_of)
