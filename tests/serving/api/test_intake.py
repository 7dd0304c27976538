"""An event that was acknowledged is in the next prediction: over the real feature store, models in memory."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pandas as pd
import pytest
from starlette.applications import Starlette

from configs.settings import Settings
from configs.workspace import Workspace
from features import refresh
from features.people.identity import write_repairs
from features.people.suppression_list import suppress
from features.sources.rows.words import words_of, write_words
from features.store.event_log import EventLog
from features.store.online_rows import OnlineFeatures
from serving.answer.champion import Champions
from serving.api.app import create_app
from serving.api.intake import REST_SECONDS, EventIntake
from serving.api.problems import EventConflictError, InvalidRequestError, UnavailableError, problem_response
from serving.api.schema.answers import Answer, Problem
from serving.api.schema.events import AcceptedEvents, EventBatch, parse_events
from serving.records.prediction_log import PredictionLog

NOW = datetime(2024, 9, 5, 12, 0, 0, 250_000, tzinfo=UTC)
ORDER = {
    "event_id": "e1",
    "type": "order",
    "order_id": "new-1",
    "ordered_at": "2024-09-05T11:00:00Z",
    "amount": 250.0,
}


class Service:
    """The app over one workspace."""

    def __init__(
        self, place: Workspace, settings: Settings, models: object, calling: Callable, intake: EventIntake | None = None
    ) -> None:
        self.place, self.intake = place, intake or EventIntake(settings, place)
        self.log = PredictionLog(place.prediction_log)
        reader = OnlineFeatures(place)
        app: Starlette = create_app(models, reader, self.log, settings, lambda: NOW, self.intake)
        self.http = calling(app)

    def send(self, **content: object) -> httpx.Response:
        return self.http.post("/v1/events", json=content)

    def recency(self, customer: str) -> float:
        """Days since the last order, as the answer's reasons name it."""
        answer = self.http.post("/v1/predictions", json={"customer_id": customer, "top_reasons": 0}).json()
        (value,) = (r["value"] for r in answer["clv_reasons"] if r["feature"] == "days_since_last_order")
        return float(value)

    def close(self) -> None:
        self.intake.close()
        self.log.close()


@pytest.fixture
def place(fresh: Workspace) -> Workspace:
    return fresh


@pytest.fixture
def start(place: Workspace, few: Settings, models: object, calling: Callable) -> Iterator[Callable]:
    opened: list[Service] = []

    def begin() -> Service:
        opened.append(Service(place, few, models, calling))
        return opened[-1]

    yield begin
    for service in opened:
        service.close()


@pytest.fixture(scope="module")
def shared_intake(built: Workspace, few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventIntake]:
    place = Workspace(tmp_path_factory.mktemp("shared") / "workspace")
    shutil.copytree(built.root, place.root)
    with closing(EventIntake(few, place)) as intake:
        yield intake


@pytest.fixture
def shared(shared_intake: EventIntake, few: Settings, models: object, calling: Callable) -> Iterator[Service]:
    """A service that several tests ask: for what is refused, and leaves nothing behind."""
    service = Service(shared_intake._workspace, few, models, calling, shared_intake)
    yield service
    service.log.close()


@pytest.fixture
def one(built: Workspace) -> str:
    rows = pd.read_parquet(built.features / "rows.parquet")
    return str(rows.loc[rows["as_of"] == rows["as_of"].max(), "customer_id"].min())


