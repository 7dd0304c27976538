"""The loss that the search minimises is the one of the literature, for all rows and for each block of customers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_tweedie_deviance

from training.fit.search import VALUE_POWER, FoldData, _block_losses, loss

SEEDS = st.integers(0, 10_000)


def sample(task: str, seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, forecasts (the surest among them) and weights."""
    rng = np.random.default_rng(seed)
    if task == "churn":
        return rng.integers(0, 2, n).astype(float), rng.random(n).round(1), rng.random(n)
    return rng.gamma(1, 50, n) * rng.integers(-1, 2, n), rng.gamma(1, 50, n) * rng.integers(0, 2, n), rng.random(n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["churn", "clv"])
@given(seed=SEEDS)
def test_the_loss_is_that_of_sklearn(task: str, weighted: bool, seed: int) -> None:
    y, forecast, weight = sample(task, seed)
    weight = weight if weighted else None
    if task == "churn":
        want = log_loss(y, forecast, labels=[0, 1], sample_weight=weight)
    else:
        want = mean_tweedie_deviance(
            np.maximum(y, 0), np.maximum(forecast, 1e-6), power=VALUE_POWER, sample_weight=weight
        )
    assert loss(task, y, forecast, weight) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("task", ["churn", "clv"])
@given(seed=SEEDS)
def test_the_losses_of_blocks_are_those_of_their_rows_alone_over_all_folds(task: str, seed: int) -> None:
    parts = [sample(task, seed + k) for k in range(2)]
    blocks = [np.random.default_rng(seed + k).choice([3, 5, 8], 60) for k in range(2)]
    folds = [
        FoldData(None, SimpleNamespace(y=y, weight=weight), None, block)
        for (y, _, weight), block in zip(parts, blocks, strict=True)
    ]
    y, forecast, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    block = np.concatenate(blocks)
    want = [loss(task, y[block == b], forecast[block == b], weight[block == b]) for b in np.unique(block)]
    assert _block_losses(task, folds, [part[1] for part in parts]) == pytest.approx(want, rel=1e-12)
