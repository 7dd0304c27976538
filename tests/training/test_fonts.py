"""Names are drawn in whatever script they come, with the fonts of the machine, and no warning."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from training import fonts
from training.judge import plots

LATIN = frozenset(map(ord, "abcdefghijklmnopqrstuvwxyz "))


def test_the_first_font_that_holds_all_that_is_missing_is_taken() -> None:
    others = {"Half": {ord("城")}, "Song": {ord("城"), ord("市")}, "Later": {ord("城"), ord("市")}}
    assert fonts.drawable("城市 a", LATIN, others) == ("城市 a", "Song")
    assert fonts.drawable("a", LATIN, others) == ("a", None)


def test_what_no_font_holds_is_told_apart_by_its_code_points() -> None:
    assert fonts.drawable("城市 a", LATIN, {"Half": {ord("城")}}) == ("U+57CEU+5E02 a", None)


def test_a_font_beside_the_usual_one_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_others", lambda: {"Song": frozenset(map(ord, "城市"))})
    axes = Figure().subplots()
    fonts.label_ticks(axes.yaxis, [0, 1], ["城市", "plan"])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["城市", "plan"]
    assert ["Song" in tick.get_fontfamily() for tick in axes.get_yticklabels()] == [True, False]


def test_a_picture_of_columns_in_chinese_is_saved_without_a_warning(tmp_path) -> None:
    values = pd.DataFrame({"城市": [1.0, 2.0], "Letzte Spende vor Tagen": [2.0, 1.0], "spend_90d": [1.0, 1.0]})
    figure = plots.shap_summary([[0.3, 0.2, 0.1], [-0.3, -0.2, -0.1]], values)
    plots.save(figure, tmp_path / "effects.png")
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["Spend 90d", "Letzte Spende vor Tagen"] and names[2] in ("城市", "U+57CEU+5E02")
