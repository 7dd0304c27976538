"""How long a refresh of touched customers, one event, and putting all customers online take, on made-up customers.

python bench/refresh.py [--customers 200000 1000000] [--touched 10000] [--orders 8] [--json refresh.json]

The customers are made once, in DuckDB, in a temporary folder. Putting all online and the refresh are measured on
SQLite and, if ``redis-server`` is installed, on a Redis of its own. The way online that Feast goes itself (its own
SQLite store and ``write_to_online_store``) is measured on few rows beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pandas as pd
from rich.console import Console
from rich.table import Table
from table import write_records

from configs.settings import Settings, load
from configs.workspace import Workspace
from features import refresh
from features.engine import connect, read_tables
from features.schema import features_of, schema_of
from features.store import feature_store
from features.store.event_log import Event, EventLog
from features.store.online_rows import OnlineFeatures

NEWEST = datetime(2024, 6, 1)
NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)
EVENTS = 50
FEAST_ROWS = 2_000


def make(place: Workspace, customers: int, orders: int) -> None:
    """Write checked tables: orders of two years before `NEWEST`, in no order of customers."""
    place.tables.mkdir(parents=True)
    backend = connect()
    backend.raw_sql("SELECT setseed(0.5)")
    who = f"'c' || lpad(CAST(CAST(floor(random() * {customers}) AS INTEGER) AS VARCHAR), 7, '0')"
    at = f"TIMESTAMP '{NEWEST}' - to_seconds(CAST(random() * 730 * 86400 AS BIGINT) + 1)"
    none = "NULL::TIMESTAMP AS recorded_at"
    told = {
        "customers": f"SELECT 'c' || lpad(CAST(i AS VARCHAR), 7, '0') AS customer_id, "
        f"TIMESTAMP '2022-01-01' AS signed_up_at, {none} FROM range({customers}) t(i)",
        "orders": "SELECT *, hour(ordered_at) AS local_hour, isodow(ordered_at) - 1 AS local_weekday, "
        "date_diff('day', DATE '1970-01-01', CAST(ordered_at AS DATE)) AS local_day FROM ("
        f"SELECT 'o' || i AS order_id, {who} AS customer_id, {at} AS ordered_at, round(random() * 100, 2) AS amount, "
        "1.0 AS quantity, 'web' AS channel, CAST(i % 7 AS VARCHAR) AS category, 0.0 AS discount, "
        f"{none} FROM range({customers * orders}) t(i))",
    }
    for name, query in told.items():
        backend.raw_sql(f"COPY ({query}) TO '{place.tables / name}.parquet' (FORMAT parquet)")


@contextmanager
def timed(record: dict[str, Any], what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    record[what] = time.perf_counter() - start


def build_newest(place: Workspace, settings: Settings) -> None:
    """The rows of the newest moment alone, as a build stores them."""
    backend = connect()
    tables = read_tables(backend, place.tables)
    columns = features_of(tables, settings.columns)
    everyone = {name: str(backend.compile(table)) for name, table in tables.items()}
    rows = refresh.CompiledFeatures(backend, tables, columns).rows(everyone, NEWEST)
    place.features.mkdir(parents=True)
    rows.assign(known_at=rows["as_of"]).to_parquet(place.features / "rows.parquet", index=False)
    schema_of(columns).save(place.features)


def feast_seconds_a_row(place: Workspace, folder: Path) -> float:
    """Seconds a customer of Feast's own way into its own SQLite store."""
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

    registered = feature_store.open_feature_store(place)
    views = registered.list_feature_views()
    config = registered.config.model_copy()
    config.online_config = SqliteOnlineStoreConfig(path=str(folder / "feast.db"))
    config._online_store = config.online_config
    own = SqliteOnlineStore()
    own.update(config, [], views, [], [], partial=False)
    rows = pd.read_parquet(place.features / "rows.parquet").head(FEAST_ROWS)
    provider = registered._get_provider()
    start = time.perf_counter()
    for view in views:
        part = rows[["customer_id", "as_of", "known_at", *(f.name for f in view.features)]]
        own.online_write_batch(config, view, provider._prep_rows_to_write_for_ingestion(view, part), None)
    return (time.perf_counter() - start) / len(rows)


