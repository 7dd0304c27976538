"""Figures: what they draw is what was given, in any process, the same each time."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from configs.errors import NotEnoughDataError
from training.judge import plots


def churn(n=300, seed=1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    return (rng.random(n) < p).astype(float), p


def value(n=600, seed=2):
    rng = np.random.default_rng(seed)
    expected = rng.lognormal(4, 1, n)
    actual = expected * rng.gamma(2, 0.5, n)
    actual[0] = -12.0
    return actual, expected, 0.1 * expected, 3 * expected


def effects(n=200):
    rng = np.random.default_rng(3)
    columns = {f"feature_{i}": rng.normal(size=n) for i in range(25)}
    columns |= {"plan": rng.choice(["a", "b"], n), "missing": np.full(n, np.nan)}
    frame = pd.DataFrame(columns)
    return rng.normal(size=(n, 27)) / np.arange(1, 28), frame


def contenders():
    names = ("churn_linear", "churn", "churn_linear+churn")
    facts = {"trees": 80, "standard_error": 0.01}
    return [{"name": n, "above_least": 0.1 - 0.05 * i, "chosen": i == 1, **facts} for i, n in enumerate(names)]


def campaign():
    share = np.linspace(0, 1, 201)
    names = ("expected", "realised", "low", "high", "probability", "random")
    curve = pd.DataFrame(
        {"share": share} | {name: 100 * share * (0.5 + 0.1 * i - share) for i, name in enumerate(names)}
    )
    facts = {"moments": 1.0, "customers": 1000.0, "contacted": 250.0, "share_contacted": 0.25}
    ends = {"expected_low": 1.0, "expected_high": 9.0, "realised_low": -2.0, "realised_high": 12.0}
    return curve, facts | {"expected_profit": 6.25, "realised_profit": 8.75} | ends


DRAW = {
    "calibration": lambda: plots.calibration(*churn()),
    "contest": lambda: plots.contest(contenders()),
    "gains": lambda: plots.gains(*churn(), baseline=churn()[1].round(1)),
    "decile_bars": lambda: plots.decile_bars(*value()[:2], "EUR"),
    "interval": lambda: plots.interval_plot(*value(), 0.9, "EUR"),
    "profit": lambda: plots.profit(*campaign(), "EUR"),
    "shap_summary": lambda: plots.shap_summary(*effects()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DRAW))
def test_figure_is_saved_as_a_picture_and_the_same_each_time(name, tmp_path):
    first = plots.save(DRAW[name](), tmp_path / "new" / f"{name}.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == plots.save(DRAW[name](), tmp_path / f"{name}.png").read_bytes()


def test_the_contest_marks_the_one_that_was_chosen_at_its_own_loss():
    axes = plots.contest(contenders()).axes[0]
    (mark,) = [line for line in axes.lines if line.get_label() == "Chosen"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([0.05], [1])
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.1, 0.05, 0.0])


def test_no_figure_is_left_to_pyplot_and_the_random_state_is_not_touched():
    before = np.random.get_state()[1].copy()
    assert all(isinstance(figure, Figure) for figure in (draw() for draw in DRAW.values()))
    assert (np.random.get_state()[1] == before).all()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_every_axis_is_labelled_and_amounts_carry_the_currency():
    for name, draw in DRAW.items():
        figure = draw()
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes), name
        assert figure.axes[0].get_title(loc="left"), name
    for name in ("decile_bars", "interval"):
        assert "EUR" in DRAW[name]().axes[0].get_ylabel()


def test_calibration_points_are_means_of_bins_and_the_histogram_counts_all():
    y, p = [0, 0, 1, 1], [0.1, 0.3, 0.5, 0.7]
    figure = plots.calibration(y, p, n_bins=2)
    points = figure.axes[0].containers[0].lines[0].get_xydata()
    assert points.tolist() == pytest.approx(np.array([[0.2, 0.0], [0.6, 1.0]]))
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 4


def test_gains_reach_every_leaver_and_tied_customers_share_theirs():
    line = plots.gains([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1]).axes[0].lines[0]
    assert line.get_xydata().tolist() == [[0, 0], [0.25, 0.5], [0.5, 0.75], [0.75, 1], [1, 1]]


def test_gains_name_the_model_and_the_baseline_with_their_auc():
    legend = plots.gains([1, 0, 1, 0], [0.9, 0.2, 0.8, 0.1], [1, 2, 3, 4], "Rule").axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()][:2] == ["Model (AUC 1.000)", "Rule (AUC 0.250)"]


def test_decile_bars_are_the_means_of_the_tenths():
    expected = np.arange(1.0, 21)
    bars = plots.decile_bars(2 * expected, expected, "EUR").axes[0].containers
    assert [bar.get_height() for bar in bars[0]] == pytest.approx([1.5 + 2 * i for i in range(10)])
    assert [bar.get_height() for bar in bars[1]] == pytest.approx([3.0 + 4 * i for i in range(10)])


def test_interval_figure_says_the_coverage_of_all_and_draws_at_most_400():
    y, expected, low, high = value()
    axes = plots.interval_plot(y, expected, low, high, 0.9, "EUR").axes[0]
    share = np.mean((low <= y) & (y <= high))
    assert f"{share:.1%} of actual values" in axes.texts[0].get_text()
    assert "400 of 600 customers drawn" in axes.texts[0].get_text()
    assert len(axes.lines[0].get_xdata()) == 400


def test_profit_figure_says_of_how_many_moments_it_is_the_mean():
    curve, facts = campaign()
    single, two = (plots.profit(curve, facts | {"moments": n}, "EUR").axes[0] for n in (1.0, 2.0))
    assert single.get_ylabel() == two.get_ylabel() == "Profit of one campaign (EUR)"
    assert (
        single.texts[0].get_text() == "Best list: 250 of 1,000 customers; expected 6.25 [1, 9], came 8.75 [-2, 12] EUR"
    )
    assert two.texts[0].get_text() == single.texts[0].get_text() + "; mean of 2 moments"


def test_shap_summary_draws_the_strongest_features_first_with_their_mean_size():
    values = pd.DataFrame({"weak": [1.0, 2.0], "strong_one": [3.0, 4.0]})
    figure = plots.shap_summary([[0.1, -2.0], [-0.1, 1.0]], values, top=2)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["Weak", "Strong one"]
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.1, 1.5])


def test_shap_dots_stand_at_their_effects_and_are_grey_without_a_number():
    values = pd.DataFrame({"plan": ["a", "b"], "spend": [1.0, np.nan]})
    swarm = plots.shap_summary([[0.5, 0.1], [-0.5, 0.2]], values).axes[0].collections
    assert swarm[1].get_offsets()[:, 0].tolist() == [0.5, -0.5]
    grey = plots.to_rgba(plots.MISSING)
    assert [tuple(color) == grey for color in swarm[1].get_facecolors()] == [True, True]
    assert [tuple(color) == grey for color in swarm[0].get_facecolors()] == [False, True]


@pytest.mark.slow
def test_unusual_inputs_are_drawn_without_a_warning(tmp_path):
    zeros = np.zeros(5)
    drawn = [
        plots.calibration([0, 0, 1], [0.0, 0.0, 0.0]),
        plots.calibration([1], [1.0]),
        plots.gains([1], [0.5]),
        plots.decile_bars(zeros, zeros, "EUR"),
        plots.decile_bars([-5.0, 1.0], [0.0, 2.0], "EUR"),
        plots.interval_plot(zeros, zeros, zeros, zeros, 0.9, "EUR"),
        plots.interval_plot([3.0], [2.0], [1.0], [4.0], 0.9, "EUR"),
        plots.shap_summary(np.zeros((3, 1)), pd.DataFrame({"one": [1.0, 1.0, 1.0]})),
    ]
    for i, figure in enumerate(drawn):
        plots.save(figure, tmp_path / f"{i}.png")


def test_nothing_to_draw_is_refused():
    for draw in (
        lambda: plots.calibration([np.nan], [0.5]),
        lambda: plots.gains([0, 0], [0.1, 0.2]),
        lambda: plots.decile_bars([], [], "EUR"),
        lambda: plots.interval_plot([], [], [], [], 0.9, "EUR"),
        lambda: plots.shap_summary(np.zeros((0, 2)), pd.DataFrame(columns=["a", "b"])),
    ):
        with pytest.raises(NotEnoughDataError, match="found none"):
            draw()
