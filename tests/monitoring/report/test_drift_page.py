from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from configs.settings import load
from monitoring.report.drift_page import drift_report
from monitoring.watch.drift import drift_table

RULE = load("test").monitoring
HOSTILE = "</script><script>alert(1)</script>"
Read = Callable[[Path], str]


def frame(region: list[str], recency: float) -> pd.DataFrame:
    """400 rows; `region` repeated, days since the last order around `recency`, a steady amount, an empty column."""
    rows = np.arange(400)
    return pd.DataFrame(
        {
            "region": np.resize(region, 400),
            "days_since_last_order": recency + rows % 20,
            "mean_amount": 10.0 + rows % 7,
            "orders": pd.array([*range(399), None], dtype="Int64"),
            "never_told": np.nan,
        }
    )


REFERENCE, CURRENT = frame(["north", "south"], 10), frame(["north", HOSTILE], 40)
TABLE = drift_table(REFERENCE, CURRENT, REFERENCE.columns, RULE)


@pytest.fixture(scope="module")
def drift_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    about = {"Reference": "rows of <b>May</b>"}
    return drift_report(REFERENCE, CURRENT, TABLE, tmp_path_factory.mktemp("drift") / "new", "Drift & June", about)


def inner(page: Path) -> str:
    """The document in the frame."""
    return html.unescape(re.findall(r'srcdoc="(.*?)"></iframe>', page.read_text("utf-8"), flags=re.DOTALL)[0])


def test_the_drift_page_says_what_drifted_and_by_which_rule(drift_pages: dict[str, Path], words: Read) -> None:
    text = words(drift_pages["html"])
    assert "2 of 5 columns have drifted: days_since_last_order, region." in text
    assert "1 column has too few rows to tell: never_told." in text
    assert "effect is at least 0.2, its corrected p-value at most 0.01, and both samples hold at least 200 rows" in text
    assert "mean 19.5 → 49.5, median 19.5 → 49.5" in text
    assert text.count("no change shown") == 2


def test_the_drift_json_holds_every_row_of_the_table_with_null_for_unknown(drift_pages: dict[str, Path]) -> None:
    found = json.loads(drift_pages["json"].read_text("utf-8"))
    assert found["drifted"] == ["days_since_last_order", "region"]
    assert found["too_few"] == ["never_told"]
    assert found["rule"] == {"effect_at_least": 0.2, "p_at_most": 0.01, "rows_at_least": 200}
    assert found["rows"] == {"reference": 400, "current": 400}
    rows = {row["column"]: row for row in found["columns"]}
    assert set(rows) == set(REFERENCE)
    assert rows["never_told"]["effect"] is None
    assert rows["mean_amount"]["effect"] == 0


def test_evidently_gives_the_same_effects_and_count_of_drifted_columns(drift_pages: dict[str, Path]) -> None:
    metrics = json.loads(drift_pages["json"].read_text("utf-8"))["evidently"]["metrics"]
    values = {metric["config"].get("column"): metric["value"] for metric in metrics}
    effects = TABLE.set_index("column")["effect"].drop("never_told")
    assert values[None]["count"] == 2
    assert {column: values[column] for column in effects.index} == pytest.approx(effects.to_dict())


def test_the_page_runs_and_loads_nothing_and_links_evidentlys_own_in_a_closed_frame(
    drift_pages: dict[str, Path], outer: Read, loads_nothing: Callable[[str], bool]
) -> None:
    page, own = drift_pages["html"].read_text("utf-8"), drift_pages["evidently"]
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in page and "<script" not in page
    assert loads_nothing(page) and len(page) < 100_000
    assert f'<a href="{own.name}">' in page and own.parent == drift_pages["html"].parent
    assert "default-src 'none'" in outer(own) and 'sandbox="allow-scripts"' in own.read_text("utf-8")
    assert "drawDashboard" in inner(own)
    assert loads_nothing(outer(own))
    assert loads_nothing(inner(own).split("<script>var global")[0])


def test_each_column_that_has_values_is_drawn_beside_its_verdict(drift_pages: dict[str, Path]) -> None:
    page = drift_pages["html"].read_text("utf-8")
    assert page.count('<svg class="spread"') == len(TABLE) - 1  # one has none
    assert 'aria-label="Distribution from 10 to 59"' in page
    assert 'aria-label="Shares of the 3 most common values"' in page


def test_each_column_is_drawn_by_its_distribution_and_none_by_the_order_of_its_rows(
    drift_pages: dict[str, Path],
) -> None:
    drawn = inner(drift_pages["evidently"]).split("<script>var global")[0]
    assert drawn.count('"title": "DATA DISTRIBUTION"') == len(TABLE) - 1  # an empty column cannot be drawn
    assert "DATA DRIFT" not in drawn and "mean +/- std" not in drawn


def test_text_of_the_data_cannot_become_part_of_the_page(drift_pages: dict[str, Path], outer: Read) -> None:
    page, own = drift_pages["html"], drift_pages["evidently"]
    assert "<script>alert" not in page.read_text("utf-8") + own.read_text("utf-8")
    assert "<script>alert" not in inner(own)
    assert "&lt;script&gt;alert(1)" in outer(page)


def test_title_and_notes_are_escaped(drift_pages: dict[str, Path], outer: Read) -> None:
    assert "<title>Drift &amp; June</title>" in outer(drift_pages["html"])
    assert "rows of &lt;b&gt;May&lt;/b&gt;" in outer(drift_pages["html"])


def test_a_drift_report_leaves_its_arguments_as_they_are(tmp_path: Path) -> None:
    reference, current, table = REFERENCE.copy(deep=True), CURRENT.copy(deep=True), TABLE.copy(deep=True)
    drift_report(reference, current, table, tmp_path, "Drift")
    assert_frame_equal(reference, REFERENCE)
    assert_frame_equal(current, CURRENT)
    assert_frame_equal(table, TABLE)


def test_calm_and_unknown_windows_are_told_as_such(tmp_path: Path, words: Read) -> None:
    columns = ["region", "mean_amount"]
    calm = drift_report(REFERENCE, REFERENCE, drift_table(REFERENCE, REFERENCE, columns, RULE), tmp_path / "calm", "x")
    assert "No change shown in 2 of 2 columns." in words(calm["html"])
    few = REFERENCE.head(20)
    unknown = drift_report(REFERENCE, few, drift_table(REFERENCE, few, columns, RULE), tmp_path / "few", "x")
    assert "Too few rows to tell whether anything has changed." in words(unknown["html"])
    nothing = drift_report(REFERENCE, few, drift_table(REFERENCE, few, [], RULE), tmp_path / "nothing", "x")
    assert "No column was compared." in words(nothing["html"])
    none = REFERENCE.head(0)
    (tmp_path / "calm").rename(tmp_path / "none")
    empty = drift_report(REFERENCE, none, drift_table(REFERENCE, none, columns, RULE), tmp_path / "none", "x")
    assert set(empty) == {"html", "json"} and "evidently" not in empty["html"].read_text("utf-8")
    assert not (tmp_path / "none" / calm["evidently"].name).exists()  # that of before


def test_a_category_of_many_levels_and_booleans_can_be_drawn(tmp_path: Path) -> None:
    many = pd.DataFrame({"shop": [f"shop {i}" for i in range(400)], "flag": np.arange(400) % 2 == 0})
    pages = drift_report(many, many, drift_table(many, many, ["shop", "flag"], RULE), tmp_path, "Drift")
    assert "all other" in inner(pages["evidently"])
    assert "then of all others" in pages["html"].read_text("utf-8")
