"""A stretch of days without rows is a gap only if the business's own rhythm does not explain it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from features.labels.gaps import find_gaps, gaps_of

Rhythm = Callable[[np.random.Generator], pd.Series]
START = "2022-03-01"


def sold(rng: np.random.Generator, days: int, rate: float, weekday: tuple[float, ...] = (1,) * 7) -> pd.Series:
    """Rows a day by chance around a rate, by weekday from Monday on."""
    index = pd.date_range(START, periods=days)
    return pd.Series(rng.poisson(rate * np.array(weekday)[index.weekday]), index)


def shut(rows: pd.Series, *periods: tuple[str, str]) -> pd.Series:
    rows = rows.copy()
    for first, last in periods:
        rows.loc[first:last] = 0
    return rows


RHYTHMS: dict[str, Rhythm] = {
    "a shop": lambda rng: sold(rng, 400, 5),
    "a wholesaler, weekdays only": lambda rng: sold(rng, 400, 8, (1, 1, 1, 1, 1, 0, 0)),
    "a stall on Wednesdays": lambda rng: sold(rng, 400, 40, (0, 0, 1, 0, 0, 0, 0)),
    "bills on the first of the month": lambda rng: (r := sold(rng, 500, 200)).where(r.index.day == 1, 0),
    "boxes every second week": lambda rng: (r := sold(rng, 400, 200)).where(np.arange(len(r)) % 14 == 0, 0),
    "a shop that closes at Christmas": lambda rng: shut(
        sold(rng, 900, 10), ("2022-12-22", "2023-01-04"), ("2023-12-23", "2024-01-05")
    ),
    "a campsite": lambda rng: (r := sold(rng, 900, 20)).mul(np.sin(np.arange(len(r)) / 58) ** 2 > 0.2).astype(int),
    "a new business that grows": lambda rng: sold(rng, 300, 1).mul(np.arange(300) // 30 + 1),
    "hardly anything": lambda rng: sold(rng, 700, 0.2),
    "public holidays": lambda rng: shut(sold(rng, 400, 30), ("2022-04-15", "2022-04-18"), ("2022-12-24", "2022-12-27")),
    "large orders now and then": lambda rng: sold(rng, 400, 1) * rng.poisson(3, 400),
}


@pytest.mark.parametrize("name", RHYTHMS)
def test_the_rhythm_of_a_business_is_no_gap(name: str) -> None:
    rng = np.random.default_rng(3)
    assert [find_gaps("orders", RHYTHMS[name](rng)) for _ in range(12)] == [[]] * 12


@pytest.mark.parametrize("name", ["a shop", "a wholesaler, weekdays only", "a stall on Wednesdays", "public holidays"])
def test_two_weeks_without_rows_are_found_day_by_day(name: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        rows = RHYTHMS[name](rng)
        first = pd.Timestamp(START) + pd.Timedelta(days=int(rng.integers(60, 300)))
        last = first + pd.Timedelta(days=int(rng.integers(14, 28)) - 1)
        [gap] = find_gaps("orders", shut(rows, (str(first.date()), str(last.date()))))
        assert gap.begins <= first.to_pydatetime()
        assert gap.ends > last.to_pydatetime()
        assert gap.days <= (last - first).days + 1 + 12  # with quiet days of the rhythm at its edges
        assert gap.missing > 0
        assert not gap.at_end


def test_the_last_two_weeks_are_missed_only_if_the_data_is_said_to_go_on() -> None:
    rows = sold(np.random.default_rng(5), 200, 6)
    assert find_gaps("orders", rows.iloc[:-14]) == []
    [gap] = find_gaps("orders", rows.iloc[:-14], rows.index[-1].to_pydatetime())
    assert (gap.at_end, gap.days) == (True, 13)
    assert gap.text.startswith("the last 13 days from 2022-09-03 to 2022-09-15 have (almost) no rows, where about ")
    assert find_gaps("orders", rows, rows.index[-1].to_pydatetime()) == []


def test_two_gaps_are_two() -> None:
    rows = sold(np.random.default_rng(6), 300, 6)
    gaps = find_gaps("orders", shut(rows, ("2022-06-01", "2022-06-15"), ("2022-09-10", "2022-09-30")))
    assert [(gap.begins, gap.ends) for gap in gaps] == [
        (datetime(2022, 6, 1), datetime(2022, 6, 16)),
        (datetime(2022, 9, 10), datetime(2022, 10, 1)),
    ]


def test_a_business_that_says_it_was_closed_has_no_gap() -> None:
    rows = shut(sold(np.random.default_rng(7), 300, 6), ("2022-06-01", "2022-06-15"))
    assert len(find_gaps("orders", rows)) == 1
    assert find_gaps("orders", rows, closed=[(date(2022, 6, 1), date(2022, 6, 15))]) == []


def test_a_stray_row_hides_no_gap() -> None:
    rows = shut(sold(np.random.default_rng(8), 300, 20), ("2022-06-01", "2022-06-21"))
    rows["2022-06-09"] = 1
    [gap] = find_gaps("orders", rows)
    assert gap.days == 21


def test_campaigns_and_customers_have_no_rhythm() -> None:
    rows = shut(sold(np.random.default_rng(9), 300, 6), ("2022-06-01", "2022-06-15"))
    assert [g.table for g in gaps_of({"contacts": rows, "customers": rows, "interactions": rows}, None)] == [
        "interactions"
    ]


def test_nothing_is_no_gap() -> None:
    assert find_gaps("orders", pd.Series(dtype=float, index=pd.DatetimeIndex([]))) == []
    assert find_gaps("orders", sold(np.random.default_rng(1), 20, 5)) == []


def test_rows_far_apart_are_no_gap_and_no_failure() -> None:
    lone = pd.Series([1, 1], index=pd.to_datetime(["2022-01-01", "2024-01-01"]))
    assert find_gaps("orders", lone) == []
    assert find_gaps("orders", lone, datetime(2030, 1, 1)) == []
    assert find_gaps("orders", lone.head(1), datetime(9999, 12, 31)) == []


def _lively(name: str) -> pd.Series:
    rng = np.random.default_rng(11)
    return {"a shop": sold(rng, 200, 5), "weekdays only": sold(rng, 200, 8, (1, 1, 1, 1, 1, 0, 0))}[name]


@pytest.mark.parametrize("name", ["a shop", "weekdays only"])
@pytest.mark.parametrize("days_after", [2, 5, 11])
def test_a_gap_shortly_before_the_end_is_judged_by_the_days_behind_it(name: str, days_after: int) -> None:
    rows = _lively(name)
    last = rows.index[-1] - pd.Timedelta(days=days_after + int(rows.index[-1].weekday() == 6) * 2)
    [gap] = find_gaps("orders", shut(rows, (str((last - pd.Timedelta(days=17)).date()), str(last.date()))))
    assert gap.days >= 18 and not gap.at_end


def test_a_business_that_ends_with_a_late_row_or_begins_with_a_test_has_no_gap() -> None:
    rng = np.random.default_rng(12)
    ends = shut(sold(rng, 200, 8), ("2022-08-01", "2022-09-14"))
    ends.iloc[-1:], ends.iloc[170:-1] = 1, 0
    assert find_gaps("orders", ends[ends > 0]) == []
    begins = shut(sold(rng, 200, 6), (START, "2022-04-01"))
    begins.iloc[[0, 1, 3]] = 5, 2, 1
    assert find_gaps("orders", begins) == []
    soft = shut(sold(rng, 200, 8), ("2022-03-10", "2022-04-05"))
    soft.iloc[:9] = 1
    assert find_gaps("orders", soft) == []


def test_pauses_at_the_same_time_of_each_year_hide_no_gap_elsewhere() -> None:
    rows = sold(np.random.default_rng(13), 1000, 6)
    rows = rows.where(rows.index.month != 8, 0)
    assert find_gaps("orders", rows) == []
    [gap] = find_gaps("orders", shut(rows, ("2023-03-01", "2023-03-21")))
    assert gap.days == 21


def test_two_contracts_a_week_by_chance_make_no_gap_and_a_month_without_any_does() -> None:
    rng = np.random.default_rng(14)
    for _ in range(20):
        rows = sold(rng, 365, 0.8)
        assert find_gaps("subscriptions", rows) == []
        [gap] = find_gaps("subscriptions", shut(rows, ("2022-07-01", "2022-08-01")))
        assert gap.begins <= datetime(2022, 7, 1)
