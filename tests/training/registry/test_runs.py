"""Runs in MLflow as a data scientist wants to find them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from configs.workspace import Workspace
from training.registry import runs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_a_run_lasts_as_long_as_the_training_and_its_experiment_opens_on_models(workspace: Workspace) -> None:
    runs.client(workspace).create_experiment("shop")
    started = datetime.now(UTC) - timedelta(minutes=3)
    with runs.open_run(workspace, "shop", "churn 2024-12 24 trials", started) as run:
        run.params({"seed": 7})
        run.metrics({"auc": 0.8, "unknown": float("nan")})
        run.document({"a": 1}, "facts.json")
    client = runs.client(workspace)
    recorded = client.get_run(run.run_id)
    assert recorded.info.run_name == "churn 2024-12 24 trials"
    assert recorded.info.end_time - recorded.info.start_time >= 180_000
    assert recorded.info.status == "FINISHED"
    assert recorded.data.tags["mlflow.user"] and recorded.data.tags["mlflow.source.name"]
    assert recorded.data.metrics == {"auc": 0.8}
    assert runs.documents(workspace, run.run_id)["facts"] == {"a": 1}
    assert client.get_experiment_by_name("shop").tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_run_whose_body_fails_ends_as_failed(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), runs.open_run(workspace, "shop", "churn", datetime.now(UTC)) as run:
        run.metrics({"share": 1 / 0})
    assert runs.client(workspace).get_run(run.run_id).info.status == "FAILED"


def test_the_data_set_of_a_run_says_columns_and_numbers_and_none_of_the_content(workspace: Workspace) -> None:
    as_of = pd.Timestamp("2024-01-01", tz="UTC")
    rows = pd.DataFrame({"customer_id": ["ann", "bob"], "as_of": as_of, "spend": [123.25, 7.5], "region": ["x", None]})
    with runs.open_run(workspace, "shop", "churn", datetime.now(UTC)) as run:
        run.data_set(rows, "0123456789abcdef", "state/features")
    (logged,) = runs.client(workspace).get_run(run.run_id).inputs.dataset_inputs
    assert logged.dataset.digest == "0123456789abcdef"
    assert json.loads(logged.dataset.profile) == {"num_rows": 2, "num_customers": 2, "as_ofs": ["2024-01-01"]}
    columns = {c["name"]: c["type"] for c in json.loads(logged.dataset.schema)["mlflow_colspec"]}
    assert (columns["spend"], columns["region"]) == ("double", "string")
    assert "ann" not in str(logged.to_dictionary()) and "123.25" not in str(logged.to_dictionary())


@pytest.mark.slow
def test_an_experiment_that_was_deleted_on_mlflows_page_comes_back_with_its_runs(workspace: Workspace) -> None:
    with runs.open_run(workspace, "shop", "first", datetime.now(UTC)) as first:
        first.params({"seed": 7})
    client = runs.client(workspace)
    for experiment in client.search_experiments():
        client.delete_experiment(experiment.experiment_id)
    with runs.open_run(workspace, "shop", "second", datetime.now(UTC)) as second:
        second.params({"seed": 8})
    assert (first.experiment_id, "active") == (
        second.experiment_id,
        client.get_experiment_by_name("shop").lifecycle_stage,
    )
    assert client.get_run(second.run_id).info.status == "FINISHED"
