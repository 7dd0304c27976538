"""Days of feasts by name, against the calendars that people print."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from configs.settings import Settings
from features.seasons.feasts import TIMES, feast_days


@pytest.mark.parametrize(
    ("name", "year", "first", "last"),
    [
        ("ramadan", 2024, "2024-03-11", "2024-04-09"),
        ("ramadan", 2025, "2025-03-01", "2025-03-29"),
        ("eid_al_fitr", 2024, "2024-04-10", "2024-04-12"),
        ("eid_al_adha", 2023, "2023-06-28", "2023-07-01"),
        ("chinese_new_year", 2024, "2024-02-10", "2024-02-16"),
        ("chinese_new_year", 2023, "2023-01-22", "2023-01-28"),
        ("easter", 2024, "2024-03-29", "2024-04-01"),
        ("thanksgiving", 2023, "2023-11-23", "2023-11-23"),
        ("thanksgiving", 2024, "2024-11-28", "2024-11-28"),
        ("black_friday", 2024, "2024-11-29", "2024-12-02"),
        ("golden_week_japan", 2024, "2024-04-29", "2024-05-05"),
        ("golden_week_china", 2024, "2024-10-01", "2024-10-07"),
    ],
)
def test_the_days_are_those_of_the_calendar(name, year: int, first: str, last: str) -> None:
    assert feast_days({name: None}, year, year)[name] == ((date.fromisoformat(first), date.fromisoformat(last)),)


def test_a_year_may_hold_ramadan_twice() -> None:
    assert [str(first) for first, _ in feast_days({"ramadan": None}, 2030, 2030)["ramadan"]] == [
        "2030-01-05",
        "2030-12-26",
    ]


@pytest.mark.parametrize("name", TIMES)
def test_times_rise_and_share_no_day_even_with_weeks_beside(name) -> None:
    for span in (None, (-60, 60)):
        days = feast_days({name: span}, 1900, 2100)[name]
        assert len(days) >= 150
        assert all(before[1] < after[0] for before, after in pairwise(days))


def test_days_before_the_feast_count_from_its_first_day() -> None:
    assert feast_days({"easter": (-14, -1)}, 2024, 2024)["easter"] == ((date(2024, 3, 15), date(2024, 3, 28)),)


@pytest.mark.parametrize(
    ("calendar", "said"),
    [
        ({"events": {}, "feasts": {"ramadhan": None}}, "'ramadan', 'eid_al_fitr'"),
        ({"events": {}, "feasts": {"easter": (3, -3)}}, "the first day comes first"),
        ({"events": {"easter": ()}, "feasts": {"easter": None}}, "stands twice"),
        ({"events": {"sale": ()}, "closures": {"sale": ()}}, "stands twice"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(settings: Settings, calendar: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings.calendar.model_validate(calendar)
