"""A table that is read in parts gives what it gives as one: rows, quarantine, report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from configs.loads import PROFILE, QUARANTINE, TABLES, VERDICT
from configs.settings import Settings
from configs.workspace import Workspace
from features import sufficiency
from features.ingest import ingest
from features.people.identity import resolve_if_given
from features.people.suppression_list import suppress
from features.quality import anomalies
from features.quality.check import check_table, check_tables
from features.quality.chunks import ChunkedCheck, ValidatedChunkedTable
from features.sources import database, files
from features.sources.loaders import loader, opened
from features.sources.staging import ChunkedTable
from features.tables import ORDERS

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Business = Callable[..., Settings]


def lines(rows: int, seed: int = 0) -> pd.DataFrame:
    """Orders with everything that may be wrong: keys again near and far, strangers, gaps, bad values, line breaks."""
    rng = np.random.default_rng(seed)
    number = np.arange(rows)
    order = np.where(rng.random(rows) < 0.02, rng.integers(0, rows, rows), number)
    orders = pd.DataFrame(
        {
            "order_id": [f"o{n}" for n in order],
            "customer_id": [f"c{n}" for n in rng.integers(0, 210, rows)],
            "ordered_at": (pd.Timestamp("2023-01-01") + pd.to_timedelta(number * 7, unit="min")).strftime(
                "%d.%m.%Y %H:%M"
            ),
            "amount": [f"{v:.2f}".replace(".", ",") for v in rng.gamma(2, 30, rows)],
            "channel": rng.choice(["web", "shop", 'two\nlines; "quoted"'], rows),
            "recorded_at": "",
        }
    )
    for column, text in (
        ("order_id", ""),
        ("amount", "many"),
        ("amount", ""),
        ("amount", "-0,00"),
        ("ordered_at", "31.02.2023 10:00"),
    ):
        orders.loc[rng.random(rows) < 0.004, column] = text
    return orders


def csv(frame: pd.DataFrame, path: Path, **told: Any) -> str:
    frame.to_csv(path, index=False, sep=";", **told)
    return str(path)


@pytest.fixture
def business(tmp_path: Path, settings: Settings) -> Business:
    """Settings of a business of two hundred customers, with these files of orders."""
    people = pd.DataFrame({"customer_id": [f"c{n}" for n in range(200)], "signed_up_at": "2022-12-01"})
    people.to_csv(tmp_path / "customers.csv", index=False)

    def make(*paths: str, **mapping: Any) -> Settings:
        times = {"ordered_at": {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}}
        orders = {"path": list(paths), "times": times, **mapping}
        options = {"customers": {"path": str(tmp_path / "customers.csv")}, "orders": orders}
        source = settings.source.model_copy(update={"loader": "files", "options": options})
        columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
        update = {"source": source, "columns": columns, "time_zone": "America/New_York"}
        return settings.model_copy(update=update)

    return make


def german(folder: Path) -> tuple[str, ...]:
    """One file with a byte order mark, decimal commas and quoted line breaks, and a line that is no row."""
    path = csv(lines(3000), folder / "o.csv", encoding="utf-8-sig")
    with Path(path).open("a") as file:
        file.write("o1;c1;too;many;fields;in;this;line\n")
    return (path,)


def several(folder: Path) -> tuple[str, ...]:
    """Three files, one without a column, one in which no amount tells its decimal sign."""
    whole = lines(3000)
    plain = whole.iloc[2500:].assign(amount="1,234")
    return (
        csv(whole.iloc[:1500], folder / "a.csv"),
        csv(whole.iloc[1500:2500].drop(columns="channel"), folder / "b.csv"),
        csv(plain, folder / "c.csv"),
    )


def late(folder: Path) -> tuple[str, ...]:
    """All that is wrong stands in the last part."""
    orders = lines(2600).assign(amount="1,50", order_id=[f"o{n}" for n in range(2600)])
    orders.loc[2599, ["order_id", "amount"]] = ["o0", "1,2,3"]
    return (csv(orders, folder / "late.csv"),)


def clean(folder: Path) -> tuple[str, ...]:
    """Not a single row is wrong."""
    text = {"order_id": [f"o{n}" for n in range(2600)], "customer_id": "c1", "ordered_at": "01.02.2024 10:00"}
    return (csv(lines(2600).assign(amount="1,50", **text), folder / "clean.csv"),)


def hopeless(folder: Path) -> tuple[str, ...]:
    """Not a single row is right."""
    return (csv(lines(2600).assign(customer_id="nobody"), folder / "hopeless.csv"),)


def assert_same(one: Workspace, other: Workspace) -> None:
    """Both hold the same tables, quarantine, report, verdict and profile."""
    for folder in (TABLES, QUARANTINE):
        for path in sorted(one.loads.newest(folder).glob("*.parquet")):
            same = other.loads.newest(folder) / path.name
            pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(same))
    for name in ("report/quality.json", VERDICT, PROFILE):
        told, told_other = (json.loads(place.loads.newest(name).read_text()) for place in (one, other))
        assert told == told_other


@pytest.mark.slow
@pytest.mark.parametrize("export", [german, several, late, clean, hopeless])
@pytest.mark.parametrize("chunk_rows", [1000, 2600])
def test_the_size_of_the_parts_changes_nothing(
    tmp_path: Path, business: Business, export: Callable[[Path], tuple[str, ...]], chunk_rows: int
) -> None:
    ready, one, other = business(*export(tmp_path)), Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    whole, in_parts = ingest(ready, one, NOW), ingest(ready, other, NOW, chunk_rows=chunk_rows)
    assert whole == in_parts
    assert_same(one, other)
    assert not list(other.state.glob(".*"))


def test_rows_of_all_parts_are_used_or_in_quarantine(tmp_path: Path, business: Business) -> None:
    made = ingest(business(*german(tmp_path)), Workspace(tmp_path / "w"), NOW, chunk_rows=1000)
    told = {t["name"]: t for t in made["tables"]}["orders"]
    assert told["rows_read"] == 3001 == told["rows_used"] + told["rows_quarantined"] + told["rows_left_out"]
    assert 0 < told["rows_left_out"] < 40
    assert sum(told["reasons"].values()) == told["rows_quarantined"] > 100
    assert told["duplicates"] > 20


def test_of_a_key_in_two_parts_the_first_is_used(tmp_path: Path, business: Business) -> None:
    orders = lines(2000).assign(order_id=[f"o{n % 1500}" for n in range(2000)], amount="1,00", customer_id="c1")
    ready, place = business(csv(orders, tmp_path / "o.csv")), Workspace(tmp_path / "w")
    ingest(ready, place, NOW, chunk_rows=1000)
    again = pd.read_parquet(place.quarantine / "orders.parquet")
    said = again["reason"].str.contains("order_id: occurs more than once; the first is used")
    assert again.loc[said, "order_id"].isin([f"o{n}" for n in range(500)]).all()
    kept = pd.read_parquet(place.loads.newest(TABLES) / "orders.parquet")["order_id"]
    assert kept.is_unique
    assert set(kept) | set(again["order_id"]) == set(orders["order_id"].replace("", "<NA>"))


@pytest.mark.slow
def test_rows_of_erased_persons_are_left_out_of_every_part(tmp_path: Path, business: Business) -> None:
    ready = business(*german(tmp_path))
    places = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    suppress(places[0], ["c3", "c7"])
    suppress(places[1], ["c3", "c7"])
    whole, in_parts = ingest(ready, places[0], NOW), ingest(ready, places[1], NOW, chunk_rows=1000)
    assert whole == in_parts
    assert {t["name"]: t["rows_erased"] for t in in_parts["tables"]}["orders"] > 0
    assert_same(*places)


def test_a_table_of_erased_persons_alone_is_empty_however_it_is_read(tmp_path: Path, business: Business) -> None:
    ready, place = business(csv(lines(2000).assign(customer_id="c3"), tmp_path / "o.csv")), Workspace(tmp_path / "w")
    suppress(place, ["c3"])
    for rows in (1000, 9999):
        with pytest.raises(DataError, match="orders: the table is empty"):
            ingest(ready, place, NOW, chunk_rows=rows)


def test_aliases_are_given_to_their_persons_in_every_part(tmp_path: Path, business: Business) -> None:
    ready = business(*german(tmp_path))
    links = pd.DataFrame({"customer_id": ["c1"], "alias": ["c205"], "source": ["app"], "seen_at": ["2023-01-05"]})
    found = []
    for rows in (1000, 9999):
        with opened(loader("files"), ready.source.options, rows) as raw:
            check = ChunkedCheck(tmp_path, lambda one: one.used)
            checked = resolve_if_given(
                check_tables({**raw, "identities": links}, ready.columns, NOW, "inactivity", check)
            )
            found.append(checked["orders"].select(lambda frame: frame))
    assert (found[0]["customer_id"] != "c205").all()
    assert found[0]["recorded_at"].notna().any()
    pd.testing.assert_frame_equal(*(frame.astype({"customer_id": "string"}) for frame in found))


@pytest.mark.slow
def test_the_profile_is_drawn_alike_from_parts(
    tmp_path: Path, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anomalies, "PROFILED", 700)
    ready, one, other = business(*german(tmp_path)), Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    ingest(ready, one, NOW)
    ingest(ready, other, NOW, chunk_rows=1000)
    assert_same(one, other)


@pytest.mark.slow
def test_a_trial_tells_the_same_of_parts(tmp_path: Path, business: Business) -> None:
    ready = business(*german(tmp_path))
    whole = sufficiency.check_source(ready)
    assert sufficiency.check_source(ready, chunk_rows=1000) == whole


@pytest.mark.parametrize("odd", [False, True])
def test_ids_that_are_floats_are_told_alike_in_every_part(tmp_path: Path, odd: bool) -> None:
    orders = pd.DataFrame(
        {
            "order_id": np.arange(5000.0),
            "customer_id": np.where(np.arange(5000) % 7 == 0, np.nan, 17.0),
            "ordered_at": pd.Timestamp("2024-01-01"),
            "amount": 1.5,
        }
    )
    orders.loc[4999, "order_id"] = 0.5 if odd else 4999.0
    orders.to_parquet(tmp_path / "o.parquet")
    options = {"orders": {"path": str(tmp_path / "o.parquet")}}
    whole = check_table(ORDERS, files.load(options)["orders"], NOW, {"17", "17.0"})
    check = ChunkedCheck(tmp_path, lambda one: one.used)
    with files.opened(options, 1000) as raw:
        assert isinstance(raw["orders"], ChunkedTable)
        found = check(ORDERS, raw["orders"], NOW, {"17", "17.0"})
    assert isinstance(found, ValidatedChunkedTable)
    pd.testing.assert_frame_equal(found.select(lambda frame: frame), whole.used)
    kept = pd.read_parquet(found.quarantine_file)
    pd.testing.assert_frame_equal(kept, whole.quarantined.astype(str))
    for name in ORDERS.names:
        assert (found.filled(name), found.distinct(name)) == (whole.filled(name), whole.distinct(name))
    assert dataclasses.replace(found, erased=2).rows_read == 5002


def test_a_database_is_read_in_parts_in_its_order(tmp_path: Path) -> None:
    place = tmp_path / "shop.duckdb"
    with duckdb.connect(str(place)) as connection:
        connection.execute(
            "create table orders as select i as order_id, 'c1' as customer_id, timestamp '2024-01-01' as ordered_at, "
            "case when i <> 2900 then i end as amount from range(3000) t(i)"
        )
    options = {"duckdb": str(place), "tables": {"orders": {"table": "orders"}}}
    with database.opened(options, 1000) as raw:
        found = ChunkedCheck(tmp_path, lambda one: one.used)(ORDERS, raw["orders"], NOW, {"c1"})
    whole = check_table(ORDERS, database.load(options)["orders"], NOW, {"c1"})
    pd.testing.assert_frame_equal(found.select(lambda frame: frame), whole.used)
    assert (found.rows_used, found.rows_quarantined) == (2999, 1)
