"""Contracts and customers between two loads: what is sent is in the features, what is not known is not guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from configs.errors import StaycastError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from features import build, refresh
from features.engine import connect, create_temp_table, read_tables
from features.ingest import ingest
from features.schema import features_of
from features.store import feature_store
from features.store.contract_events import merge_contracts
from features.store.event_log import Event, EventLog, date_columns, event_frames, find_faults, tables_with_events
from features.store.online_rows import OnlineFeatures
from features.store.timestamps import to_micros
from serving.api.intake import EventIntake
from serving.api.problems import EventConflictError, InvalidRequestError
from serving.api.schema.events import parse_events

pytestmark = pytest.mark.slow
UNTIL = datetime(2024, 1, 1)
NOW = datetime(2024, 1, 20, tzinfo=UTC)
FLAGGED, FULLY, WORDED = ("c20", "c21", "c22"), ("c23", "c24", "c25"), ("c26", "c27", "c28")
TYPES = {"started_at": "datetime64[us]", "paid_until": "datetime64[us]", "cancelled_at": "datetime64[us]"}


def business(folder) -> Settings:
    """Thirty customers, each with a contract paid until 2024-01-10; c1 gave notice; the export is of New Year.

    So did others, in other ways: `FLAGGED` by ``cancel_at_period_end`` alone, `FULLY` with a day and an end beside it,
    `WORDED` by a status.
    """
    names = [f"c{i}" for i in range(30)]
    pd.DataFrame({"customer_id": names, "signed_up_at": "2023-01-01"}).to_csv(folder / "customers.csv", index=False)
    contracts = pd.DataFrame({"subscription_id": [f"s{i}" for i in range(30)], "customer_id": names})
    contracts = contracts.assign(
        started_at=[f"2023-{1 + i % 12:02d}-02" for i in range(30)],
        paid_until="2024-01-10",
        plan="a",
        price_per_month=10,
    )
    contracts["cancelled_at"] = np.where(contracts["customer_id"].isin(["c1", *FULLY]), "2023-12-20", "")
    contracts["ended_at"] = np.where(contracts["customer_id"].isin(FULLY), "2024-01-25", "")
    contracts["cancel_at_period_end"] = np.where(contracts["customer_id"].isin([*FLAGGED, *FULLY]), "yes", "")
    contracts["status"] = np.where(contracts["customer_id"].isin(WORDED), "non_renewing", "active")
    contracts.to_csv(folder / "subscriptions.csv", index=False)
    pd.DataFrame(
        {
            "interaction_id": [f"i{i}" for i in range(30)],
            "customer_id": names,
            "occurred_at": "2023-12-30",
            "kind": "login",
        }
    ).to_csv(folder / "interactions.csv", index=False)
    options = {n: {"path": str(folder / f"{n}.csv")} for n in ("customers", "subscriptions", "interactions")}
    return merged_with_default(
        {
            "name": "club",
            "data_until": "2024-01-01",
            "source": {"loader": "files", "options": options},
            "churn": {"kind": "contract", "grace_days": 20},
            "quality": {"accept_rules": ["isolated_dates"]},
        },
        "test",
    )


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Workspace]:
    folder = tmp_path_factory.mktemp("club")
    settings, place = business(folder), Workspace(folder / "w")
    ingest(settings, place, datetime(2024, 1, 1, 6, tzinfo=UTC))
    build.build(settings, place)
    feature_store.apply(place)
    feature_store.materialize(place)
    refresh.start_from_build(settings, place, datetime(2024, 1, 1, 7, tzinfo=UTC))
    return settings, place


@pytest.fixture(scope="module")
def intake(club: tuple[Settings, Workspace]) -> Iterator[EventIntake]:
    with closing(EventIntake(*club)) as opened:
        yield opened


class Sender:
    """Sends events to a service, a second apart, and reads the features that predictions rest on."""

    def __init__(self, intake: EventIntake, place: Workspace) -> None:
        self.intake, self.online, self.now, self.number = intake, OnlineFeatures(place), NOW, 0

    def __call__(self, **content: object) -> pd.Series:
        self.number, self.now = self.number + 1, self.now + timedelta(seconds=2)
        body = {"event_id": f"{content['customer_id']}-{self.number}-{content['type']}", **content}
        self.intake.accept(parse_events(json.dumps(body).encode(), 10), lambda: self.now)
        return self.row(str(content["customer_id"]))

    def row(self, customer: str) -> pd.Series:
        return self.online.read([customer]).iloc[0]


@pytest.fixture
def send(club: tuple[Settings, Workspace], intake: EventIntake) -> Sender:
    return Sender(intake, club[1])


def login(customer: str, number: int = 0) -> dict[str, object]:
    return {
        "type": "interaction",
        "interaction_id": f"new-{customer}-{number}",
        "customer_id": customer,
        "occurred_at": "2024-01-19T00:00:00Z",
        "kind": "login",
    }


def contract(customer: str, **given: object) -> dict[str, object]:
    number = int(customer[1:])
    started = f"2023-{1 + number % 12:02d}-02T00:00:00Z"
    return {
        "type": "contract",
        "subscription_id": f"s{number}",
        "customer_id": customer,
        "started_at": started,
        **given,
    }


def test_a_login_after_the_export_ends_no_contract_that_may_have_been_renewed(send: Sender) -> None:
    ann = send(**login("c2"))
    assert ann["contracts_active"] == 1 and np.isnan(ann["days_since_contract_end"])
    assert np.isnan(ann["days_to_renewal"])


def test_contracts_are_looked_at_from_where_they_are_known_which_is_as_of_and_from_a_newer_record_on(
    send: Sender,
) -> None:
    left = send(**login("c1"))
    assert left["contracts_under_notice"] == 1 and left["days_to_end"] == 9
    assert left["as_of"] == pd.Timestamp("2024-01-01", tz="UTC") and left["visits_30d"] == 2
    left = send(**contract("c1", plan="a"))
    assert left["contracts_active"] == 0 and 10 < left["days_since_contract_end"] < 11
    assert left["as_of"] == pd.Timestamp(send.now).ceil("s")


def test_a_contract_is_renewed_cancelled_kept_and_changed_by_events(send: Sender) -> None:
    renewed = send(**contract("c3", paid_until="2024-02-10T00:00:00Z"))
    assert renewed["contracts_active"] == 1 and renewed["price_now"] == 10
    cancelled = send(**contract("c3", cancelled_at="2024-01-19T12:00:00Z"))
    assert cancelled["contracts_under_notice"] == 1 and 20 < cancelled["days_to_end"] < 22
    kept = send(**contract("c3", cancelled_at=None))
    assert kept["contracts_under_notice"] == 0 and kept["contracts_active"] == 1
    send(**contract("c3", ended_at="2024-01-19T12:00:00Z"))
    new = {**contract("c3", plan="b", price_per_month=15.0), "subscription_id": "s3b"}
    changed = send(**{**new, "started_at": "2024-01-19T12:00:00Z"})
    assert (changed["contracts_active"], changed["plan_now"], changed["price_change"]) == (1, "b", 5)


@pytest.mark.parametrize(
    ("customer", "given"),
    [
        ("c14", {"cancelled_at": "2024-01-19T12:00:00Z"}),
        ("c15", {"cancelled_at": "2024-01-19T12:00:00Z", "cancel_at_period_end": True}),
        ("c16", {"cancel_at_period_end": True}),
        ("c17", {"status": "non_renewing"}),
    ],
)
def test_a_notice_after_the_period_that_was_loaded_leaves_a_customer_under_notice_until_an_unknown_end(
    send: Sender, customer: str, given: dict[str, object]
) -> None:
    row = send(**contract(customer, **given))
    assert (row["contracts_active"], row["contracts_under_notice"]) == (1, 1) and np.isnan(row["days_to_end"])
    row = send(**contract(customer, paid_until="2024-02-10T00:00:00Z"))
    assert row["contracts_under_notice"] == 1 and 20 < row["days_to_end"] < 21


@pytest.mark.parametrize(
    ("customer", "given"),
    [
        ("c20", {"cancelled_at": None}),
        ("c21", {"cancel_at_period_end": False}),
        ("c22", {"cancel_at_period_end": None}),
        ("c23", {"cancelled_at": "9999-12-31T00:00:00Z"}),
        ("c24", {"cancel_at_period_end": False}),
        ("c25", {"cancelled_at": None, "paid_until": "2024-01-10T00:00:00Z"}),
        ("c26", {"cancelled_at": None}),
        ("c27", {"cancel_at_period_end": False}),
        ("c28", {"status": "active"}),
    ],
)
def test_a_notice_that_is_withdrawn_in_any_way_takes_along_what_follows_from_it(
    send: Sender, customer: str, given: dict[str, object]
) -> None:
    assert send.row(customer)["contracts_under_notice"] == 1
    kept = send(**contract(customer, **given))
    assert (kept["contracts_active"], kept["contracts_under_notice"]) == (1, 0) and np.isnan(kept["days_to_end"])
    again = send(**contract(customer, cancelled_at="2024-01-19T12:00:00Z", cancel_at_period_end=True))
    assert again["contracts_under_notice"] == 1


@pytest.mark.parametrize("given", [{"price_per_month": 20.0}, {"price_per_month": 0.0}, {"plan": "b"}, {"plan": None}])
def test_a_price_or_plan_of_a_contract_that_has_begun_is_refused_and_the_past_stays(
    send: Sender, given: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        send(**contract("c19", **given))
    assert "end this contract" in str(error.value.errors)
    with pytest.raises(InvalidRequestError) as error:
        send(**contract("c19", paused_at="2024-01-05T00:00:00Z", resumes_at="2024-01-04T00:00:00Z"))
    assert [e.pointer for e in error.value.errors] == ["/resumes_at"]
    row = send(**contract("c19", price_per_month=10.0, plan="a"))
    assert (row["price_now"], row["plan_now"]) == (10, "a")


def test_of_a_contract_of_another_no_more_is_told_than_that_whatever_is_guessed_of_it(send: Sender) -> None:
    told = set()
    for guess in ({"price_per_month": 10.0, "plan": "a"}, {"price_per_month": 11.0}, {"plan": "b"}):
        with pytest.raises(EventConflictError) as refused:
            send(**{**contract("c19"), "customer_id": "c18", **guess})
        told.add((refused.value.title, str(refused.value)))
    assert len(told) == 1


def test_a_contract_of_events_alone_stays_its_customer_s(send: Sender) -> None:
    for customer in ("first", "second"):
        send(type="customer", customer_id=customer, signed_up_at="2024-01-15T00:00:00Z")
    own = {**contract("c0", price_per_month=9.0), "subscription_id": "of-first", "customer_id": "first"}
    before = send(**own)
    with pytest.raises(EventConflictError, match="another customer's"):
        send(**{**own, "customer_id": "second", "ended_at": "2024-01-19T12:00:00Z"})
    after, other = send(**own), send(**{**own, "subscription_id": "of-second", "customer_id": "second"})
    assert (
        (before["contracts_active"], before["price_now"]) == (after["contracts_active"], after["price_now"]) == (1, 9)
    )
    assert (other["contracts_total"], other["contracts_active"]) == (1, 1)


def test_a_notice_that_takes_effect_at_once_ends_a_contract_whose_period_is_not_known(send: Sender) -> None:
    left = send(**contract("c18", cancelled_at="2024-01-19T12:00:00Z", cancel_at_period_end=False))
    assert left["contracts_active"] == 0 and left["days_since_contract_end"] < 1


def test_a_status_that_says_cancelled_ends_a_contract_with_what_is_paid_and_another_takes_it_back(send: Sender) -> None:
    send(**contract("c8", paid_until="2024-02-10T00:00:00Z"))
    left = send(**contract("c8", status="Cancelled"))
    assert (left["contracts_active"], left["contracts_under_notice"]) == (1, 1) and 20 < left["days_to_end"] < 21
    kept = send(**contract("c8", status="active"))
    assert (kept["contracts_active"], kept["contracts_under_notice"]) == (1, 0)
    over = send(**contract("c9", status="expired"))  # paid until 2024-01-10
    assert over["contracts_active"] == 0 and 10 < over["days_since_contract_end"] < 11
    with pytest.raises(InvalidRequestError) as error:
        send(**{**contract("c8", status="expired"), "subscription_id": "without dates"})
    assert [e.pointer for e in error.value.errors] == ["/status"] and "paid_until" in str(error.value.errors)


def test_a_sign_up_of_a_known_customer_on_another_day_is_a_conflict(send: Sender) -> None:
    with pytest.raises(EventConflictError) as error:
        send(type="customer", customer_id="c8", signed_up_at="2023-03-01T00:00:00Z")
    assert "another sign-up" in error.value.title and [e.pointer for e in error.value.errors] == ["/signed_up_at"]
    assert send(type="customer", customer_id="c8", signed_up_at="2023-01-01T09:00:00Z")["contracts_active"] == 1


@pytest.mark.parametrize(
    ("customer", "no_end"),
    [("c11", "9999-12-31T00:00:00Z"), ("c13", "2399-12-31T23:59:59Z"), ("c4", "9999-12-31T23:00:00-05:00")],
)
def test_a_date_for_no_end_in_an_event_is_no_end(send: Sender, customer: str, no_end: str) -> None:
    row = send(**contract(customer, ended_at=no_end, renews_at=no_end, paid_until=no_end))
    assert (row["contracts_active"], row["contracts_under_notice"]) == (1, 0)
    assert np.isnan(row["days_to_end"]) and np.isnan(row["days_to_renewal"])
    assert send(**login(customer))["contracts_active"] == 1


def test_a_time_before_1900_is_refused_with_its_field(send: Sender) -> None:
    with pytest.raises(InvalidRequestError) as error:
        send(**{**login("c12"), "occurred_at": "1600-01-01T00:00:00Z"})
    assert "'1600-01-01' lies before 1900-01-01" in str(error.value.errors)
    with pytest.raises(InvalidRequestError):
        send(type="customer", customer_id="old", signed_up_at="0001-01-01T00:00:00Z")
    assert send(**login("c12"))["contracts_active"] == 1


def test_a_contract_booked_within_the_grace_days_of_the_settings_renews_one_under_notice(send: Sender) -> None:
    left = send(**contract("c10", cancelled_at="2024-01-19T12:00:00Z", ended_at="2024-01-25T12:00:00Z"))
    assert left["contracts_under_notice"] == 1
    booked = {**contract("c10"), "subscription_id": "s10b", "started_at": "2024-02-12T12:00:00Z"}  # 18 days later
    assert send(**booked)["contracts_under_notice"] == 0


def test_a_new_customer_is_known_from_the_event_on(send: Sender) -> None:
    with pytest.raises(InvalidRequestError):
        send(**login("newcomer"))
    send(type="customer", customer_id="newcomer", signed_up_at="2024-01-19T00:00:00Z")
    begun = {**contract("c9", price_per_month=7.0), "customer_id": "newcomer", "subscription_id": "n1"}
    row = send(**{**begun, "started_at": "2024-01-19T00:00:00Z"})
    assert (row["contracts_active"], row["price_now"]) == (1, 7)


def test_what_a_clock_ahead_of_the_servers_stamped_has_happened_when_it_arrives(send: Sender) -> None:
    noticed = send(**contract("c6", cancelled_at=f"{send.now + timedelta(seconds=5):%FT%TZ}"))
    assert (noticed["contracts_active"], noticed["contracts_under_notice"]) == (1, 1)
    assert send(**contract("c29", paused_at=f"{send.now + timedelta(seconds=5):%FT%TZ}"))["contracts_paused"] == 1
    begun = {**contract("c0"), "subscription_id": "s0b", "plan": "b", "price_per_month": 15.0}
    row = send(**{**begun, "started_at": f"{send.now + timedelta(seconds=5):%FT%TZ}"})
    assert (row["contracts_active"], row["plan_now"]) == (2, "b")
    booked = {**begun, "subscription_id": "s0c", "started_at": f"{send.now + timedelta(hours=1):%FT%TZ}"}
    assert send(**booked)["contracts_active"] == 2


def test_a_business_without_a_table_of_contacts_says_so(send: Sender) -> None:
    contact = {"contact_id": "k1", "contacted_at": "2024-01-19T00:00:00Z", "campaign": "stay"}
    with pytest.raises(InvalidRequestError) as error:
        send(type="contact", customer_id="c4", **contact)
    assert "no table 'contacts'" in str(error.value.errors)


def test_a_refresh_of_everyone_gives_what_the_events_gave(club: tuple[Settings, Workspace], send: Sender) -> None:
    before = {c: send.row(c) for c in ("c0", "c2", "c3", "c6", "c10", "c29", "newcomer")}
    refresh.refresh(*club, now=NOW + timedelta(hours=1), everyone=True)
    for customer, row in before.items():
        after = send.row(customer)
        for column in ("contracts_active", "contracts_under_notice", "contracts_paused", "price_now"):
            assert after[column] == row[column], (customer, column)
    assert send.row("c5")["contracts_active"] == 1 and send.row("c1")["contracts_active"] == 0


@pytest.mark.parametrize(("arrived", "plan"), [(UNTIL - timedelta(days=1), "a"), (UNTIL + timedelta(days=1), "b")])
def test_an_event_from_before_the_end_of_the_data_does_not_change_what_the_export_says(
    club: tuple[Settings, Workspace], tmp_path, monkeypatch: pytest.MonkeyPatch, arrived: datetime, plan: str
) -> None:
    settings, place = club
    monkeypatch.setattr(Workspace, "events", property(lambda _: tmp_path / "events.db"))
    with EventLog(tmp_path / "events.db") as log:
        row = {"subscription_id": "s7", "customer_id": "c7", "started_at": "2023-08-02T00:00:00Z", "plan": "b"}
        row["cancelled_at"] = f"{arrived + timedelta(seconds=3):%FT%TZ}"  # by a clock that is ahead
        row["paused_at"] = "2023-12-30T00:00:00Z"
        log.append([Event("e", "subscriptions", row)], arrived.replace(tzinfo=UTC))
        visit = {name: value for name, value in login("c7").items() if name != "type"}
        later = NOW + timedelta(days=1)  # the row online is to be the newest
        log.append([Event("visit", "interactions", visit)], later)
        with closing(refresh.OnEventRefresher(settings, place, log)) as refresher:
            of_events = refresher.contracts(["c7"], ["s7"])["s7"]
            refresher(["c7"], lambda: later)
    assert (of_events["paused_at"] is not None, of_events["plan"]) == (plan == "b", plan)
    assert OnlineFeatures(place).read(["c7"]).iloc[0]["contracts_paused"] == (plan == "b")
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, place.tables), settings, place)
    contracts = tables["subscriptions"].to_pandas()
    known = contracts[contracts["superseded_at"].isna()].set_index("subscription_id")
    assert len(known) == 30 and known.loc["s7", "plan"] == plan
    assert known.loc["s7", "paid_until"] == pd.Timestamp("2024-01-10")
    assert pd.notna(known.loc["s7", "paused_at"]) == (plan == "b")
    assert (known.loc["s7", "cancelled_at"] < pd.Timestamp(arrived)) == (plan == "b")
    at_the_end = features_at(tables, UNTIL)
    assert at_the_end.loc["c7", "plan_now"] == "a" and at_the_end.loc["c7", "contracts_total"] == 1


def features_at(tables: dict[str, ir.Table], as_of: datetime) -> pd.DataFrame:
    rows = build.features_as_of(tables, features_of(tables, merged_with_default({}, "test").columns), as_of)
    return rows.to_pandas().set_index("customer_id")


def test_a_contract_of_events_alone_keeps_what_a_change_leaves_out_and_knows_it_no_earlier(
    club: tuple[Settings, Workspace], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, place = club
    monkeypatch.setattr(Workspace, "events", property(lambda _: tmp_path / "events.db"))
    row = {"subscription_id": "new", "customer_id": "c7", "started_at": "2023-12-01T00:00:00Z"}
    sent = (
        (datetime(2023, 12, 10), {"plan": "x", "price_per_month": 30.0}),
        (datetime(2024, 1, 5), {"price_per_month": 40.0}),  # after the end of the data
        (datetime(2024, 1, 8), {"cancelled_at": "2023-12-20T00:00:00Z", "paid_until": "2024-02-01T00:00:00Z"}),
    )
    with EventLog(tmp_path / "events.db") as log:
        for number, (at, given) in enumerate(sent):
            log.append([Event(f"e{number}", "subscriptions", {**row, **given})], at.replace(tzinfo=UTC))
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, place.tables), settings, place)
    asked = ["contracts_total", "plan_now", "price_now", "contracts_under_notice"]
    found = {
        day: features_at(tables, day).loc["c7", asked].tolist()
        for day in map(datetime, *zip((2023, 12, 9), (2023, 12, 11), (2024, 1, 6), (2024, 1, 9), strict=True))
    }
    assert list(found.values()) == [[1, "a", 10, 0], [2, "x", 40, 0], [2, "x", 50, 0], [2, "x", 50, 1]]


def test_an_event_before_the_record_of_a_row_is_what_was_known_until_then(opened) -> None:
    row = {"subscription_id": "s", "customer_id": "c", "started_at": "2023-01-01"}
    gold = {**row, "plan": "gold", "price_per_month": 30, "ended_at": "2024-05-20", "recorded_at": "2024-05-10"}
    table = opened({"subscriptions": pd.DataFrame([gold])})["subscriptions"]
    sent = json.dumps({**row, "started_at": "2023-01-01T00:00:00Z", "plan": "silver", "price_per_month": 20.0})
    at = to_micros(datetime(2024, 5, 5))
    frame = event_frames([("subscriptions", sent, at)], ZoneInfo("UTC"), until=datetime(2024, 1, 1))["subscriptions"]
    merged = merge_contracts(table, create_temp_table(table.get_backend(), "sent", frame)).to_pandas()
    states = merged.sort_values("recorded_at")[["plan", "price_per_month", "ended_at", "superseded_at"]]
    silver, gold = (list(state) for state in states.itertuples(index=False))
    assert silver[:2] == ["silver", 20] and pd.isna(silver[2]) and silver[3] == pd.Timestamp("2024-05-10")
    assert gold[:3] == ["gold", 30, pd.Timestamp("2024-05-20")] and pd.isna(gold[3])


def test_an_end_that_an_event_gives_or_takes_back_brings_the_end_of_its_day_along(opened) -> None:
    rows = [{"subscription_id": s, "customer_id": "c", "started_at": "2023-01-01"} for s in ("s", "t")]
    table = opened({"subscriptions": pd.DataFrame(rows).assign(ended_at="2024-05-20")})["subscriptions"]
    ends = {"s": "2024-06-10T00:00:00Z", "t": None}
    sent = [
        ("subscriptions", json.dumps({**row, "ended_at": ends[row["subscription_id"]]}), number)
        for number, row in enumerate(rows, 1)
    ]
    dates, zone = date_columns({"subscriptions": table}), ZoneInfo("America/New_York")
    frame = event_frames(sent, zone, dates=dates)["subscriptions"]
    merged = merge_contracts(table, create_temp_table(table.get_backend(), "given", frame)).to_pandas()
    now = merged[merged["superseded_at"].isna()].set_index("subscription_id")["ended_day_over"]
    assert now["s"] == pd.Timestamp("2024-06-11 04:00") and pd.isna(now["t"])


def test_a_kind_that_is_spelt_almost_as_one_that_counts_is_refused_with_those_that_do() -> None:
    def faults(kind: str) -> list[str]:
        row = {"interaction_id": "i", "customer_id": "c", "occurred_at": "2024-01-01T00:00:00Z", "kind": kind}
        return [f.detail for f in find_faults([Event("e", "interactions", row)], ["interactions"], {"c"}, NOW)]

    for kind in ("Ticket", "tickets", "log-in", "payment failed"):
        (detail,) = faults(kind)
        assert "login, visit, ticket, complaint, survey, payment_failed" in detail
    assert faults("ticket") == faults("demo booked") == faults("工单") == []


@pytest.mark.parametrize(("field", "value"), [("price_per_month", 1e155), ("started_at", "0001-01-01T00:00:00Z")])
def test_what_cannot_be_computed_with_is_refused_and_an_older_event_of_it_stops_nobody(
    club: tuple[Settings, Workspace], tmp_path, monkeypatch: pytest.MonkeyPatch, field: str, value: object
) -> None:
    settings, place = club
    row = {**{k: v for k, v in contract("c8", **{field: value}).items() if k != "type"}}
    faults = find_faults([Event("e", "subscriptions", row)], ["subscriptions"], {"c8"}, NOW)
    assert [f.field for f in faults] == [field]
    monkeypatch.setattr(Workspace, "events", property(lambda _: tmp_path / "events.db"))
    with EventLog(tmp_path / "events.db") as log:
        log.append([Event("e", "subscriptions", row)], NOW)
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, place.tables), settings, place)
    assert tables["subscriptions"].price_per_month.max().execute() == 10


def test_a_table_of_profiles_takes_no_contracts(tmp_path) -> None:
    settings = merged_with_default({"name": "ready", "churn": {"kind": "label"}}, "test")
    with pytest.raises(StaycastError):
        refresh.open_tables(connect(), tmp_path, settings, Workspace(tmp_path))
