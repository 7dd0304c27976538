"""Numbers of dated attributes are read like any others, in parts as in one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import Settings
from features.ingest import prepared_tables
from features.sources import files
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
    with pytest.raises(DataError, match=r"'asientos', nothing .*'1.200': .* numbers: \{asientos: \{decimal"):
        with_dated_numbers({"attribute_changes": changes}, ["asientos"])


ROWS = (
    "change_id,customer_id,changed_at,attribute,value\n1,ann,2024-01-01,asientos,1.200\n2,ann,2024-02-01,plan,1.200\n"
)


def read_file(folder: Path, numbers: dict[str, Any], declared: Sequence[str] = ("asientos",), again: Any = None) -> Any:
    (folder / "c.csv").write_text(ROWS)
    (folder / "d.csv").write_text(ROWS.replace("\n1,", "\n3,").replace("\n2,", "\n4,"))
    entries = [{"path": str(folder / "c.csv"), "numbers": numbers}]
    if again is not None:
        entries.append({"path": str(folder / "d.csv"), "numbers": again})
    with files.opened({"attribute_changes": entries}, 1) as raw:
        found = with_dated_numbers(raw, declared)["attribute_changes"]
        return pd.concat(list(found.read()))["value"].tolist()


@pytest.mark.parametrize(
    ("written", "seats"),
    [({"decimal": ","}, "1200"), ({"decimal": "."}, "1.2"), ({"decimal": ",", "scale": 100}, "12")],
)
def test_the_mapping_says_how_the_numbers_of_an_attribute_are_written(
    tmp_path: Path, written: dict[str, Any], seats: str
) -> None:
    assert read_file(tmp_path, {"asientos": written}) == [seats, "1.200"]
    assert read_file(tmp_path, {"asientos": written}, again={"asientos": written}) == [seats, "1.200"] * 2


@pytest.mark.parametrize(
    ("numbers", "again", "said"),
    [
        ({"asiento": {"decimal": ","}}, None, r"'asiento' is none of columns.numbers \(did you mean 'asientos'"),
        ({"value": {"decimal": ","}}, None, "'value' is a column; name an attribute"),
        ({"asientos": {"times": "value"}}, None, "takes decimal and scale"),
        ({"asientos": {"decimal": ","}}, {}, "give the same `numbers` in each"),
    ],
)
def test_what_the_mapping_cannot_mean_is_refused(tmp_path: Path, numbers: Any, again: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_file(tmp_path, numbers, again=again)


def test_an_ingest_reads_them_before_anything_is_checked(settings: Settings) -> None:
    columns = settings.columns.model_copy(update={"numbers": ("asientos",)})
    business = settings.model_copy(update={"columns": columns})
    found = prepared_tables({"attribute_changes": CHANGES}, business, datetime(2024, 1, 1, tzinfo=UTC))
    assert found["attribute_changes"]["value"].tolist()[2] == "3.5"
