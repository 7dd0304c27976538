from __future__ import annotations

import re

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal

from monitoring.report.figure import interval_figure

GROUPS = pd.DataFrame(
    {
        "group": ["18-29", "<script>alert($1$)", "75+"],
        "judged": [True, True, False],
        "verdict": ["no difference shown", "lower than others", "too small to judge"],
        "ratio": [1.0, 0.5, 0.25],
        "ratio_low": [1.0, 0.4, 0.05],
        "ratio_high": [1.0, 0.6, 1.0],
        "waiting_days": [3.25, 4.0, np.nan],
        "waiting_days_low": [3.0, np.nan, np.nan],
        "waiting_days_high": [3.5, np.nan, np.nan],
    },
    index=[7, 8, 9],
)


def dots(svg: str) -> list[tuple[str, str]]:
    """Fill and edge of every dot."""
    return re.findall(r'<use [^>]*style="fill: (#\w+); stroke: (#\w+)', svg)


def test_a_group_has_the_colour_of_its_verdict_and_one_too_small_is_hollow() -> None:
    svg = interval_figure(GROUPS, "ratio")
    assert dots(svg) == [("#23539f", "#23539f"), ("#a8231b", "#a8231b"), ("#ffffff", "#8c97a5")]


def test_a_group_without_a_value_is_named_and_not_drawn() -> None:
    svg = interval_figure(GROUPS, "waiting_days")
    assert len(dots(svg)) == 2
    assert ">75+</text>" in svg


def test_the_ratio_has_a_dashed_line_at_four_fifths_and_others_none() -> None:
    assert interval_figure(GROUPS, "ratio").count("stroke-dasharray") == 1
    assert interval_figure(GROUPS, "waiting_days").count("stroke-dasharray") == 0


def test_the_figure_keeps_all_it_draws_within_its_size() -> None:
    svg = interval_figure(GROUPS, "ratio")
    ((width, height),) = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    places = re.findall(r'<use [^>]*x="(-?[\d.]+)" y="(-?[\d.]+)"', svg)
    assert len(places) >= 3
    assert all(0 <= float(x) <= float(width) and 0 <= float(y) <= float(height) for x, y in places)


def test_names_are_written_as_they_are_and_escaped() -> None:
    svg = interval_figure(GROUPS, "ratio")
    assert "&lt;script&gt;alert($1$)" in svg
    assert "<script" not in svg


def test_the_same_groups_give_the_same_figure_and_stay_as_they_are() -> None:
    before = GROUPS.copy(deep=True)
    assert interval_figure(GROUPS, "ratio") == interval_figure(GROUPS, "ratio")
    assert_frame_equal(GROUPS, before)


def test_groups_in_chinese_stand_in_the_picture_as_text_without_a_warning() -> None:
    assert ">北京</text>" in interval_figure(GROUPS.assign(group=["北京", "上海", "x"]), "ratio")
