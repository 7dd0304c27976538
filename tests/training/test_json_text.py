"""What is printed or kept for programs is JSON to every reader."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.json_text import json_text
from training.judge.rolling_origin import RollingEvaluation


def refused(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), -np.float64("inf")])
def test_a_number_that_is_not_finite_is_null_at_every_depth(nothing: float) -> None:
    content = {"a": nothing, "b": [(1.0, nothing), {"c": nothing}], "d": "NaN", "e": True, "f": None}
    back = json.loads(json_text(content), parse_constant=refused)
    assert back == {"a": None, "b": [[1.0, None], {"c": None}], "d": "NaN", "e": True, "f": None}


def test_a_rolling_evaluation_of_customers_who_all_stayed_is_json() -> None:
    rows = pd.DataFrame({"customer_id": ["a", "b"], "as_of": pd.Timestamp("2024-01-01"), "label": 0.0})
    evaluation = RollingEvaluation(rows.assign(forecast=[0.2, 0.3], baseline=0.25), "churn", "recency rule", ())
    summary = evaluation.summary()
    assert np.isnan(summary["model"]["auc"])
    assert json.loads(json_text(summary), parse_constant=refused)["model"]["auc"] is None
