"""Contacts and outcomes over HTTP, through the real app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.store.online_rows import OnlineFeatures
from serving.api.app import create_app
from serving.api.intake import EventIntake
from serving.api.schema.campaigns import AcceptedContacts, AcceptedOutcomes
from serving.records.outcome_log import OutcomeLog
from serving.records.prediction_log import PredictionLog

NOW = datetime(2024, 9, 5, 12, 0, 0, 250_000, tzinfo=UTC)
CONTACT = {"contact_id": "m-1", "contacted_at": "2024-09-05T09:00:00Z", "campaign": "autumn", "arm": "treated"}
OUTCOME = {"outcome_id": "r-1", "customer_id": "c1", "outcome": "accepted", "happened_at": "2024-03-01T01:00:00+01:00"}


@pytest.fixture
def client(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime, workspace: Workspace, calling: Any
) -> Any:
    return calling(create_app(models, reader, log, settings, clock=lambda: now, workspace=workspace))


@pytest.fixture
def live(fresh: Workspace, few: Settings, models: Any, calling: Callable) -> Iterator[Any]:
    """A service with real features that takes events."""
    with closing(EventIntake(few, fresh)) as intake, PredictionLog(fresh.prediction_log) as log:
        reader = OnlineFeatures(fresh)
        yield calling(create_app(models, reader, log, few, lambda: NOW, intake, workspace=fresh))


def test_a_contact_is_in_the_features_at_once_and_counts_once(live: Any, fresh: Workspace) -> None:
    rows = pd.read_parquet(fresh.features / "rows.parquet")
    one = str(rows.loc[rows["as_of"] == rows["as_of"].max(), "customer_id"].min())
    before = OnlineFeatures(fresh).read([one])["campaigns_total"].iloc[0]
    contact = {**CONTACT, "customer_id": one}
    for status in ("accepted", "known"):
        response = live.post("/v1/contacts", json={"contacts": [contact]})
        assert response.status_code == 200, response.text
        taken = AcceptedContacts.model_validate_json(response.content)
        assert [(c.contact_id, c.status) for c in taken.contacts] == [("m-1", status)]
        assert OnlineFeatures(fresh).read([one])["campaigns_total"].iloc[0] == before + 1
    other = live.post("/v1/contacts", json={**contact, "cost": 3.0})
    assert other.status_code == 409 and other.json()["errors"][0]["pointer"] == "/contact_id"
    stranger = live.post("/v1/contacts", json={**contact, "contact_id": "m-2", "customer_id": "nobody"})
    assert stranger.status_code == 422 and stranger.json()["errors"][0]["pointer"] == "/customer_id"


def test_outcomes_are_on_disk_when_they_are_acknowledged_and_count_once(client: Any, workspace: Workspace) -> None:
    for status in ("accepted", "known"):
        response = client.post("/v1/outcomes", json=OUTCOME)
        assert response.status_code == 200, response.text
        assert [o.status for o in AcceptedOutcomes.model_validate_json(response.content).outcomes] == [status]
        with OutcomeLog(workspace.outcomes) as log:
            rows = log.read()
        assert rows["happened_at"].tolist() == [pd.Timestamp("2024-03-01T00:00:00Z")]
    other = client.post(
        "/v1/outcomes", json={"outcomes": [{**OUTCOME, "outcome_id": "r-2"}, {**OUTCOME, "value": 3.0}]}
    )
    assert other.status_code == 409 and other.json()["errors"][0]["pointer"] == "/outcomes/1/outcome_id"
    with OutcomeLog(workspace.outcomes) as log:
        assert len(log.read()) == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"customer_id": "nobody"}, "/outcomes/0/customer_id"),
        ({"happened_at": "2024-03-02T00:00:00Z"}, "/outcomes/0/happened_at"),
        ({"happened_at": "1800-01-01T00:00:00Z"}, "/outcomes/0/happened_at"),
        ({"happened_at": "2024-02-30T00:00:00Z"}, "/outcomes/0/happened_at"),
        ({"value": 1e155}, "/outcomes/0/value"),
    ],
)
def test_an_outcome_is_judged_before_it_is_kept(client: Any, workspace: Workspace, change: Any, pointer: str) -> None:
    response = client.post("/v1/outcomes", json={"outcomes": [{**OUTCOME, **change}]})
    assert response.status_code == 422 and [f["pointer"] for f in response.json()["errors"]] == [pointer]
    assert not workspace.outcomes.exists() and "nobody" not in response.text


def test_outcomes_that_cannot_be_written_are_not_acknowledged(client: Any, workspace: Workspace) -> None:
    workspace.outcomes.mkdir(parents=True)
    response = client.post("/v1/outcomes", json=OUTCOME)
    assert response.status_code == 503 and response.headers["retry-after"]
