"""No figure stops a training: what cannot be drawn is left out, and the reason is told."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from configs.settings import load
from training.judge import plots
from training.judge.examination import HEADLINE, measure_rows
from training.judge.interval_coverage import coverage_of
from training.judge.profit import backtest
from training.margins import margin
from training.registry.figures import draw

OUTCOMES = {
    "nobody left": np.zeros(40),
    "all left": np.ones(40),
    "one stayed": np.zeros(1),
    "one left": np.ones(1),
    "nobody": np.zeros(0),
}
COSTS = {"contact_cost": 1, "offer_cost": 10, "value_per_customer": 100, "margin": None, "leaver_value_share": 0.25}
PLANNED = load("default").decisions.campaign.model_copy(update={**COSTS, "success_rate": 0.3})
each_outcome = pytest.mark.parametrize("y", OUTCOMES.values(), ids=OUTCOMES)


def held_out(y: np.ndarray) -> pd.DataFrame:
    p = np.linspace(0.1, 0.4, len(y))
    ids = [f"c{i}" for i in range(len(y))]
    rows = pd.DataFrame({"customer_id": ids, "as_of": pd.Timestamp("2026-05-01"), "label": y, "forecast": p})
    return rows.assign(baseline=p[::-1], low=0.0, high=p + 1, value=100.0, q10=0.0, q50=p, q90=1.0)


def test_a_figure_that_cannot_be_drawn_is_told_and_the_others_are_drawn() -> None:
    y, p = np.zeros(40), np.linspace(0.1, 0.4, 40)
    drawn = []
    left_out = draw(
        {"gains.png": partial(plots.gains, y, p), "calibration.png": partial(plots.calibration, y, p)},
        lambda figure, path: drawn.append(path),
    )
    assert left_out == {"gains.png": "gains figure: needs at least one customer who left, found none"}
    assert drawn == ["calibration.png"]


def test_a_disk_that_is_full_is_no_fault_of_a_figure() -> None:
    def full(figure: object, path: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        draw({"calibration.png": partial(plots.calibration, np.zeros(9), np.linspace(0, 1, 9))}, full)


@pytest.mark.slow
@pytest.mark.parametrize("came", ["nobody left", "one left", "nobody"])
def test_whatever_came_every_figure_is_drawn_or_left_out_with_a_reason(came) -> None:
    rows = held_out(y := OUTCOMES[came])
    p, low, high = (rows[name].to_numpy() for name in ("forecast", "low", "high"))
    figures = {
        "calibration.png": partial(plots.calibration, y, p),
        "gains.png": partial(plots.gains, y, p, p[::-1]),
        "decile_bars.png": partial(plots.decile_bars, y, p, "EUR"),
        "interval.png": partial(plots.interval_plot, y, p, low, high, 0.9, "EUR"),
        "shap_summary.png": partial(plots.shap_summary, np.zeros((len(y), 2)), rows[["forecast", "low"]]),
        "search.png": partial(plots.search_history, [0], [0.5]),
        "importance.png": partial(plots.param_importance, {}),
    }

    def profit():
        told = backtest(rows, PLANNED, "value_per_customer", 1)
        return plots.profit(told.curve, told.facts, "EUR")

    drawn = []
    left_out = draw(figures | {"profit.png": profit}, lambda figure, path: drawn.append((path, figure.canvas.draw())))
    assert all(left_out.values())
    expected = {*figures, "profit.png"} - {"search.png", "importance.png"} if not len(y) else set()
    assert set(left_out) == (expected or ({"gains.png"} if not y.any() else set()))
    assert {path for path, _ in drawn} == {*figures, "profit.png"} - set(left_out)


@each_outcome
def test_whatever_came_metrics_and_margins_are_numbers_or_not_defined(y) -> None:
    rows = held_out(y)
    for task, headline in HEADLINE.items():
        assert all(isinstance(v, int | float) for v in measure_rows(rows, task).values())
        for name in headline:
            low, high = margin(name, y, rows["forecast"], rows["customer_id"], rows["baseline"]).interval(0.95)
            assert np.isnan(low) or low <= high
    assert coverage_of(rows, 0.9).rows == len(y)