def problem(response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return Problem.model_validate(response.json())


def test_nothing_is_taken_of_who_was_erased_and_the_person_does_not_come_back(
    start: Callable, place: Workspace
) -> None:
    service, erased = start(), "was-here"
    suppress(place, [erased])
    sign_up = {"event_id": "s", "type": "customer", "customer_id": f" {erased}", "signed_up_at": "2024-09-05T10:00:00Z"}
    order = {**ORDER, "customer_id": erased}
    for content in (sign_up, order, {"events": [{**ORDER, "event_id": "e9", "customer_id": "c1"}, sign_up]}):
        answer = service.send(**content)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"].endswith("customer_id") and "erased on request" in error["detail"]
        assert erased not in answer.text
    assert not [p for p in place.events.parent.glob("events.db*") if erased.encode() in p.read_bytes()]


def test_the_next_prediction_reflects_an_order(start: Callable, one: str) -> None:
    service = start()
    before = service.recency(one)
    response = service.send(**ORDER, customer_id=one)
    assert response.status_code == 200
    accepted = AcceptedEvents.model_validate(response.json())
    assert [(e.event_id, e.status) for e in accepted.events] == [("e1", "accepted")]
    assert accepted.as_of == "2024-09-05T12:00:01Z"
    assert service.recency(one) == pytest.approx(3601 / 86_400) != before


@pytest.mark.slow
def test_a_customer_who_came_since_the_last_build_is_known_from_the_first_event_on(
    start: Callable, place: Workspace
) -> None:
    newcomer, path = "newcomer", place.tables / "customers.parquet"
    customers = pd.read_parquet(path)
    pd.concat([customers, customers.tail(1).assign(customer_id=newcomer)]).to_parquet(path, index=False)
    service = start()
    problem(service.http.post("/v1/predictions", json={"customer_id": newcomer}), 404)
    service.send(**ORDER, customer_id=newcomer)
    assert service.recency(newcomer) == pytest.approx(3601 / 86_400)


@pytest.mark.slow
def test_an_event_sent_again_is_known_also_after_a_restart(start: Callable, one: str) -> None:
    first = start()
    first.send(**ORDER, customer_id=one)
    again = start()
    assert again.send(**ORDER, customer_id=one).json()["events"] == [{"event_id": "e1", "status": "known"}]
    assert again.recency(one) == pytest.approx(3601 / 86_400)


def test_an_event_that_was_stored_but_not_folded_in_is_so_when_it_is_sent_again(
    start: Callable, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(refresh.OnEventRefresher, "__call__", broken)
        fault = problem(service.send(**ORDER, customer_id=one), 503)
        assert "send them again" in fault.detail
    time.sleep(REST_SECONDS)
    assert service.send(**ORDER, customer_id=one).json()["events"][0]["status"] == "known"
    assert service.recency(one) == pytest.approx(3601 / 86_400)


@pytest.mark.slow
def test_the_same_id_with_other_content_is_a_conflict(start: Callable, one: str) -> None:
    service = start()
    service.send(**ORDER, customer_id=one)
    fault = problem(service.send(**{**ORDER, "amount": 1.0}, customer_id=one), 409)
    assert fault.errors[0].pointer == "/event_id" and fault.title == "The event came before with other content"
    fault = problem(service.send(**{**ORDER, "event_id": "another"}, customer_id=one), 409)
    assert fault.errors[0].pointer == "/order_id"
    assert fault.title == "The order_id came before with another event_id"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"amount": "250"}, "/amount"),
        ({"amount": None}, "/amount"),
        ({"amount": 1e9}, "/amount"),
        ({"discount": -1}, "/discount"),
        ({"ordered_at": "2024-09-06T00:00:00Z"}, "/ordered_at"),
        ({"ordered_at": "2025-13-06T00:00:00Z"}, "/ordered_at"),
        ({"ordered_at": "yesterday"}, "/ordered_at"),
        ({"customer_id": "nobody"}, "/customer_id"),
        ({"customer_id": "  "}, "/customer_id"),
        ({"recorded_at": "2025-01-01T00:00:00Z"}, "/recorded_at"),
        ({"type": "refund"}, "/type"),
        ({"event_id": ""}, "/event_id"),
    ],
)
def test_a_bad_event_is_refused_by_field_and_nothing_is_stored(
    shared: Service, one: str, changed: dict, pointer: str
) -> None:
    name = f"good beside {changed}"
    good = {**ORDER, "event_id": name, "order_id": name, "customer_id": one}
    bad = {**ORDER, "customer_id": one, **changed}
    fault = problem(shared.send(**bad), 422)
    assert [e.pointer for e in fault.errors] == [pointer]
    fault = problem(shared.send(events=[good, bad]), 422)
    assert [e.pointer for e in fault.errors] == [f"/events/1{pointer}"]
    assert shared.send(**good).json()["events"][0]["status"] == "accepted"


