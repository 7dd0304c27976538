"""What the fits of the probabilistic models share: priors on the loss, and the best of several searches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from training.priors.posterior import lowest, penalised, row_weights


def test_the_slope_of_a_penalised_loss_is_its_derivative() -> None:
    result = penalised(lambda at: (float(np.sum(at**4)), 4 * at**3), np.array([1.0, -2.0]), np.array([0.5, np.inf]))
    at = np.array([0.3, 0.7])
    assert result(at)[1] == pytest.approx(approx_fprime(at, lambda x: result(x)[0]), rel=1e-5)
    assert result(at)[0] == pytest.approx(0.3**4 + 0.7**4 + 0.5 * (0.7 / 0.5) ** 2)


def test_searches_agree_that_end_as_low_wherever_they_end() -> None:
    ends = [(np.array([1.0]), -2e8), (np.array([2.0]), -2e8 - 5.0), (np.array([3.0]), -1e8)]
    place, agreeing = lowest(ends)
    assert (place.tolist(), agreeing) == ([2.0], 2)


def test_a_row_stands_for_one_customer_unless_told() -> None:
    assert row_weights(None, 3).tolist() == [1.0, 1.0, 1.0]
    assert row_weights([2, 0], 2).tolist() == [2.0, 0.0]
