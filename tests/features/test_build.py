from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotReadyError
from configs.settings import Settings, merged_with_default
from configs.workspace import Workspace
from features.build import build
from features.fingerprints import features_fingerprint
from features.ingest import ingest
from features.refresh import OnEventRefresher, start_from_build
from features.schema import SEASON_COLUMNS
from features.seasons.curve import load_curve
from features.store.event_log import Event, EventLog
from features.store.feature_store import apply, materialize
from features.store.online_rows import OnlineFeatures


def test_nothing_is_built_before_tables_are_there(settings: Settings, workspace: Workspace) -> None:
    with pytest.raises(NotReadyError, match="run `staycast ingest` first"):
        build(settings, workspace)


def test_rows_are_unique_typed_and_sorted(lived: Workspace) -> None:
    rows = pd.read_parquet(lived.features / "rows.parquet")
    assert not rows.duplicated(["customer_id", "as_of"]).any()
    assert str(rows["as_of"].dtype) == "datetime64[us, UTC]"
    assert rows.select_dtypes("number").dtypes.eq("float64").all()
    pd.testing.assert_frame_equal(rows, rows.sort_values(["customer_id", "as_of"], ignore_index=True))


def test_labels_are_unknown_where_the_horizon_has_not_passed(lived: Workspace) -> None:
    labels = pd.read_parquet(lived.features / "labels.parquet")
    newest = labels[labels["as_of"] == labels["as_of"].max()]
    assert newest[["churned", "clv"]].isna().all(axis=None)
    assert labels["churned"].notna().any()
    assert labels.loc[~labels["active"], "churned"].isna().all()


def till(folder: Path) -> Settings:
    """Thirty customers who order every tenth day, dates alone, up to 5 May 2024 and c0 of it the day before, too."""
    days = [datetime(2024, 5, 5) - timedelta(days=n % 10 + 10 * (n // 30)) for n in range(300)]
    orders = pd.DataFrame({"order_id": range(300), "customer_id": [f"c{n % 30}" for n in range(300)]})
    orders = orders.assign(ordered_at=[f"{day:%Y-%m-%d}" for day in days], amount=5)
    orders.to_csv(folder / "orders.csv", index=False)
    source = {
        "loader": "files",
        "customers_from": "orders",
        "options": {"orders": {"path": str(folder / "orders.csv")}},
    }
    return merged_with_default(
        {"name": "till", "source": source, "columns": {"attributes": [], "sensitive": []}}, "test"
    )


@pytest.mark.slow
def test_of_dates_alone_a_day_is_a_day_at_the_newest_moment_as_at_any_and_an_event_of_the_load_s_day_moves_it_on(
    tmp_path: Path,
) -> None:
    settings, place, noon = till(tmp_path), Workspace(tmp_path / "w"), datetime(2024, 5, 5, 12, tzinfo=UTC)
    ingest(settings, place, noon)
    assert build(settings, place)["as_ofs"][-1] == "2024-05-05T12:00:00Z"
    apply(place)
    materialize(place)
    start_from_build(settings, place, noon)
    order = Event(
        "e", "orders", {"order_id": "new", "customer_id": "c1", "ordered_at": "2024-05-05T12:30:00Z", "amount": 5}
    )
    with EventLog(place.events) as log, closing(OnEventRefresher(settings, place, log)) as refresher:
        log.append([order], noon + timedelta(hours=1))
        refresher(["c1"], lambda: noon + timedelta(hours=1))
    online = OnlineFeatures(place).read(["c0", "c1"]).set_index("customer_id")
    assert online["as_of"].tolist() == [pd.Timestamp(noon), pd.Timestamp(noon + timedelta(hours=1))]
    assert online["orders_total"].tolist() == [10, 11]
    place.events.unlink()
    before = features_fingerprint(settings, place)
    ingest(settings, place, noon + timedelta(days=1))
    assert features_fingerprint(settings, place) != before
    assert build(settings, place)["as_ofs"][-1] == "2024-05-06T00:00:00Z"
    rows = pd.read_parquet(place.features / "rows.parquet")
    for at in (pd.Timestamp("2024-05-06", tz="UTC"), pd.Timestamp("2024-05-01", tz="UTC")):
        assert rows[rows["as_of"] == at]["days_since_last_order"].min() == 1.0


@pytest.mark.slow
def test_rows_of_a_build_and_of_an_event_hold_the_season_of_their_day(tmp_path: Path) -> None:
    first, days = datetime(2020, 1, 1), 3 * 365
    rate = 0.05 * np.exp(0.6 * np.sin(2 * np.pi * (np.arange(days) - 20) / 365.25))
    customer, day = np.nonzero(np.random.default_rng(5).random((60, days)) < rate)
    orders = pd.DataFrame({"order_id": range(len(day)), "customer_id": [f"c{c}" for c in customer], "amount": 5})
    orders = orders.assign(ordered_at=[f"{first + timedelta(days=int(d)):%Y-%m-%d}" for d in day])
    orders.to_csv(tmp_path / "orders.csv", index=False)
    options = {"orders": {"path": str(tmp_path / "orders.csv")}}
    own = {
        "source": {"loader": "files", "customers_from": "orders", "options": options},
        "as_of": {"every_months": 5},
        "columns": {"attributes": [], "sensitive": []},
    }
    settings, place = merged_with_default({"name": "seasonal", **own}, "test"), Workspace(tmp_path / "w")
    ingest(settings, place)
    build(settings, place)
    rows, curve = pd.read_parquet(place.features / "rows.parquet"), load_curve(place.features)
    for column in SEASON_COLUMNS:
        by_date = rows.groupby("as_of")[column].agg(["min", "max"])
        expected = [curve.at(column, as_of.tz_localize(None).to_pydatetime()) for as_of in by_date.index]
        assert by_date["min"].tolist() == by_date["max"].tolist() == expected
        assert expected[0] == 0.0
    apply(place)
    materialize(place)
    start_from_build(settings, place, datetime(2022, 12, 31, tzinfo=UTC))
    at = datetime(2023, 3, 10, 12, tzinfo=UTC)
    content = {"order_id": "new", "customer_id": "c1", "ordered_at": "2023-03-10T11:30:00Z", "amount": 5}
    with EventLog(place.events) as log, closing(OnEventRefresher(settings, place, log)) as refresher:
        log.append([Event("e", "orders", content)], at)
        refresher(["c1"], lambda: at)
    online = OnlineFeatures(place).read(["c0", "c1"])
    newest = [curve.at(SEASON_COLUMNS[0], time) for time in (datetime(2022, 12, 31), datetime(2023, 3, 10))]
    assert online[SEASON_COLUMNS[0]].tolist() == newest
    assert newest[0] != newest[1]
