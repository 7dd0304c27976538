"""Units behind numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from features.labels.profile_numbers import read_numbers
from features.numbers.units import without_units


@pytest.mark.parametrize(
    ("texts", "numbers", "units"),
    [
        (["12 GB", "1,5 GB", None], ["12", "1,5", None], ("GB",)),
        (["24 Monate", "1 Monat"], ["24", "1"], ("Monate",)),
        (["3 ans", "1 an"], ["3", "1"], ("ans",)),
        (["85 %", "-3%"], ["85", "-3"], ("%",)),
        (["100 Mbit/s", "50 Mbit/s"], ["100", "50"], ("Mbit/s",)),
        (["12 GB", "900 MB"], ["12 GB", "900 MB"], ("GB", "MB")),
        (["3 mm", "4 m"], ["3 mm", "4 m"], ("mm", "m")),
        (["Berlin", "2 GB", "Ulm"], ["Berlin", "2 GB", "Ulm"], ()),
    ],
)
def test_one_unit_is_taken_away_and_several_are_told(
    texts: list[str | None], numbers: list[str | None], units: tuple[str, ...]
) -> None:
    out, found = without_units(pd.Series(texts, dtype=object))
    assert [None if pd.isna(v) else v for v in out] == numbers and found == units


def test_a_column_with_one_unit_is_numbers_and_with_two_a_text_and_both_are_said() -> None:
    table = pd.DataFrame(
        {"流量": ["1.5 GB", "20 GB"], "usage": ["1 GB", "20 MB"], "plan": ["S", "M"], "code": ["007A", "008A"]}
    )
    out = read_numbers(table, (), ())
    assert out["流量"].tolist() == [1.5, 20] and out["usage"].tolist() == ["1 GB", "20 MB"]
    assert out["code"].tolist() == ["007A", "008A"]
    assert out.attrs["notes"] == [
        "流量: numbers in GB",
        "usage: numbers in GB, MB, which cannot be compared; taken as text",
    ]
