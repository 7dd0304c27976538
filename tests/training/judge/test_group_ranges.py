"""Ages and birth dates are audited in ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.judge.group_ranges import in_ranges


def ranges(values: list[object]) -> list[object]:
    column = pd.Series(values, dtype=object)
    return in_ranges(column, pd.Series(pd.Timestamp("2024-06-01"), index=column.index)).tolist()


def test_ages_are_put_into_tens_of_years_with_their_edges_in_the_upper_one() -> None:
    ages = [str(n) for n in range(15, 80)]
    found = dict(zip(ages, ranges([*ages]), strict=True))
    wanted = {
        "19": "under 20",
        "20": "20 to 29",
        "29": "20 to 29",
        "30": "30 to 39",
        "69": "60 to 69",
        "70": "70 and over",
    }
    assert {age: found[age] for age in wanted} == wanted


@pytest.mark.parametrize("form", ["{}-02-01", "01.02.{}", "02/01/{}", "{}年2月1日", "{}"])
def test_birth_dates_in_any_writing_are_the_age_at_the_moment(form: str) -> None:
    years = list(range(1950, 1990))
    assert (
        ranges([form.format(y) for y in years])[-1] == "30 to 39"
        and ranges([form.format(y) for y in years])[0] == "70 and over"
    )


def test_other_numbers_are_put_into_fifths() -> None:
    found = pd.Series(ranges([str(n * 1000) for n in range(100)]))
    assert found.value_counts().tolist() == [20] * 5 and "under 19,800" in set(found)


@pytest.mark.parametrize("values", [["m", "f"] * 20, [str(n % 4) for n in range(40)], [f"town {n}" for n in range(40)]])
def test_what_has_few_values_or_is_no_number_stays(values: list[object]) -> None:
    assert ranges(values) == values


def test_what_is_not_known_is_in_no_range() -> None:
    found = ranges([*map(str, range(20, 60)), None, ""])
    assert pd.isna(np.array(found, dtype=object)[-2:]).all()
