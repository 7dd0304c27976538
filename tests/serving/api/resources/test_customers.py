"""Customers over HTTP, through the real app: one customer flat, with the scores before, and lists of score files."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.people.suppression_list import suppress
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.api.schema.customers import CustomerList, CustomerRecord
from serving.api.schema.openapi import openapi_document
from serving.records.prediction_log import PredictionLog
from tests.serving.bulk.scored import score_all

Make = Callable[..., Any]
FLAT = (str, int, float, bool, type(None))


@pytest.fixture
def make(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime, workspace: Workspace, calling: Any
) -> Make:
    def client(**others: Any) -> Any:
        moment = others.pop("now", now)
        return calling(create_app(models, reader, log, settings, clock=lambda: moment, workspace=workspace, **others))

    return client


@pytest.fixture
def scored(
    champions: Champions, settings: Settings, customers: pd.DataFrame, workspace: Workspace
) -> Callable[[datetime, pd.DataFrame | None], None]:
    """Write a score file at a moment."""

    def write(at: datetime, frame: pd.DataFrame | None = None) -> None:
        as_of = pd.Series(pd.Timestamp(at).floor("h"), index=range(len(customers))).astype("datetime64[us, UTC]")
        rows = (customers if frame is None else frame).assign(as_of=as_of)
        score_all(rows, champions, settings, workspace, at)

    return write


def everybody(client: Any, limit: int, **query: Any) -> list[dict[str, Any]]:
    """All customers of a list, by its pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        response = client.get("/v1/customers", params={**query, "limit": limit, **cursor})
        assert response.status_code == 200, response.text
        page = CustomerList.model_validate_json(response.content)
        assert len(page.customers) <= limit
        found += response.json()["customers"]
        if page.next is None:
            return found
        cursor = {"cursor": page.next}


def test_a_customer_is_the_answer_of_a_prediction_as_one_flat_object(make: Make, log: PredictionLog) -> None:
    client = make()
    answer = client.post("/v1/predictions", json={"customer_id": "c1"}).json()
    response = client.get("/v1/customers/c1", params={"history": 0})
    record = CustomerRecord.model_validate_json(response.content).model_dump(mode="json")
    assert record["history"] == [] and all(
        isinstance(v, FLAT) or all(isinstance(t, str) for t in v) for v in record.values()
    )
    assert (record["value"], record["low"], record["high"]) == tuple(
        answer["clv"][n] for n in ("expected", "low", "high")
    )
    churn = answer["churn"] or {"probability": None, "band": None}
    assert (record["probability"], record["band"]) == (churn["probability"], churn["band"])
    assert record["reasons"] == [reason["text"] for reason in answer["reasons"]]
    assert (record["action"], record["stage"], record["tier"]) == (
        answer["action"]["code"], answer["stage"], answer["clv"]["tier"],
    )  # fmt: skip
    assert record["prediction_id"] in set(log.read(customer_id="c1")["prediction_id"])


def test_the_history_is_of_requests_and_score_files_newest_first_and_the_same_score_is_told_once(
    make: Make, scored: Any, now: datetime, customers: pd.DataFrame, reader: Any
) -> None:
    for days in (60, 30):
        moved = customers.assign(spend_90d=customers["spend_90d"] + days)
        scored(now - timedelta(days=days), moved)
    active = str(customers.loc[customers["days_since_last_order"] < 60, "customer_id"].iloc[0])
    client = make()
    for _ in range(3):
        client.post("/v1/predictions", json={"customer_id": active})
    record = CustomerRecord.model_validate_json(client.get(f"/v1/customers/{active}").content)
    assert [past.source for past in record.history] == ["request", "list", "list"]
    times = [past.scored_at for past in record.history]
    assert times == sorted(times, reverse=True) and len(set(times)) == 3
    assert record.history[0].probability == record.probability
    shorter = client.get(f"/v1/customers/{active}", params={"history": 2}).json()["history"]
    assert shorter == [past.model_dump(mode="json") for past in record.history[:2]]


