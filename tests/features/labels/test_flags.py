"""Yes or no, in the ways exports write it."""

from __future__ import annotations

import pandas as pd
import pytest

from features.labels.flags import read_flags


@pytest.mark.parametrize(
    "yes", ["Yes", "Yes.", "True.", "1", "1.0", "1.00", "1,0", " TRUE ", "ja", "Oui", "sí", "是", "да"]
)
@pytest.mark.parametrize("no", ["No", "False.", "0.0", "0", "n", "Nein", "NON", "否"])
def test_yes_and_no_are_flags_in_any_writing(yes: str, no: str) -> None:
    assert read_flags(pd.Series([yes, no])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "other", ["maybe", "2", "-1", "0.5", "10", "100", "", ".", "1.5", "yes and no", "Attrited Customer"]
)
def test_anything_else_is_none(other: str) -> None:
    assert read_flags(pd.Series([other, "yes"])).isna().tolist() == [True, False]
