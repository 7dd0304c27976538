"""Whatever events come: a refresh is a full build, and an order that an export brings later counts once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.settings import Settings, load
from configs.workspace import Workspace
from features import refresh
from features.build import features_as_of
from features.engine import connect, read_tables
from features.ingest import with_local_time
from features.quality.check import ValidatedTable, read_values
from features.schema import feature_columns
from features.store.event_log import Event, EventLog, tables_with_events
from features.tables import TABLES

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
AS_OF = datetime(2024, 3, 1, 12)
PEOPLE = ["ann", "bob", "new"]
slow = settings(max_examples=5, suppress_health_check=list(HealthCheck))

times = st.datetimes(datetime(2024, 1, 1), datetime(2024, 3, 1, 11, 59, 59)).map(lambda t: f"{t.isoformat()}Z")
orders = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(PEOPLE), "ordered_at": times, "amount": st.floats(-1e4, 1e4)},
    optional={
        "quantity": st.integers(-5, 5),
        "channel": st.sampled_from(["web", "shop", "app"]),
        "category": st.sampled_from(["food", "toys"]),
        "discount": st.floats(0, 50),
    },
)
contacts = st.fixed_dictionaries(
    {"customer_id": st.sampled_from(PEOPLE), "occurred_at": times, "kind": st.sampled_from(["login", "complaint"])}
)
coming = st.tuples(st.lists(orders, max_size=6), st.lists(contacts, max_size=4))
touched = st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True)


@pytest.fixture
def business() -> Settings:
    return load("default")


def events_of(found: tuple[list, list]) -> list[Event]:
    bought = [Event(f"o{i}", "orders", {"order_id": f"x{i}", **row}) for i, row in enumerate(found[0])]
    said = [Event(f"i{i}", "interactions", {"interaction_id": f"x{i}", **row}) for i, row in enumerate(found[1])]
    return bought + said


def stored(place: Workspace, shop: dict[str, pd.DataFrame]) -> Workspace:
    """The tables of the shop, and one of interactions, as an ingest stores them."""
    row = {"interaction_id": "i0", "customer_id": "bob", "occurred_at": "2024-02-10T10:00:00Z", "kind": "login"}
    place.tables.mkdir(parents=True, exist_ok=True)
    for name, raw in {"interactions": pd.DataFrame([row]), **shop}.items():
        ready = with_local_time(
            ValidatedTable(TABLES[name], read_values(TABLES[name], raw)[0], raw.head(0)), refresh.ZoneInfo("UTC")
        )
        ready.to_parquet(place.tables / f"{name}.parquet", index=False)
    return place


def full(place: Workspace, business: Settings) -> pd.DataFrame:
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, place.tables), business, place)
    return sorted_rows(features_as_of(tables, feature_columns(tables, ()), AS_OF).to_pandas())


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("customer_id").sort_index()


def fresh_place(tmp_path_factory: pytest.TempPathFactory, shop: dict[str, pd.DataFrame]) -> Workspace:
    return stored(Workspace(Path(tmp_path_factory.mktemp("fresh"))), shop)


@pytest.mark.slow
@slow
@given(coming, touched)
def test_a_refresh_equals_a_build_of_the_union_in_every_column(
    tmp_path_factory: pytest.TempPathFactory, shop: dict[str, pd.DataFrame], business: Settings, found, ids
) -> None:
    place = fresh_place(tmp_path_factory, shop)
    with EventLog(place.events) as log:
        log.append(events_of(found), NOW - pd.Timedelta(seconds=1))
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, place.tables), business, place)
    features = refresh.CompiledFeatures(backend, tables, feature_columns(tables, ()))
    assert features._query._fixed
    part = sorted_rows(features.rows(refresh._select_customers(backend, tables, ids), AS_OF)).drop(columns="as_of")
    want = full(place, business).loc[sorted(ids)]
    pd.testing.assert_frame_equal(part, want, check_dtype=False, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@slow
@given(coming, st.data())
def test_an_order_that_an_export_brings_later_counts_once(
    tmp_path_factory: pytest.TempPathFactory, shop: dict[str, pd.DataFrame], business: Settings, found, data
) -> None:
    place = fresh_place(tmp_path_factory, shop)
    brought = events_of(found)
    with EventLog(place.events) as log:
        log.append(brought, NOW - pd.Timedelta(seconds=1))
    before = full(place, business)
    picked = data.draw(st.sets(st.sampled_from([e.event_id for e in brought if e.table == "orders"] or ["none"])))
    export = [dict(e.row) for e in brought if e.event_id in picked]
    more = pd.DataFrame(export).assign(recorded_at=pd.Timestamp("2024-03-02")) if export else pd.DataFrame()
    stored(
        place,
        {
            **shop,
            "orders": pd.concat(
                [shop["orders"].assign(ordered_at=shop["orders"]["ordered_at"].map(lambda t: t.isoformat())), more],
                ignore_index=True,
            ),
        },
    )
    pd.testing.assert_frame_equal(full(place, business), before, check_dtype=False, rtol=1e-9, atol=1e-9)
