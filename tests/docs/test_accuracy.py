"""The page of accuracy: its tables come from results, each with its command, and by no other hand."""

import json

import pytest

from docs import accuracy

KEYS = [
    "completejourney-churn", "completejourney-clv", "completejourney-clv-active", "online_retail-churn",
    "online_retail-clv", "online_retail-clv-active", "telco-churn", "cdnow-sample", "cdnow-master", "synthetic-churn",
    "businesses",
]  # fmt: skip
RESULT = {
    "command": "python bench/accuracy.py --sets telco",
    "day": "2026-01-02",
    "moments": ["2025-06-01", "2025-07-01"],
    "measures": ["AUC", "MAE"],
    "models": [
        {"model": "Staycast", "rows": 12345, "AUC": 0.86472, "MAE": 169.43, "coverage, all": 0.9091},
        {"model": "rule", "rows": 12345, "AUC": 0.5, "MAE": 200.0, "AUC, ours less": [0.01, -0.02]},
    ],
    "calibration": [{"ECE": 0.0131, "horizon_days": 30, "ECE of a perfect model": 0.005}],
}
PAGE = (
    "# Page\n\nBefore.\n\n<!-- a-churn -->\n\nold\n\n<!-- /a-churn -->\n\n<!-- a-clv -->\n\n<!-- /a-clv -->\n\nAfter.\n"
)


def test_a_result_stands_in_its_place_with_its_command_and_the_prose_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    accuracy.write_result(page, "a-churn", RESULT)
    text = page.read_text("utf-8")
    assert text.startswith(
        "# Page\n\nBefore.\n\n<!-- a-churn -->\n\n12,345 forecasts at 2 moments, 2025-06-01 to 2025-07-01"
    )
    assert "(`python bench/accuracy.py --sets telco`, 2026-01-02):" in text
    assert "| **Staycast** | .8647 | 169.4 |\n| rule | .5000 [+.0100 -.0200] | 200.0 |" in text
    assert "The intervals held: all .909." in text
    assert ".013 at 30 days (.005)" in text
    assert text.endswith("<!-- /a-churn -->\n\n<!-- a-clv -->\n\n<!-- /a-clv -->\n\nAfter.\n")
    assert accuracy.written(page) == text
    accuracy.write_result(page, "a-clv", RESULT)
    accuracy.write_result(page, "a-churn", RESULT)
    assert page.read_text("utf-8").count("12,345 forecasts") == 2
    assert json.loads((tmp_path / "results" / "a-clv.json").read_text("utf-8")) == RESULT


def test_a_summary_is_a_table_of_its_lines():
    result = {"command": "python bench/robust.py x", "day": "2026-01-02", "lines": [["models", "9"], ["  served", "8"]]}
    assert accuracy.section(result).endswith("| --- | --- |\n| models | 9 |\n| served | 8 |")


def test_a_result_without_a_place_is_refused_and_nothing_is_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    with pytest.raises(ValueError, match="has 0 places <!-- b -->"):
        accuracy.write_result(page, "b", RESULT)
    assert page.read_text("utf-8") == PAGE
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("key", KEYS)
def test_the_page_has_a_place_for_every_contest(key):
    assert "new table" in accuracy.replaced(accuracy.PAGE.read_text("utf-8"), key, "new table")


def test_the_tables_of_the_page_are_those_of_the_results():
    assert accuracy.written(accuracy.PAGE) == accuracy.PAGE.read_text("utf-8"), "run `make accuracy`"
