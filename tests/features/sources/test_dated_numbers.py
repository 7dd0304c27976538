"""Numbers of dated attributes are read like any others, in parts as in one."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Settings
from features.ingest import prepared_tables
from features.sources.dated_numbers import with_dated_numbers
from features.sources.staging import ChunkedTable

CHANGES = pd.DataFrame(
    {
        "attribute": ["asientos", "plan", "asientos", "asientos", None, "asientos", "asientos"],
        "value": ["1.200", "1.200", "3,5", None, "7", "12 €", "muchos"],
    }
)


@pytest.mark.parametrize("rows", [None, 1, 3])
def test_all_values_of_an_attribute_decide_what_its_separators_mean(rows: int | None) -> None:
    raw = CHANGES
    if rows:
        parts = [CHANGES.iloc[i : i + rows] for i in range(0, len(CHANGES), rows)]
        raw = ChunkedTable(len(CHANGES), lambda: iter(parts), {})
    found = with_dated_numbers({"attribute_changes": raw}, ["asientos"])["attribute_changes"]
    frame = found if rows is None else pd.concat(list(found.read()))
    assert frame["value"].tolist() == ["1200", "1.200", "3.5", None, "7", "12", "muchos"]
    assert found.attrs["notes"] == ["1 different values of 'asientos' are no number and count as unknown"]


def test_a_separator_that_may_be_either_is_asked_about() -> None:
    changes = CHANGES.iloc[:2].assign(attribute="asientos")
    with pytest.raises(DataError, match=r"'asientos', nothing says whether"):
        with_dated_numbers({"attribute_changes": changes}, ["asientos"])


def test_an_ingest_reads_them_before_anything_is_checked(settings: Settings) -> None:
    columns = settings.columns.model_copy(update={"numbers": ("asientos",)})
    business = settings.model_copy(update={"columns": columns})
    found = prepared_tables({"attribute_changes": CHANGES}, business, datetime(2024, 1, 1, tzinfo=UTC))
    assert found["attribute_changes"]["value"].tolist()[2] == "3.5"