def test_the_history_says_which_part_was_not_asked_for(make: Make, scored: Any, now: datetime) -> None:
    scored(now - timedelta(days=30))
    client = make()
    for targets in (["churn"], ["clv"], ["clv", "churn"]):
        client.post("/v1/predictions", json={"customer_id": "c1", "targets": targets})
    history = CustomerRecord.model_validate_json(client.get("/v1/customers/c1").content).history
    partly = {past.targets[0]: past for past in history if past.targets}
    assert len(history) == 4 and [past.targets for past in history if past.source == "list"] == [None]
    value, risk = partly["clv"], partly["churn"]
    assert (value.probability, value.band, value.churn_model) == (None, None, None) and value.value is not None
    assert (risk.value, risk.tier, risk.clv_model) == (None, None, None) and risk.probability is not None
    assert value.action == risk.action == "undecided"


def test_what_can_be_said_of_each_kind_of_customer_is_said_and_no_score_is_made_of_nulls(
    make: Make, customers: pd.DataFrame, settings: Settings, now: datetime
) -> None:
    client = make()
    days, tenure = customers["days_since_last_order"], customers["tenure_days"]
    new = customers.loc[(tenure < settings.decisions.stages.new_days) & (days < 60), "customer_id"].iloc[0]
    lapsed = customers.loc[days > settings.churn.activity_days, "customer_id"].iloc[0]
    record = client.get(f"/v1/customers/{new}").json()
    assert record["status"] == record["stage"] == "new" and record["notes"][0].startswith("New: ")
    gone = client.get(f"/v1/customers/{lapsed}").json()
    assert gone["status"] == "lapsed" and gone["notes"] == ["Lapsed: no customer now, so no risk of leaving is told."]
    assert gone["probability"] is gone["band"] is None and gone["value"] is not None
    late = make(now=now + timedelta(hours=settings.serving.stale_after_hours + 1)).get(f"/v1/customers/{new}").json()
    assert late["stale"] and late["notes"][-1] == (
        "Stale: the facts are from 2024-03-01T00:00:00Z; what happened since is not in the score."
    )


def test_who_is_unknown_erased_or_has_left_is_said_to_be_so(
    make: Make, workspace: Workspace, log: PredictionLog
) -> None:
    suppress(workspace, ["was here"])
    client = make(left=lambda ids: {"gone"} & {*ids})
    unknown, erased = client.get("/v1/customers/nobody"), client.get("/v1/customers/was%20here")
    assert unknown.status_code == 404 and unknown.json()["type"].endswith("unknown-customer")
    assert erased.status_code == 410 and erased.json()["type"].endswith("erased-customer")
    assert "was here" not in erased.text
    alone = client.post("/v1/predictions", json={"customer_id": "was here"})
    assert (alone.status_code, alone.json()["type"]) == (410, erased.json()["type"])
    many = client.post("/v1/predictions", json={"customer_ids": ["was here", "nobody", "c1"]}).json()
    assert (many["not_found"], many["erased"]) == (["was here", "nobody"], ["was here"])
    left = CustomerRecord.model_validate_json(client.get("/v1/customers/gone").content)
    assert (left.status, left.probability, left.value, left.action) == ("left", None, None, None)
    assert left.notes == ["Left, as the label of the last load says: nothing is forecast."]
    assert log.read()["customer_id"].tolist() == ["c1"]


def test_without_a_score_file_it_is_said_how_to_make_one(make: Make) -> None:
    response = make().get("/v1/customers")
    assert response.status_code == 404 and response.json()["type"].endswith("no-scores")
    assert "staycast score" in response.json()["detail"]


