"""Small pictures of a column in two samples."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from monitoring.report.distribution import BINS, HEIGHT, LEVELS, WIDTH, distribution_figure


def heights(svg: str, name: str) -> list[float]:
    """How high each step of a line stands, as a share of the picture."""
    path = re.findall(f'class="{name}" d="([^"]*)"', svg)[0]
    steps = re.findall(r"V([\d.]+) H", path)
    return [1 - float(y) / (HEIGHT - 1) for y in steps]


def test_the_areas_of_both_samples_are_their_shares_whatever_their_numbers_of_rows() -> None:
    few, many = pd.Series(np.repeat([0.0, 10.0], [30, 10])), pd.Series(np.repeat([0.0, 10.0], [100, 300]))
    svg = str(distribution_figure(few, many, True))
    was, now = heights(svg, "was"), heights(svg, "now")
    assert len(was) == len(now) == BINS
    assert was[0] == pytest.approx(3 * was[-1], abs=0.02) and now[-1] == pytest.approx(3 * now[0], abs=0.02)
    assert max(was + now) == 1.0 and sum(was) == pytest.approx(sum(now), abs=0.02)
    assert svg.count(f"H{WIDTH}") == 2  # both reach the right edge


def test_what_lies_far_out_stands_in_the_last_bin_and_does_not_hide_the_others() -> None:
    usual = np.tile(np.arange(100.0), 10)
    svg = str(distribution_figure(pd.Series(usual), pd.Series([*usual, 1e12, np.inf, np.nan]), True))
    assert "from 0 to 99" in svg and min(heights(svg, "was")) > 0.5


def test_one_value_alone_and_a_sample_without_any_are_drawn_or_not() -> None:
    alone = pd.Series([5.0, 5.0])
    assert max(heights(str(distribution_figure(alone, alone, True)), "was")) == 1.0
    assert distribution_figure(alone, pd.Series([np.nan]), True) is None
    assert distribution_figure(pd.Series([], dtype=object), pd.Series(["a"]), False) is None


@pytest.mark.parametrize(
    "values", [[-1.7e308, 1.7e308], [1e20, 1e20], [1.0, np.nextafter(1.0, 2.0)], [5e-324, 0.0], [0.0]]
)
def test_numbers_of_any_size_are_drawn(values: list[float]) -> None:
    some = pd.Series(values)
    assert max(heights(str(distribution_figure(some, some, True)), "was")) == 1.0


def test_levels_stand_by_their_share_the_rest_together_and_a_missing_one_is_a_level() -> None:
    was = pd.Series([None] * 40 + ["<b>"] * 30 + [f"rare {n}" for n in range(30)])
    svg = str(distribution_figure(was, was, False))
    drawn = heights(svg, "was")
    assert len(drawn) == LEVELS + 1 and "<b>" not in svg
    assert drawn[:2] == pytest.approx([1.0, 0.75], abs=0.02) and drawn[-1] == pytest.approx(24 / 40, abs=0.02)
    assert heights(svg, "now") == drawn


def test_whole_numbers_that_may_be_missing_and_booleans_are_drawn() -> None:
    whole = pd.Series([1, None, 3], dtype="Int64")
    assert "from 1 to 3" in str(distribution_figure(whole, whole, True))
    assert distribution_figure(pd.Series([True, False]), pd.Series([True]), False) is not None
