"""One bad value does not change what a column of a ready export is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import merged_with_default
from configs.workspace import Workspace
from features.ingest import ingest
from features.labels.profile_numbers import read_numbers


def export(tmp_path: Path, charges: list[str], **options: Any) -> dict[str, Any]:
    lines = [f"p{n},{'Yes' if n % 3 else 'No'},{c},{'ab'[n % 2]}" for n, c in enumerate(charges)]
    (tmp_path / "p.csv").write_text("\n".join(["customer_id,label,charges,plan", *lines]) + "\n", "utf-8")
    profiles = {"path": str(tmp_path / "p.csv"), **options}
    return {"name": "p", "source": {"loader": "files", "options": {"profiles": profiles}}, "churn": {"kind": "label"}}


def ingested(content: dict[str, Any], workspace: Workspace) -> tuple[pd.DataFrame, list[str]]:
    report = ingest(merged_with_default(content, "p"), workspace)
    return pd.read_parquet(workspace.tables / "profiles.parquet"), report["reading"]  # type: ignore[return-value]


CHARGES = [f"{20 + n / 7:.2f}" for n in range(300)]


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["N/A", "-", "null", "#N/V", "unknown", "see note"])
def test_a_column_of_numbers_stays_one_with_one_bad_value_and_the_report_says_so(
    tmp_path: Path, workspace: Workspace, bad: str
) -> None:
    profiles, reading = ingested(export(tmp_path, [bad, *CHARGES]), workspace)
    assert profiles["charges"].dtype == "float64" and profiles["charges"].isna().sum() == 1
    what = "other values" if bad == "see note" else "placeholders (as N/A)"
    assert f"profiles: charges: numbers; 1 {what} are left empty" in reading
    assert profiles["plan"].unique().tolist() == ["a", "b"]


def test_currencies_and_separators_are_cleaned_in_a_ready_export_too(tmp_path: Path, workspace: Workspace) -> None:
    profiles, _ = ingested(export(tmp_path, ['"1.234,50 €"', '"12,00 €"', '"80,10 €"']), workspace)
    assert profiles["charges"].tolist() == [1234.5, 12, 80.1]


def test_a_separator_in_doubt_is_asked_about_and_the_mapping_answers(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(
        DataError, match=r"profiles: charges: '1.234' may have a decimal sign .* source.options.profiles"
    ):
        ingested(export(tmp_path, ["1.234", "80", "see note"] + ["7"] * 30), workspace)
    told = export(tmp_path, ["1.234", "80", "see note"] + ["7"] * 30, numbers={"charges": {"decimal": ","}})
    assert ingested(told, workspace)[0]["charges"].tolist()[:2] == [1234, 80]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("salary", "other", "read", "contrary"),
    [
        ("$119,002", "41,026.75", 119_002, "3,75"),
        ("119.002 €", "41.026,75", 119_002, "3.75"),
        ("119,002", "41026,75", 119.002, "3.75"),
    ],
)
def test_a_separator_in_doubt_is_decided_by_the_other_columns_of_the_file(
    salary: str, other: str, read: float, contrary: str
) -> None:
    table = pd.DataFrame({"salary": [salary, "7"], "balance": [other, "3"]})
    out = read_numbers(table, (), ())
    assert out["salary"].tolist() == [read, 7] and "as other columns of the file are" in out.attrs["notes"][0]
    with pytest.raises(DataError, match=f"salary: '{salary.strip('$ €')}' may have"):
        read_numbers(table.assign(tax=[contrary, "2"]), (), ())


def test_numbers_that_cannot_be_computed_with_are_left_empty_and_counted() -> None:
    table = pd.DataFrame({"a": [1.0, np.inf, 1e155, -2.0], "b": ["1", "1e155", "3", "4"]})
    out = read_numbers(table, (), ())
    assert out["a"].isna().tolist() == [False, True, True, False]
    assert out["b"].isna().tolist() == [False, True, False, False]
    assert out.attrs["notes"] == [
        "a: 2 numbers that cannot be computed with are left empty",
        "b: numbers; 1 numbers that cannot be computed with are left empty",
    ]
    assert np.isinf(table["a"]).sum() == 1


def test_a_column_that_is_partly_numbers_or_in_two_currencies_stays_text_and_is_named() -> None:
    table = pd.DataFrame({"a": ["1", "2", "x"], "b": ["€1", "$2", "$3"], "zip": ["01067", "80331", "20095"]})
    out = read_numbers(table, (), ())
    assert out.drop(columns="zip").dtypes.tolist() == [object, object] and out["zip"].tolist() == table["zip"].tolist()
    assert out.attrs["notes"] == [
        "a: 2 of 3 values are numbers; taken as text for the others",
        "b: amounts in $, EUR, which cannot be compared; taken as text",
    ]


def test_bounds_and_ranges_are_said_with_the_key_that_makes_them_numbers(tmp_path: Path, workspace: Workspace) -> None:
    terms = ["< 1 an", "1 an", "2 ans", "5-10 ans", "3 ans"] * 8
    profiles, reading = ingested(export(tmp_path, terms), workspace)
    assert profiles["charges"].tolist()[:2] == ["< 1 an", "1 an"]
    (said,) = [note for note in reading if "bounds" in note]
    assert said.startswith(
        "profiles: charges: bounds or ranges ('< 1 an', '5-10 ans') among the numbers; each value is"
    )
    assert said.endswith('values: {charges: {"< 1 an": ...}} under source.options.profiles')
    told = export(tmp_path, terms, values={"charges": {"< 1 an": 0.5, "5-10 ans": "7"}})
    assert ingested(told, workspace)[0]["charges"].tolist()[:5] == [0.5, 1, 2, 7, 3]
