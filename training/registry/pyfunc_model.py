"""The model as MLflow runs it: a script that MLflow stores as text, so that no pickle is ever needed.

``mlflow.pyfunc.load_model("models:/churn@champion").predict(rows)`` answers what is served: the calibrated
probability, or the expected value with its interval and quantiles. Staycast's own packages must be importable: from
elsewhere than its checkout, put that on ``PYTHONPATH``.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel

from training.model.bundle import load


class StaycastModel(PythonModel):
    """Feature rows in, forecasts out."""

    def load_context(self, context: Any) -> None:
        """Read the bundle and check its files."""
        self.bundle = load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecast. One row per row in: ``probability``, or ``expected, low, high, q10, q50, q90``."""
        matrix = self.bundle.encode(model_input)
        predicted = self.bundle.predict(matrix)
        if self.bundle.interval is None:
            return pd.DataFrame({"probability": predicted})
        low, high = self.bundle.bounds(predicted, matrix)
        quantiles = {f"q{percent}": at for percent, at in self.bundle.value_quantiles(predicted, matrix).items()}
        return pd.DataFrame({"expected": predicted, "low": low, "high": high, **quantiles})


mlflow.models.set_model(StaycastModel())