def new_orders(count: int, customers: int, name: str, at: datetime) -> list[Event]:
    stamp = (at - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    return [
        Event(
            f"{name}{i}",
            "orders",
            {
                "order_id": f"{name}{i}",
                "customer_id": f"c{i * (customers // count):07}",
                "ordered_at": stamp,
                "amount": 5.0,
            },
        )
        for i in range(count)
    ]


def measure(
    customers: int, touched: int, orders: int, feast: Callable[..., float] = feast_seconds_a_row
) -> dict[str, Any]:
    settings = load("default")
    record: dict[str, Any] = {"customers": customers, "orders": customers * orders, "touched": touched}
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder) / "place")
        with timed(record, "make_seconds"):
            make(place, customers, orders)
        with timed(record, "newest_moment_seconds"):
            build_newest(place, settings)
        feature_store.apply(place)
        with timed(record, "materialize_seconds"):
            feature_store.materialize(place)
        if shutil.which("redis-server"):
            measure_redis(record, place, settings)
            feature_store.apply(place, settings)
            feature_store.materialize(place)
        with timed(record, "after_build_seconds"):
            refresh.start_from_build(settings, place, NOW)
        with EventLog(place.events) as log:
            log.append(new_orders(touched, customers, "t", NOW), NOW)
            with timed(record, "refresh_seconds"):
                told = refresh.refresh(settings, place, NOW)
            assert told["touched"] == told["online"] == touched, told
            record |= one_event(settings, place, log, customers)
        online = place.feast / "online.db"
        record["online_bytes_a_customer"] = online.stat().st_size / customers
        record["features"] = len(pd.read_parquet(place.features / "rows.parquet").columns) - 3
        each = feast(place, Path(folder))
        record["feast_materialize_seconds_extrapolated"] = each * customers
        with sqlite3.connect(Path(folder) / "feast.db") as held:
            pages = held.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
        record["feast_bytes_a_customer"] = pages / min(FEAST_ROWS, customers)
    record["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return record


def measure_redis(record: dict[str, Any], place: Workspace, settings: Settings) -> None:
    """Put all online in a Redis that lives only so long, and read from both stores."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    record["sqlite_read_ms"] = read_ms(place, record["customers"])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        told = settings.redis.model_copy(update={"url": f"redis://127.0.0.1:{port}/0", "read_timeout_ms": 5000})
        feature_store.apply(place, settings.model_copy(update={"online_store": "redis", "redis": told}))
        with timed(record, "redis_materialize_seconds"):
            feature_store.materialize(place)
        record["redis_read_ms"] = read_ms(place, record["customers"])
        asked = ["redis-cli", "-p", str(port), "info", "memory"]
        info = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        used = next(line for line in info.splitlines() if line.startswith("used_memory:"))
        record["redis_bytes_a_customer"] = int(used.split(":")[1]) / record["customers"]
    finally:
        process.kill()
        process.wait()


def read_ms(place: Workspace, customers: int) -> float:
    """Middle of some reads of one customer."""
    reader, seconds = OnlineFeatures(place), []
    for number in range(EVENTS):
        start = time.perf_counter()
        found = reader.read([f"c{number * (customers // EVENTS):07}"])
        seconds.append(time.perf_counter() - start)
        assert found["as_of"].notna().all()
    return 1000 * statistics.median(seconds)


def one_event(settings: Settings, place: Workspace, log: EventLog, customers: int) -> dict[str, float]:
    """Middle and slowest of some events, each on disk and in the features; without HTTP."""
    at_once = refresh.OnEventRefresher(settings, place, log)
    at_once.known([])
    seconds = []
    for number, event in enumerate(new_orders(EVENTS, customers, "e", NOW)):
        start = time.perf_counter()
        log.append([event], NOW + timedelta(seconds=number))
        at_once([event.customer_id], lambda: NOW + timedelta(minutes=5))
        seconds.append(time.perf_counter() - start)
    at_once.close()
    return {"event_ms_median": 1000 * statistics.median(seconds), "event_ms_slowest": 1000 * max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--touched", type=int, default=10_000)
    parser.add_argument("--orders", type=int, default=8, help="orders a customer, on average")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    records = [measure(n, options.touched, options.orders) for n in options.customers]
    title = f"{os.cpu_count()} cores, CPython {platform.python_version()}"
    table = Table("", *(f"{r['customers']:,} customers" for r in records), title=title)
    for key in records[0]:
        table.add_row(key.replace("_", " "), *(f"{r[key]:,.1f}" for r in records))
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