def test_who_reads_a_list_is_kept_and_none_is_given_where_it_cannot_be(
    make: Make, scored: Any, now: datetime, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(now)
    client = make()
    assert client.get("/v1/customers", headers={"X-Purpose": "call-list"}).status_code == 200
    assert [entry.kind for entry in log.store.entries()] == ["read"]
    assert client.get("/v1/customers", headers={"X-Purpose": "two words"}).status_code == 422
    monkeypatch.setattr(log, "note_read", _cannot)
    assert client.get("/v1/customers").status_code == 503


def _cannot(*about: object) -> None:
    raise sqlite3.OperationalError("database is locked")


def test_a_list_holds_whom_its_filters_let_through_in_its_order(
    make: Make, scored: Any, now: datetime, customers: pd.DataFrame
) -> None:
    scored(now)
    client = make()
    answers = {c["customer_id"]: c for c in everybody(client, 1000)}
    assert set(answers) == set(customers["customer_id"])
    wanted = [c for c in answers.values() if c["band"] in ("high", "critical") and c["tier"] == "gold"]
    assert wanted
    listed = everybody(client, 7, band="high,critical", tier="gold", sort="-probability")
    expected = sorted(wanted, key=lambda c: (-c["probability"], c["customer_id"]))
    assert [c["customer_id"] for c in listed] == [c["customer_id"] for c in expected]
    page = client.get("/v1/customers", params={"limit": 1}).json()
    assert (page["as_of"], page["in_file"], page["stale"], page["compared_with"]) == (
        "2024-03-01T01:00:00Z", 400, False, None,
    )  # fmt: skip


def test_a_listed_customer_says_what_the_answer_to_a_request_says(make: Make, scored: Any, now: datetime) -> None:
    scored(now)
    client = make()
    apart = ("prediction_id", "as_of", "changed")
    for listed in client.get("/v1/customers", params={"limit": 15}).json()["customers"]:
        record = client.get(f"/v1/customers/{listed['customer_id']}", params={"history": 0}).json()
        assert {n: record[n] for n in listed if n not in apart} == {n: v for n, v in listed.items() if n not in apart}


def test_a_list_that_was_begun_goes_on_while_a_newer_file_appears_and_ends_where_its_file_is_gone(
    make: Make, scored: Any, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    scored(now - timedelta(days=30))
    client = make()
    first = client.get("/v1/customers", params={"limit": 250}).json()
    scored(now, customers.assign(days_since_last_order=1.0))
    rest = client.get("/v1/customers", params={"limit": 250, "cursor": first["next"]}).json()
    assert rest["scored_at"] == first["scored_at"] and rest["next"] is None
    ids = [c["customer_id"] for c in first["customers"] + rest["customers"]]
    assert ids == sorted(customers["customer_id"])
    shutil.rmtree(next(workspace.scores.glob("2024-01-31*")))
    lost = client.get("/v1/customers", params={"limit": 250, "cursor": first["next"]})
    assert lost.status_code == 410 and lost.json()["type"].endswith("expired-cursor")


def test_changed_since_lists_whose_score_differs_from_the_newest_file_of_that_moment(
    make: Make, scored: Any, now: datetime, customers: pd.DataFrame
) -> None:
    scored(now - timedelta(days=60), customers.assign(days_since_last_order=1.0))
    scored(now - timedelta(days=30))
    moved = customers.copy()
    moved.loc[moved["customer_id"] == "c7", ["days_since_last_order", "spend_90d"]] = [400.0, 0.0]
    scored(now, moved)
    client = make()

    def changed(since: datetime) -> tuple[set[str], str | None]:
        query = {"changed_since": since.isoformat().replace("+00:00", "Z")}
        compared = client.get("/v1/customers", params=query).json()["compared_with"]
        return {c["customer_id"] for c in everybody(client, 50, **query)}, compared["scored_at"]

    one, at = changed(now - timedelta(days=1))
    assert one == {"c7"} and at == "2024-01-31T01:30:00Z"
    assert everybody(client, 5, changed_since="2024-02-20T02:00:00+01:00")[0]["customer_id"] == "c7"
    many, at = changed(now - timedelta(days=31))
    assert len(many) > 20 and at == "2024-01-01T01:30:00Z"
    assert changed(now) == (set(), "2024-03-01T01:30:00Z")
    everyone, at = changed(now - timedelta(days=400))
    assert len(everyone) == 400 and at is None


def test_a_second_run_of_the_same_moment_and_load_hides_neither_what_changed_nor_what_was_told(
    make: Make, scored: Any, now: datetime, customers: pd.DataFrame
) -> None:
    scored(now)
    moved = customers.copy()
    moved.loc[moved["customer_id"] == "c7", ["days_since_last_order", "spend_90d"]] = [400.0, 0.0]
    scored(now + timedelta(minutes=10), moved)  # as another model would tell other numbers of the same rows
    client = make()
    query = {"changed_since": (now + timedelta(minutes=5)).isoformat().replace("+00:00", "Z")}
    body = client.get("/v1/customers", params=query).json()
    assert [c["customer_id"] for c in body["customers"]] == ["c7"] and body["customers"][0]["changed"] != ["new"]
    assert (body["scored_at"], body["compared_with"]["scored_at"]) == ("2024-03-01T01:40:00Z", "2024-03-01T01:30:00Z")
    told = client.get("/v1/customers/c7", params={"history": 5}).json()["history"]
    assert [score["scored_at"] for score in told] == ["2024-03-01T01:40:00Z", "2024-03-01T01:30:00Z"]


FAULTS = [
    ({"band": "huge"}, "/query/band/0"),
    ({"colour": "red"}, "/query/colour"),
    ({"limit": "0"}, "/query/limit"),
    ({"limit": "1e3"}, "/query/limit"),
    ({"contact": "perhaps"}, "/query/contact"),
    ({"changed_since": "yesterday"}, "/query/changed_since"),
    ({"changed_since": "2024-02-31T00:00:00Z"}, "/query/changed_since"),
    ({"probability_step": "nan"}, "/query/probability_step"),
    ({"sort": "name"}, "/query/sort"),
    ({"cursor": "e30"}, "/query/cursor"),
    ({"cursor": "ä"}, "/query/cursor"),
    ([("limit", "1"), ("limit", "2")], "/query/limit"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("query", "pointer"), FAULTS)
def test_what_is_asked_behind_the_question_mark_is_read_strictly(
    make: Make, scored: Any, now: datetime, query: Any, pointer: str
) -> None:
    scored(now, None)
    response = make().get("/v1/customers", params=query)
    assert response.status_code == 422
    assert pointer in [fault["pointer"] for fault in response.json()["errors"]]


def test_a_cursor_of_other_filters_is_refused(make: Make, scored: Any, now: datetime) -> None:
    scored(now)
    client = make()
    cursor = client.get("/v1/customers", params={"limit": 1, "tier": "gold"}).json()["next"]
    other = client.get("/v1/customers", params={"limit": 1, "tier": "silver", "cursor": cursor})
    assert other.status_code == 422 and "other filters" in other.json()["detail"]
    assert client.get("/v1/customers", params={"limit": 9, "tier": "gold", "cursor": cursor}).status_code == 200


@pytest.mark.parametrize("model", [CustomerRecord, CustomerList])
def test_the_examples_of_the_document_are_what_it_describes(model: Any) -> None:
    schema = openapi_document(1000, "1")["components"]["schemas"][model.__name__]
    for example in schema["examples"]:
        assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


def test_nobody_reads_a_customer_of_a_very_long_id(make: Make) -> None:
    response = make().get(f"/v1/customers/{'9' * 257}")
    assert response.status_code == 422 and "999" not in response.text


def test_blanks_around_an_id_are_no_part_of_it_whichever_way_it_is_asked(make: Make) -> None:
    client, given = make(), "\u3000 c1\t"
    (clean,) = client.post("/v1/predictions", json={"customer_ids": ["c1", given]}).json()["predictions"]
    told = [
        client.post("/v1/predictions", json={"customer_id": given}),
        client.get("/v1/customers/%20c1%09"),
        client.post("/v1/what-if", json={"customer_id": given, "changes": {"days_since_last_order": 3.0}}),
    ]
    assert [answer.json().get("customer_id") for answer in told] == [clean["customer_id"]] * 3 == ["c1"] * 3
    tensor = {"name": "customer_id", "shape": [1], "datatype": "BYTES", "data": [given]}
    outputs = client.post("/v2/models/churn/infer", json={"inputs": [tensor]}).json()["outputs"]
    assert {o["name"]: o["data"] for o in outputs}["status"] == ["customer"]
    outcome = {"outcome_id": "o1", "outcome": "kept", "happened_at": "2024-02-01T00:00:00Z"}
    sent = [client.post("/v1/outcomes", json={**outcome, "customer_id": i}).json()["outcomes"] for i in ("c1", given)]
    assert [one["status"] for (one,) in sent] == ["accepted", "known"]
    nobody = [client.post("/v1/predictions", json={"customer_id": " "}), client.get("/v1/customers/%20")]
    assert [answer.status_code for answer in nobody] == [422, 422]
    assert all("must hold more than blanks" in answer.json()["errors"][0]["detail"] for answer in nobody)
