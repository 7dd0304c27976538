"""The draws that the gates are measured on are what they say: level, and 2 % worse."""

from __future__ import annotations

import numpy as np
import pytest

from bench import gates
from configs.settings import load
from training.metrics import log_losses


@pytest.mark.slow
@pytest.mark.parametrize("rate", gates.RATES)
@pytest.mark.parametrize("kind", gates.KINDS)
def test_a_worse_churn_model_is_two_per_cent_worse_on_the_whole(rate: float, kind: str) -> None:
    rows = next(gates.churn_rows(np.random.default_rng(1), 20_000, rate, kind))
    p, forecast = rows["baseline"].to_numpy(), rows["forecast"].to_numpy()
    assert p.mean() == pytest.approx(rate, rel=0.05)
    expected = [
        float(np.mean(p * log_losses(np.ones(1), q) + (1 - p) * log_losses(np.zeros(1), q))) for q in (forecast, p)
    ]
    assert expected[0] / expected[1] == pytest.approx(1.02, abs=0.001)


def test_a_perfect_model_passes_and_a_far_worse_one_does_not() -> None:
    settings = load("completejourney")
    for task in ("churn", "clv"):
        assert gates.measure(task, 400, 0.6 if task == "clv" else 0.2, "perfect", 10, settings).refused == 0.0
    assert gates.measure("clv", 5000, 0.6, "blurred", 5, settings).refused > 0.5