def link(place: Workspace, person: str, alias: str) -> None:
    """Say that an alias is a person's, as an ingest would."""
    row = {"customer_id": [person], "alias": [alias], "source": ["web"], "seen_at": [pd.Timestamp("2024-05-01")]}
    pd.DataFrame(row).to_parquet(place.tables / "identities.parquet", index=False)


@pytest.mark.slow
def test_an_event_of_an_alias_is_the_persons_and_so_is_the_answer(start: Callable, place: Workspace, one: str) -> None:
    service = start()
    problem(service.send(**ORDER, customer_id="web-7"), 422)
    link(place, one, "web-7")
    assert service.send(**ORDER, customer_id="web-7").json()["events"][0]["status"] == "accepted"
    assert service.send(**ORDER, customer_id="web-7").json()["events"][0]["status"] == "known"
    assert service.recency(one) == service.recency("web-7") == pytest.approx(3601 / 86_400)
    answer = service.http.post("/v1/predictions", json={"customer_ids": ["web-7", one, "web-8"]}).json()
    assert [(a["customer_id"], a.get("alias")) for a in answer["predictions"]] == [(one, "web-7"), (one, None)]
    assert answer["not_found"] == ["web-8"]
    for prediction in answer["predictions"]:
        Answer.model_validate(prediction)
    assert set(service.log.read()["customer_id"]) == {one}


@pytest.mark.slow
def test_an_event_of_an_alias_is_in_a_refresh_of_everyone(
    start: Callable, place: Workspace, few: Settings, one: str
) -> None:
    link(place, one, "web-7")
    service = start()
    service.send(**ORDER, customer_id="web-7")
    before = OnlineFeatures(place).read([one])
    refresh.refresh(few, place, NOW, everyone=True)
    pd.testing.assert_frame_equal(OnlineFeatures(place).read([one]), before, rtol=1e-9)


def test_an_order_id_that_stands_in_the_tables_as_another_customers_is_a_conflict(
    start: Callable, place: Workspace, one: str
) -> None:
    orders = pd.read_parquet(place.tables / "orders.parquet")
    others = orders.loc[orders["customer_id"] != one, "order_id"].iloc[0]
    own = orders.loc[orders["customer_id"] == one, "order_id"].iloc[0]
    service = start()
    before = service.recency(one)
    fault = problem(service.send(**{**ORDER, "order_id": others}, customer_id=one), 409)
    assert [e.pointer for e in fault.errors] == ["/order_id"]
    assert "another customer's" in fault.detail and "another customer's" in fault.title
    good = {**ORDER, "event_id": "e2", "order_id": "new-2", "customer_id": one}
    several = problem(service.send(events=[good, {**ORDER, "order_id": others, "customer_id": one}]), 409)
    assert [e.pointer for e in several.errors] == ["/events/1/order_id"]
    assert service.recency(one) == before
    assert service.send(**{**ORDER, "order_id": own}, customer_id=one).status_code == 200
    assert service.recency(one) > 1  # the row of the table is taken, not the event


@pytest.mark.slow
def test_an_order_that_an_export_gives_to_another_later_counts_once_and_is_no_conflict_when_sent_again(
    start: Callable, place: Workspace, few: Settings
) -> None:
    first, second = sorted(pd.read_parquet(place.features / "rows.parquet")["customer_id"].unique())[:2]
    service = start()
    service.send(**ORDER, customer_id=first)
    orders = pd.read_parquet(place.tables / "orders.parquet")
    row = orders.iloc[[0]].assign(order_id="new-1", customer_id=second, ordered_at=pd.Timestamp("2024-08-30"))
    pd.concat([orders, row], ignore_index=True).to_parquet(place.tables / "orders.parquet", index=False)
    assert service.send(**ORDER, customer_id=first).json()["events"][0]["status"] == "known"
    assert service.recency(first) > 1
    before = OnlineFeatures(place).read([first])
    refresh.refresh(few, place, NOW, everyone=True)
    pd.testing.assert_frame_equal(OnlineFeatures(place).read([first]), before, rtol=1e-9)


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"events": []}', b'{"events": {}}', b'{"events": [], "x": 1}'])
def test_a_body_that_brings_no_events_is_refused(shared: Service, content: bytes) -> None:
    response = shared.http.post("/v1/events", content=content, headers={"content-type": "application/json"})
    problem(response, 422)


