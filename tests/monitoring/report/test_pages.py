import html
import json
import re
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from configs.errors import DataError
from configs.settings import load
from monitoring.report.pages import drift_report, fairness_report
from monitoring.watch.drift import drift_table
from training.judge.fairness import churn_fairness, fairness_table, value_fairness

RULE = load("test").monitoring
HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(autouse=True, scope="module")
def _no_network() -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise AssertionError("a report must not open a connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield


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


def outer(page: Path) -> str:
    """The page without the frame in it."""
    return re.sub(r"<iframe.*</iframe>", "", page.read_text("utf-8"), flags=re.DOTALL)


def inner(page: Path) -> str:
    """The document in the frame."""
    return html.unescape(re.findall(r'srcdoc="(.*?)"></iframe>', page.read_text("utf-8"), flags=re.DOTALL)[0])


def words(page: Path) -> str:
    """What a reader reads, in one line."""
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", outer(page), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<wbr>|<[^>]*>", lambda tag: "" if tag[0] == "<wbr>" else " ", body)).split())


def test_the_drift_page_says_what_drifted_and_by_which_rule(drift_pages: dict[str, Path]) -> None:
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


@pytest.mark.parametrize("pages", ["drift_pages", "fairness_pages"])
def test_a_page_loads_nothing_and_keeps_evidently_in_a_closed_frame(pages: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(pages)["html"]
    assert "default-src 'none'" in outer(page)
    assert 'sandbox="allow-scripts"' in page.read_text("utf-8")
    assert "drawDashboard" in inner(page)
    for document in (outer(page), inner(page).split("<script>var global")[0]):
        assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//|@import|url\(\s*["']?http""", document)


@pytest.mark.parametrize("pages", ["drift_pages", "fairness_pages"])
def test_text_of_the_data_cannot_become_part_of_a_page(pages: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(pages)["html"]
    assert "<script>alert" not in page.read_text("utf-8")
    assert "<script>alert" not in inner(page)
    assert "&lt;script&gt;alert(1)" in outer(page)


def test_title_and_notes_are_escaped(drift_pages: dict[str, Path]) -> None:
    assert "<title>Drift &amp; June</title>" in outer(drift_pages["html"])
    assert "rows of &lt;b&gt;May&lt;/b&gt;" in outer(drift_pages["html"])


def test_a_drift_report_leaves_its_arguments_as_they_are(tmp_path: Path) -> None:
    reference, current, table = REFERENCE.copy(deep=True), CURRENT.copy(deep=True), TABLE.copy(deep=True)
    drift_report(reference, current, table, tmp_path, "Drift")
    assert_frame_equal(reference, REFERENCE)
    assert_frame_equal(current, CURRENT)
    assert_frame_equal(table, TABLE)


def test_calm_and_unknown_windows_are_told_as_such(tmp_path: Path) -> None:
    columns = ["region", "mean_amount"]
    calm = drift_report(REFERENCE, REFERENCE, drift_table(REFERENCE, REFERENCE, columns, RULE), tmp_path / "calm", "x")
    assert "No change shown in 2 of 2 columns." in words(calm["html"])
    few = REFERENCE.head(20)
    unknown = drift_report(REFERENCE, few, drift_table(REFERENCE, few, columns, RULE), tmp_path / "few", "x")
    assert "Too few rows to tell whether anything has changed." in words(unknown["html"])
    nothing = drift_report(REFERENCE, few, drift_table(REFERENCE, few, [], RULE), tmp_path / "nothing", "x")
    assert "No column was compared." in words(nothing["html"])
    none = REFERENCE.head(0)
    empty = drift_report(REFERENCE, none, drift_table(REFERENCE, none, columns, RULE), tmp_path / "none", "x")
    assert "<iframe" not in empty["html"].read_text("utf-8")


def test_a_category_of_many_levels_and_booleans_can_be_drawn(tmp_path: Path) -> None:
    many = pd.DataFrame({"shop": [f"shop {i}" for i in range(400)], "flag": np.arange(400) % 2 == 0})
    pages = drift_report(many, many, drift_table(many, many, ["shop", "flag"], RULE), tmp_path, "Drift")
    assert "all other" in inner(pages["html"])


def test_the_fairness_page_says_verdicts_values_intervals_and_sizes(fairness_pages: dict[str, Path]) -> None:
    text = words(fairness_pages["html"])
    assert f"Some groups are lower than others: age_group ('{HOSTILE}')." in text
    assert f"'{HOSTILE}' is selected 0.50 times as often as '18-29' (95 % interval 0.40 – 0.60)" in text
    assert "Too small to judge: 75+." in text
    assert "Months June 2024" in text
    assert "18-29 no difference shown 1,200" in text
    assert "20.0% 18.0% – 22.0%" in text


def test_any_metric_with_an_interval_is_shown_and_one_that_is_never_known_is_left_out(
    fairness_pages: dict[str, Path],
) -> None:
    text, found = words(fairness_pages["html"]), json.loads(fairness_pages["json"].read_text("utf-8"))
    assert "Waiting days" in text
    assert "3.25 3 – 3.5" in text
    assert "Leavers reached" not in text
    assert list(found["measures"]) == ["selection_rate", "ratio", "waiting_days"]
    assert found["groups"][2]["waiting_days"] is None
    assert found["groups"][1]["group"] == HOSTILE


def test_a_group_too_small_is_drawn_hollow(fairness_pages: dict[str, Path]) -> None:
    """Two panels with three groups and one with two: the small group has no waiting days."""
    dots = re.findall(r'<circle [^>]*fill="(#\w+)"', outer(fairness_pages["html"]))
    assert (len(dots), dots.count("#fff")) == (8, 2)


def test_the_figure_keeps_all_it_draws_within_its_width(fairness_pages: dict[str, Path]) -> None:
    figure = re.findall(r'<svg viewBox="0 0 (\d+) .*?</svg>', outer(fairness_pages["html"]), flags=re.DOTALL)
    places = re.findall(r'(?:cx|x1|x2)="([\d.-]+)"', outer(fairness_pages["html"]))
    assert all(0 <= float(place) <= float(figure[0]) for place in places)


def test_a_column_whose_groups_are_all_small_is_not_judged(tmp_path: Path) -> None:
    small = groups(judged=False, verdict="too small to judge")
    pages = fairness_report(small, {"age_group": {"verdict": "too small to judge"}}, tmp_path, "Fairness")
    assert "All groups are too small to judge: age_group." in words(pages["html"])
    assert json.loads(pages["json"].read_text("utf-8"))["summary"] == {"age_group": {"verdict": "too small to judge"}}


def test_the_sensitive_column_may_stand_under_either_name(tmp_path: Path) -> None:
    pages = fairness_report(groups().rename(columns={"attribute": "column"}), {}, tmp_path, "Fairness", name="other")
    assert pages["json"].name == "other.json"
    assert json.loads(pages["json"].read_text("utf-8"))["groups"][0]["column"] == "age_group"


def test_without_sensitive_columns_the_page_says_so(tmp_path: Path) -> None:
    table, summary = fairness_table(pd.DataFrame(), [], churn_fairness)
    pages = fairness_report(table, summary, tmp_path, "Fairness")
    assert "Nothing to audit: no sensitive column is declared." in words(pages["html"])


def test_a_table_without_verdicts_or_with_unknown_ones_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown verdicts \['unfair'\]"):
        fairness_report(groups(verdict="unfair"), {}, tmp_path, "Fairness")
    with pytest.raises(DataError, match="'verdict'"):
        fairness_report(groups().drop(columns="verdict"), {}, tmp_path, "Fairness")


def test_the_audits_of_training_can_be_shown_as_they_come(tmp_path: Path) -> None:
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
