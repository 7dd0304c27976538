"""What is told of a release is what the contract says, whatever it showed."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
import pytest
from pydantic import ValidationError

from serving.api.schema.releases import ReleaseStatus
from serving.release.comparison import compare
from training.model.proof.releases import Release, to_dict

NOON = datetime.fromisoformat("2024-03-01T12:00:00.123456+00:00")
COLUMNS = ("prediction_id", "customer_id", "scored_at", "probability", "expected", "churn_model", "clv_model")


@pytest.mark.parametrize("kind", ["canary", "shadow"])
def test_a_release_of_which_nothing_is_known_yet_can_be_told(kind: str) -> None:
    release = Release("0123456789abcdef", "clv", "4", kind, 0.5, "3", "", NOON, NOON, NOON, "ada", "r", NOON, "stop")  # type: ignore[arg-type]
    nobody = pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    shadow = pd.DataFrame({name: pd.Series(dtype=object) for name in ("prediction_id", "champion", "shadow")})
    outcomes = pd.DataFrame({name: pd.Series(dtype=object) for name in ("customer_id", "outcome", "happened_at")})
    told = {**to_dict(release), "of_newest": None, "notice": "", **compare(release, nobody, {}, shadow, outcomes)}
    ReleaseStatus.model_validate_json(json.dumps(told))
    with pytest.raises(ValidationError):
        ReleaseStatus.model_validate_json(json.dumps({**told, "kind": "beta"}))
