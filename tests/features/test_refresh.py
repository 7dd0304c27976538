"""A refresh gives what a full build gives, for whoever is touched; over a real workspace and the real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotReadyError, StaycastError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from features import build, refresh
from features.build import features_as_of
from features.engine import connect, read_tables
from features.ingest import ingest
from features.labels.by_kind import end_of_known
from features.quality import quality_verdict
from features.schema import features_of, schema_of
from features.store import feature_store
from features.store.event_log import Event, EventLog, tables_with_events
from features.store.feature_store import materialize
from features.store.online_rows import OnlineFeatures
from features.windows import whole_second
from tests.feature_rows import recorded_later

NOW = datetime(2024, 9, 5, 12, 0, 0, 250_000, tzinfo=UTC)
MOMENT = datetime(2024, 9, 5, 12, 0, 1)


@pytest.fixture
def log(fresh: Workspace) -> Iterator[EventLog]:
    with EventLog(fresh.events) as opened:
        yield opened


def people(workspace: Workspace) -> list[str]:
    return sorted(pd.read_parquet(workspace.tables / "customers.parquet")["customer_id"])


def order(number: int, customer: str, at: str = "2024-09-05T11:30:00.5Z", **more: object) -> Event:
    row = {"order_id": f"new-{number}", "customer_id": customer, "ordered_at": at, "amount": 10.0 + number}
    return Event(f"event-{number}", "orders", {**row, **more})


def full(workspace: Workspace, settings: Settings, as_of: datetime = MOMENT) -> pd.DataFrame:
    """All customers from all that is known, the slow way."""
    backend = connect()
    base = read_tables(backend, workspace.tables)
    tables, _ = tables_with_events(backend, base, settings, workspace)
    tables = refresh.complete_tables(tables, end_of_known(base, settings))
    columns = features_of(tables, settings.columns)
    return features_as_of(tables, columns, as_of).to_pandas().set_index("customer_id").sort_index()


def online(workspace: Workspace, ids: list[str]) -> pd.DataFrame:
    return OnlineFeatures(workspace).read(ids).set_index("customer_id").sort_index()


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    left = left[right.columns].astype(dict.fromkeys(("region",), object))
    pd.testing.assert_frame_equal(
        left, right.astype({"region": object}), check_dtype=False, check_names=False, rtol=1e-9, atol=1e-9
    )


def test_a_refresh_of_everyone_is_a_full_build(fresh: Workspace, few: Settings, log: EventLog) -> None:
    ids = people(fresh)
    log.append([order(1, ids[0]), order(2, ids[1], amount=-4.0)], NOW)
    told = refresh.refresh(few, fresh, NOW, everyone=True)
    complete = whole_second(end_of_known(read_tables(connect(), fresh.tables), few))
    found = online(fresh, ids)
    moments = found["as_of"].dt.tz_localize(None)
    assert told["with_newer_rows"] == (moments > complete).sum() < 5
    until = {"data_until": f"{complete.isoformat()}Z", "with_newer_rows": told["with_newer_rows"]}
    counts = {"customers": 120, "touched": 120, "online": 120, "gone": 0}
    assert told == {"as_of": "2024-09-05T12:00:01Z", **until, **counts}
    assert (moments[ids[:2]] == MOMENT).all()  # orders of theirs came; of the others, none since the last load
    assert moments[ids[2:]].between(complete, complete + timedelta(hours=1)).all()
    same(found, full(fresh, few))


@pytest.mark.slow
def test_only_who_is_touched_is_computed_again(fresh: Workspace, few: Settings, log: EventLog) -> None:
    ids = people(fresh)
    refresh.refresh(few, fresh, NOW)
    assert refresh.refresh(few, fresh, NOW)["touched"] == 0
    log.append([order(1, ids[3])], NOW)
    assert refresh.refresh(few, fresh, NOW)["touched"] == 1
    same(online(fresh, [ids[3]]), full(fresh, few).loc[[ids[3]]])


@pytest.mark.slow
def test_a_row_changed_added_or_lost_in_a_table_touches_its_customer(fresh: Workspace, few: Settings) -> None:
    refresh.refresh(few, fresh, NOW)
    path = fresh.tables / "orders.parquet"
    orders = pd.read_parquet(path)
    a, b, c = orders.groupby("customer_id").head(1).index[:3]
    orders.loc[a, "amount"] += 1
    orders = pd.concat([orders.drop(index=b), orders.loc[[c]].assign(order_id="another")], ignore_index=True)
    touched = set(pd.read_parquet(path).loc[[a, b, c], "customer_id"])
    orders.to_parquet(path, index=False)
    assert refresh.refresh(few, fresh, NOW)["touched"] == 3
    same(online(fresh, sorted(touched)), full(fresh, few).loc[sorted(touched)])


@pytest.mark.slow
def test_who_is_not_touched_keeps_the_row_and_the_moment(fresh: Workspace, few: Settings) -> None:
    refresh.refresh(few, fresh, NOW)
    ids = people(fresh)
    before = online(fresh, ids)
    told = refresh.refresh(few, fresh, datetime(2024, 10, 5, tzinfo=UTC))
    assert told["touched"] == 0
    pd.testing.assert_frame_equal(online(fresh, ids), before)


@pytest.mark.slow
def test_a_customer_no_longer_known_goes_offline(fresh: Workspace, few: Settings) -> None:
    refresh.refresh(few, fresh, NOW)
    lost = people(fresh)[0]
    for path in fresh.tables.glob("*.parquet"):
        frame = pd.read_parquet(path)
        frame[frame["customer_id"] != lost].to_parquet(path, index=False)
    assert refresh.refresh(few, fresh, NOW)["gone"] == 1
    assert online(fresh, [lost])["as_of"].isna().all()


@pytest.mark.slow
def test_a_moment_before_what_is_online_changes_nothing_and_forgets_nobody(
    fresh: Workspace, few: Settings, log: EventLog
) -> None:
    refresh.refresh(few, fresh, NOW, everyone=True)
    ids = people(fresh)
    log.append([order(1, ids[0])], NOW)
    told = refresh.refresh(few, fresh, NOW, as_of=datetime(2024, 8, 20), everyone=True)
    assert told["online"] == 0
    assert refresh.refresh(few, fresh, NOW)["touched"] >= 1
    same(online(fresh, ids), full(fresh, few))


def test_nobody_has_lapsed_because_a_login_came_long_after_the_last_load(
    fresh: Workspace, few: Settings, log: EventLog
) -> None:
    one = people(fresh)[0]
    later = NOW + timedelta(days=400)
    at_once = refresh.OnEventRefresher(few, fresh, log)
    as_of = at_once([one], lambda: NOW)
    before = online(fresh, [one]).loc[one]
    login = {"interaction_id": "new", "customer_id": one, "occurred_at": later.isoformat(), "kind": "login"}
    log.append([Event("login", "interactions", login)], later)
    assert at_once([one], lambda: later + timedelta(seconds=1)) == as_of < NOW
    after = online(fresh, [one]).loc[one]
    assert after["days_since_last_order"] == before["days_since_last_order"]
    assert after["orders_30d"] == before["orders_30d"]
    assert after["visits_30d"] == 1 and after["days_since_last_visit"] < 0.01
    log.append([order(1, one, (later - timedelta(days=3)).isoformat())], later + timedelta(seconds=2))
    assert at_once([one], lambda: later + timedelta(seconds=3)) == (later + timedelta(seconds=3)).replace(microsecond=0)
    assert online(fresh, [one]).loc[one, "days_since_last_order"] == pytest.approx(3, abs=0.001)
    at_once.close()


@pytest.mark.slow
def test_one_by_one_is_the_full_build_too(fresh: Workspace, few: Settings, log: EventLog) -> None:
    ids = people(fresh)[:3]
    at_once = refresh.OnEventRefresher(few, fresh, log)
    assert at_once.known([*ids, "nobody", "x' OR true --"]) == set(ids)
    log.append([order(1, ids[0]), order(2, ids[2], discount=3.0, channel="web")], NOW)
    assert at_once(ids[:1], lambda: NOW) == MOMENT.replace(tzinfo=UTC) > at_once(ids, lambda: NOW)
    same(online(fresh, ids), full(fresh, few).loc[ids])
    log.append([order(3, ids[1])], NOW)
    at_once(ids[1:2], lambda: NOW)
    same(online(fresh, ids), full(fresh, few).loc[ids])
    at_once.close()


@pytest.mark.slow
def test_a_new_build_takes_no_event_back(fresh: Workspace, few: Settings, log: EventLog) -> None:
    one = people(fresh)[0]
    at_once = refresh.OnEventRefresher(few, fresh, log)
    log.append([order(1, one)], NOW)
    at_once([one], lambda: NOW)
    at_once.close()
    held = online(fresh, [one])
    materialize(fresh)
    pd.testing.assert_frame_equal(online(fresh, [one]), held)
    later = datetime(2024, 9, 6, tzinfo=UTC)
    assert refresh.start_from_build(few, fresh, later) >= 1
    same(online(fresh, [one]), full(fresh, few, datetime(2024, 9, 6)).loc[[one]])


def test_what_feast_writes_itself_and_what_we_write_are_read_alike(fresh: Workspace) -> None:
    rows = pd.read_parquet(fresh.features / "rows.parquet")
    newest = rows[rows["as_of"] == rows["as_of"].max()]
    ours = online(fresh, sorted(newest["customer_id"]))
    ours = ours.drop(index=list(recorded_later(fresh) & set(ours.index)))
    newest = newest[newest["customer_id"].isin(ours.index)]
    same(ours, newest.set_index("customer_id").sort_index()[list(ours)])
    registered = feature_store.open_feature_store(fresh)
    for view in registered.list_feature_views():
        names = [f.name for f in view.features]
        part = newest.assign(as_of=newest["as_of"] + pd.Timedelta(days=1))
        registered.write_to_online_store(view.name, part[["customer_id", "as_of", "known_at", *names]])
    theirs = online(fresh, sorted(newest["customer_id"]))
    assert (theirs["as_of"] - ours["as_of"] == pd.Timedelta(days=1)).all()
    pd.testing.assert_frame_equal(theirs.drop(columns="as_of"), ours.drop(columns="as_of"), check_exact=True)


def test_other_columns_than_were_built_are_refused(fresh: Workspace, few: Settings) -> None:
    other = few.model_copy(update={"columns": few.columns.model_copy(update={"attributes": ()})})
    with pytest.raises(NotReadyError, match="run `staycast features` once without --refresh"):
        refresh.refresh(other, fresh, NOW)


def test_a_moment_within_a_second_is_refused(fresh: Workspace, few: Settings) -> None:
    with pytest.raises(StaycastError, match="whole second"):
        refresh.refresh(few, fresh, NOW, as_of=NOW)


def test_a_counted_order_of_an_event_counts_as_one_and_has_no_hour_where_the_loaded_ones_are_dates(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at\no1,ann,2024-01-10\no2,ann,2024-02-10\n")
    (tmp_path / "customers.csv").write_text("customer_id,signed_up_at\nann,2024-01-01\n")
    options = {name: {"path": str(tmp_path / f"{name}.csv")} for name in ("customers", "orders")}
    content = {"name": "shop", "currency": "XXX", "time_zone": "America/New_York"}
    settings = merged_with_default({**content, "source": {"loader": "files", "options": options}}, "shop")
    ingest(settings, workspace, datetime(2024, 2, 11, tzinfo=UTC))
    workspace.features.mkdir(parents=True)
    asked = {"orders_total", "mean_hour"}
    monkeypatch.setattr(refresh, "features_of", lambda *of: [c for c in features_of(*of) if c.name in asked])
    schema_of([c for c in features_of(("orders",), settings.columns) if c.name in asked]).save(workspace.features)
    rows: list[pd.DataFrame] = []
    store = SimpleNamespace(not_earlier=lambda rows: rows, write=lambda new, _: rows.append(new), close=lambda: None)
    monkeypatch.setattr(refresh, "OnlineWriter", lambda _, **how: store)
    with EventLog(workspace.events) as log, closing(refresh.OnEventRefresher(settings, workspace, log)) as at_once:
        log.append([order(1, "ann", "2024-03-01T00:00:00Z", amount=-3.0)], datetime(2024, 3, 1, 1, tzinfo=UTC))
        at_once(["ann"], lambda: datetime(2024, 3, 2, tzinfo=UTC))
    row = rows[0].iloc[0]
    assert row["orders_total"] == 3 and np.isnan(row["mean_hour"])
    backend = connect()
    tables, _ = tables_with_events(backend, read_tables(backend, workspace.tables), settings, workspace)
    offline = tables["orders"].filter(tables["orders"].order_id == "new-1").to_pandas().iloc[0]
    assert offline["amount"] == 1 and pd.isna(offline["local_hour"])


@pytest.mark.slow
def test_a_build_of_corrected_tables_that_end_as_before_replaces_what_a_refresh_wrote(
    fresh: Workspace, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = people(fresh)
    refresh.refresh(few, fresh, NOW, everyone=True)
    path = fresh.tables / "orders.parquet"
    orders = pd.read_parquet(path)
    gone = orders["customer_id"].value_counts().index[-1]
    kept = orders[(orders["customer_id"] != gone) | (orders["ordered_at"] == orders["ordered_at"].max())]
    kept.assign(amount=kept["amount"] / 100).to_parquet(path, index=False)
    customers = pd.read_parquet(fresh.tables / "customers.parquet")
    customers[customers["customer_id"] != gone].to_parquet(fresh.tables / "customers.parquet", index=False)
    monkeypatch.setattr(quality_verdict, "loaded_at", lambda _: datetime(2100, 1, 1, tzinfo=UTC))
    build.build(few, fresh)
    materialize(fresh)
    refresh.start_from_build(few, fresh, NOW)
    rest = [i for i in ids if i != gone]
    same(online(fresh, rest), full(fresh, few).loc[rest])
    assert OnlineFeatures(fresh).read([gone])["as_of"].isna().all()