@pytest.mark.slow
def test_several_events_of_several_customers_are_taken_at_once(start: Callable, place: Workspace) -> None:
    ids = sorted(pd.read_parquet(place.tables / "customers.parquet")["customer_id"])[:5]
    events = [{**ORDER, "event_id": i, "order_id": i, "customer_id": i} for i in ids]
    complaint = {"event_id": "t", "type": "interaction", "interaction_id": "t", "customer_id": ids[0]}
    service = start()
    write_words(place.tables, words_of({"interactions": [{"values": {"kind": {"Réclamation": "complaint"}}}]}))
    complaint |= {"occurred_at": "2024-09-05T11:59:00Z", "kind": "complaint"}
    accepted = service.send(events=[*events, {**complaint, "kind": "Réclamation"}])
    assert [e["status"] for e in accepted.json()["events"]] == ["accepted"] * 6
    assert service.send(**complaint).json()["events"][0]["status"] == "known"
    assert "is not 'Réclamation', but like it" in service.send(**{**complaint, "kind": "reclamation"}).json()["detail"]
    assert all(service.recency(i) == pytest.approx(3601 / 86_400) for i in ids)


@pytest.mark.slow
def test_requests_taken_together_are_judged_apart_and_their_customers_computed_once(
    start: Callable, place: Workspace, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[list[str]] = []
    compute = refresh.OnEventRefresher.__call__

    def counted(self: refresh.OnEventRefresher, persons: list[str], clock: Callable[[], datetime]) -> datetime:
        computed.append(sorted(set(persons)))
        return compute(self, persons, clock)

    def asked(**content: object) -> EventBatch:
        return parse_events(json.dumps({**ORDER, "customer_id": one, **content}).encode(), 10)

    monkeypatch.setattr(refresh.OnEventRefresher, "__call__", counted)
    service, other = start(), "someone-new"
    sign_up = {"event_id": "s", "type": "customer", "customer_id": other, "signed_up_at": "2024-09-05T10:00:00Z"}
    batches = [
        asked(),
        asked(event_id="e2", order_id="new-2", amount=1e15),
        asked(),
        asked(amount=1.0),
        parse_events(json.dumps(sign_up).encode(), 10),
    ]
    outcomes = service.intake.accept_together(batches, lambda: NOW)
    first, outlying, again, conflict, new = outcomes
    assert [o[0] for o in (first, again, new) if isinstance(o, tuple)] == [["accepted"], ["known"], ["accepted"]]
    assert isinstance(outlying, InvalidRequestError) and isinstance(conflict, EventConflictError)
    assert computed == [sorted([one, other])]
    assert service.recency(one) == pytest.approx(3601 / 86_400)
    assert OnlineFeatures(place).read([other])["as_of"].notna().all()


@pytest.mark.parametrize("file", ["events", "online"])
def test_while_a_file_is_locked_nothing_is_taken_or_looked_at_and_all_who_wait_hear_so_at_once(
    shared: Service, one: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, intake = shared.place, shared.intake
    order = {**ORDER, "customer_id": one, "event_id": f"l-{file}", "order_id": f"l-{file}"}
    batches = [parse_events(json.dumps(order).encode(), 10)] * 20
    intake.accept(batches[0], lambda: NOW)
    path = place.events if file == "events" else place.feast / "online.db"
    monkeypatch.setattr(EventIntake, "_read", None)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for several in (batches, batches[:1], batches):
            with pytest.raises(UnavailableError, match="send them again"):
                intake.accept_together(several, lambda: NOW)
        assert time.monotonic() - began < 10 * refresh.EVENT_BUSY_SECONDS
    monkeypatch.undo()
    time.sleep(REST_SECONDS)
    assert intake.accept_together(batches[:1], lambda: NOW)[0][0] == ["known"]  # type: ignore[index]


def test_a_disk_that_gets_full_meets_all_requests_of_a_call_at_once(
    shared: Service, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full(self: EventLog, requests: list[object], now: datetime, is_own: object) -> None:
        calls.append(len(requests))
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(EventLog, "append_each", full)
    events = [{**ORDER, "customer_id": one, "event_id": f"f{n}", "order_id": f"f{n}"} for n in range(3)]
    with pytest.raises(UnavailableError, match="send them again"):
        shared.intake.accept_together([parse_events(json.dumps(e).encode(), 10) for e in events], lambda: NOW)
    assert calls == [3]
    with pytest.raises(UnavailableError, match="send them again"):
        shared.intake.accept(parse_events(json.dumps(events[0]).encode(), 10), lambda: NOW)
    assert calls == [3]  # believed for a while, at no cost
    monkeypatch.setattr(shared.intake, "_down_until", 0.0)


@pytest.mark.slow
def test_requests_that_wait_at_the_same_time_are_taken_together(
    start: Callable, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, sizes = start(), []
    take = EventIntake.accept_together

    def counted(self: EventIntake, batches: list[EventBatch], clock: Callable[[], datetime]) -> object:
        sizes.append(len(batches))
        return take(self, batches, clock)

    monkeypatch.setattr(EventIntake, "accept_together", counted)
    for n in range(3):  # the first opens the store, the others tell how long a call takes
        service.send(**{**ORDER, "event_id": f"w{n}", "order_id": f"w-{n}"}, customer_id=one)
    orders = [{**ORDER, "event_id": f"m{n}", "order_id": f"m-{n}", "customer_id": one} for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda order: service.send(**order), orders))
    assert [answer.status_code for answer in answers] == [200] * 12
    assert [answer.json()["events"][0]["event_id"] for answer in answers] == [order["event_id"] for order in orders]
    assert sum(sizes) == 15 and len(sizes) < 15


def test_a_service_without_an_intake_says_so(
    customers: pd.DataFrame,
    reader: object,
    champions: Champions,
    models: object,
    settings: Settings,
    tmp_path,
    calling,
) -> None:
    with PredictionLog(tmp_path / "log.db") as log:
        http = calling(create_app(models, reader, log, settings))
        problem(http.post("/v1/events", json={**ORDER, "customer_id": "c1"}), 503)


def test_a_business_of_ready_profiles_takes_no_events_and_says_what_to_do_instead(
    workspace: Workspace, few: Settings
) -> None:
    profiles = few.model_copy(update={"churn": few.churn.model_copy(update={"kind": "label"})})
    batch = parse_events(json.dumps({**ORDER, "customer_id": "ann"}).encode(), 1)
    with pytest.raises(InvalidRequestError, match="takes no events; ingest the new export and run") as refused:
        EventIntake(profiles, workspace).accept(batch, lambda: NOW)
    assert problem_response(refused.value).status_code == 422


def test_the_openapi_document_names_the_endpoint(shared: Service) -> None:
    document = shared.http.get("/openapi.json").json()
    operation = document["paths"]["/v1/events"]["post"]
    usual = {"400", "401", "403", "413", "415", "422", "429", "500"}
    assert set(operation["responses"]) == {"200", "409", "503"} | usual
    assert {"OrderEvent", "InteractionEvent", "ManyEvents", "AcceptedEvents"} <= set(document["components"]["schemas"])


@pytest.mark.slow
def test_an_id_as_the_files_write_it_is_the_customer_s_wherever_ids_are_repaired(
    start: Callable, place: Workspace, one: str
) -> None:
    write_repairs(place.tables, ["case"])
    service, written = start(), one.upper()
    assert written != one
    answered = service.http.post("/v1/predictions", json={"customer_id": written})
    assert (answered.status_code, answered.json()["customer_id"]) == (200, one)
    assert service.send(**ORDER, customer_id=written).status_code == 200
    assert service.recency(one) < 1
    assert service.send(**ORDER, customer_id=one).json()["events"][0]["status"] == "known"
    signed_up = {"event_id": "e2", "type": "customer", "customer_id": written}
    known = pd.read_parquet(place.tables / "customers.parquet").set_index("customer_id").loc[one, "signed_up_at"]
    service.send(**signed_up, signed_up_at=f"{known:%Y-%m-%dT%H:%M:%S}Z")
    online = OnlineFeatures(place).read([one, written])
    assert online["customer_id"].tolist() == [one, one] and (online["orders_total"] > 1).all()
