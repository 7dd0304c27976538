"""A lapsed customer's answer tells the chance of an order; nobody else's does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions, LoadedModel
from serving.answer.reactivation import reactivations
from serving.answer.score import score
from serving.api.schema.answers import Answer
from tests.serving.bulk.scored import score_all
from training.model.bundle import HorizonModel, Score
from training.model.calibration import Affine
from training.priors.expectation import COLUMNS, fit_expectation


@pytest.fixture
def rows(customers: pd.DataFrame) -> pd.DataFrame:
    """Half of them lapsed."""
    known = customers.head(40).assign(orders_total=3.0, tenure_days=700.0)
    silent = np.where(np.arange(40) % 2 == 0, np.linspace(100, 600, 40), 5.0)
    return known.assign(days_since_last_order=silent)


@pytest.fixture
def returning(champions: Champions, rows: pd.DataFrame) -> Champions:
    x = rows[list(COLUMNS)].to_numpy(np.float64)
    models = []
    for days in (30, 90):
        prior = fit_expectation(x, (0, 1, 2, 3), "churn", days)
        models.append(HorizonModel(days, Score(f"return_{days}_days", None, Affine(-1.0, 0.0), prior)))
    facts = {"rows": 1200, "moments": 4, "share_returned": {"30": 0.1}}
    bundle = replace(champions.churn.bundle, returns=tuple(models), info={"reactivation": facts})
    return Champions(LoadedModel(bundle, champions.churn.version, champions.churn.base), champions.clv)


def test_only_the_lapsed_are_told_a_chance_of_return(
    returning: Champions, rows: pd.DataFrame, settings: Settings, now: datetime
) -> None:
    answers = score(rows, returning, settings, now, 2)
    for answer in answers:
        Answer.model_validate(answer)
        assert (answer["reactivation"] is not None) == (answer["stage"] == "lapsed") == (answer["churn"] is None)
    chances = [a["reactivation"] for a in answers if a["reactivation"]]
    assert len(chances) == 20
    assert all(c["probability"] == c["by_horizon"]["30"] <= c["by_horizon"]["90"] for c in chances)
    assert [c["probability"] for c in chances] == sorted((c["probability"] for c in chances), reverse=True)
    assert "1,200 lapsed customers at 4 moments" in chances[0]["basis"]


def test_one_by_one_and_in_bulk_are_the_same(
    returning: Champions, rows: pd.DataFrame, settings: Settings, now: datetime, workspace: Workspace
) -> None:
    together = [a["reactivation"] for a in score(rows, returning, settings, now, 1)]
    alone = [score(rows.iloc[[i]], returning, settings, now, 1)[0]["reactivation"] for i in range(4)]
    assert alone == together[:4]
    folder = score_all(rows, returning, settings, workspace, now, chunk_rows=7)["folder"]
    table = pd.read_parquet(f"{folder}/scores.parquet").set_index("customer_id").loc[rows["customer_id"]]
    assert table["reactivation"].dropna().tolist() == [c["probability"] for c in together if c]


def test_a_model_that_holds_none_tells_none(champions: Champions, rows: pd.DataFrame) -> None:
    assert reactivations(champions.churn.bundle, rows, ["lapsed"] * len(rows)) == [None] * len(rows)


def test_without_known_outcomes_the_basis_says_so(returning: Champions, rows: pd.DataFrame) -> None:
    bundle = replace(returning.churn.bundle, info={})
    (first, *_) = reactivations(bundle, rows, ["lapsed"] * len(rows))
    assert first is not None and "no outcome of lapsed customers is known" in first["basis"]


def test_without_a_churn_model_no_return_is_told() -> None:
    assert reactivations(None, pd.DataFrame({"tenure_days": [9.0]}), ["lapsed"]) == [None]
