from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from configs.errors import DataError
from monitoring.report.fairness_page import fairness_report
from training.judge.fairness import churn_fairness, fairness_table, value_fairness

HOSTILE = "</script><script>alert(1)</script>"
Read = Callable[[Path], str]


def groups(**changed: object) -> pd.DataFrame:
    """Two groups of a sensitive column; the second is selected far less."""
    rows = {
        "attribute": ["age_group", "age_group", "age_group"],
        "group": ["18-29", HOSTILE, "75+"],
        "n": [1200, 900, 30],
        "judged": [True, True, False],
        "verdict": ["no difference shown", "lower than others", "too small to judge"],
        "selection_rate": [0.2, 0.1, 0.05],
        "selection_rate_low": [0.18, 0.08, 0.01],
        "selection_rate_high": [0.22, 0.12, 0.2],
        "recall": [np.nan, np.nan, np.nan],
        "recall_low": [np.nan, np.nan, np.nan],
        "recall_high": [np.nan, np.nan, np.nan],
        "waiting_days": [3.25, 4.0, np.nan],
        "waiting_days_low": [3.0, 3.5, np.nan],
        "waiting_days_high": [3.5, 4.5, np.nan],
        "compared_to": ["18-29", "18-29", "18-29"],
        "ratio": [1.0, 0.5, 0.25],
        "ratio_low": [1.0, 0.4, 0.05],
        "ratio_high": [1.0, 0.6, 1.0],
    }
    return pd.DataFrame(rows | changed)


@pytest.fixture(scope="module")
def fairness_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    about = {"Months": "June 2024"}
    return fairness_report(groups(), {}, tmp_path_factory.mktemp("fairness"), "Fairness", about)


def test_the_page_loads_nothing_and_runs_nothing(
    fairness_pages: dict[str, Path], outer: Read, loads_nothing: Callable[[str], bool]
) -> None:
    page = fairness_pages["html"].read_text("utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in page
    assert "<script" not in page
    assert "<iframe" not in page
    assert loads_nothing(page)


def test_text_of_the_data_cannot_become_part_of_the_page(fairness_pages: dict[str, Path]) -> None:
    page = fairness_pages["html"].read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_fairness_report_leaves_its_arguments_as_they_are(tmp_path: Path) -> None:
    table, summary = groups(), {"age_group": {"verdict": "lower than others"}}
    fairness_report(table, summary, tmp_path, "Fairness")
    assert_frame_equal(table, groups())
    assert summary == {"age_group": {"verdict": "lower than others"}}


def test_the_fairness_page_says_verdicts_values_intervals_and_sizes(
    fairness_pages: dict[str, Path], words: Read
) -> None:
    text = words(fairness_pages["html"])
    assert f"Some groups are lower than others: age_group ('{HOSTILE}')." in text
    assert f"'{HOSTILE}' is selected 0.50 times as often as '18-29' (95 % interval 0.40 – 0.60)" in text
    assert "Too small to judge: 75+." in text
    assert "Months June 2024" in text
    assert "18-29 no difference shown 1,200" in text
    assert "20.0% 18.0% – 22.0%" in text


def test_any_metric_with_an_interval_is_shown_and_one_that_is_never_known_is_left_out(
    fairness_pages: dict[str, Path], words: Read
) -> None:
    text, found = words(fairness_pages["html"]), json.loads(fairness_pages["json"].read_text("utf-8"))
    assert "Waiting days" in text
    assert "3.25 3 – 3.5" in text
    assert "Leavers reached" not in text
    assert list(found["measures"]) == ["selection_rate", "ratio", "waiting_days"]
    assert found["groups"][2]["waiting_days"] is None
    assert found["groups"][1]["group"] == HOSTILE


def test_every_metric_with_an_interval_is_drawn_once_a_column(fairness_pages: dict[str, Path]) -> None:
    page = fairness_pages["html"].read_text("utf-8")
    for name in ("Selected", "Ratio", "Waiting days"):
        assert page.count(f'aria-label="{name} by group"') == 1
    assert page.count("<svg") == 3
    assert "Hollow: too small to judge. Dashed line: four fifths." in page


def test_a_column_whose_groups_are_all_small_is_not_judged(tmp_path: Path, words: Read) -> None:
    small = groups(judged=False, verdict="too small to judge")
    pages = fairness_report(small, {"age_group": {"verdict": "too small to judge"}}, tmp_path, "Fairness")
    assert "All groups are too small to judge: age_group." in words(pages["html"])
    assert json.loads(pages["json"].read_text("utf-8"))["summary"] == {"age_group": {"verdict": "too small to judge"}}


def test_the_sensitive_column_may_stand_under_either_name(tmp_path: Path) -> None:
    pages = fairness_report(groups().rename(columns={"attribute": "column"}), {}, tmp_path, "Fairness", name="other")
    assert pages["json"].name == "other.json"
    assert json.loads(pages["json"].read_text("utf-8"))["groups"][0]["column"] == "age_group"


def test_without_sensitive_columns_the_page_says_so(tmp_path: Path, words: Read) -> None:
    table, summary = fairness_table(pd.DataFrame(), [], churn_fairness)
    pages = fairness_report(table, summary, tmp_path, "Fairness")
    assert "Nothing to audit: no sensitive column is declared." in words(pages["html"])


def test_a_table_without_verdicts_or_with_unknown_ones_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown verdicts \['unfair'\]"):
        fairness_report(groups(verdict="unfair"), {}, tmp_path, "Fairness")
    with pytest.raises(DataError, match="'verdict'"):
        fairness_report(groups().drop(columns="verdict"), {}, tmp_path, "Fairness")


def test_the_audits_of_training_can_be_shown_as_they_come(tmp_path: Path, words: Read) -> None:
    rows = np.arange(800)
    frame = pd.DataFrame(
        {
            "customer_id": rows.astype(str),
            "age": np.where(rows % 4 == 0, "old", "young"),
            "probability": (rows % 10) / 10,
            "churned": (rows % 10 > 6).astype(float),
            "selected": rows % 10 == 9,
            "clv": 100.0 + rows % 50,
            "expected": 110.0,
            "low": 90.0,
            "high": 140.0,
        }
    )
    churn = fairness_report(*fairness_table(frame, ["age"], churn_fairness), tmp_path, "Churn")
    value = fairness_report(
        *fairness_table(frame, ["age"], partial(value_fairness, draws=20)), tmp_path, "Value", name="v"
    )
    assert "Leavers reached" in words(churn["html"])
    assert "Within interval" in words(value["html"])
    assert "Mean forecast" in words(value["html"])
    assert json.loads(value["json"].read_text("utf-8"))["summary"]["age"]["groups"] == 2
