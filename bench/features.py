"""How fast rows are checked and features computed, and how both grow with the orders.

python bench/features.py [--data ../shared/data] [--customers 1000000] [--orders 5000000 15000000 50000000]
                         [--parts check retail scale pandas] [--dir FOLDER] [--json features.json]

check    500,000 order rows through `features.quality.check.check_table`, the median of five
retail   all features and labels of Online Retail, every first of a month of 2011 (needs the folder of the file)
scale    synthetic orders of the customers over two years: features and labels at one moment, from stored tables to
         stored rows, each size in a process of its own
pandas   the order columns of the smallest size written the usual way in pandas, beside Staycast's; both must agree

Synthetic tables are written once under ``--dir`` and used again; without it, to a temporary folder that is removed.
The column "against the smallest" says how many times the rows and the time of the smallest size it is.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from table import write_records

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = datetime(2023, 12, 1)
PARTS = ("check", "retail", "scale", "pandas")
TARGETS = {"check": 0.5, "retail": 15.0, "scale 50,000,000": 180.0}
MEMORY_TARGET_MIB = 8 * 1024
CHECKED_ROWS = 500_000

# A number in [0, 1) for every order and purpose: the same at each run, whatever thread makes it.
DRAW = "(hash(i * 31 + {purpose}) / 18446744073709551616.0)"
ORDERS = f"""
    select 'o' || i as order_id,
           'c' || floor({{customers}} * pow({DRAW.format(purpose=1)}, 1.5))::bigint as customer_id,
           timestamp '2022-01-01' + to_seconds(floor({DRAW.format(purpose=2)} * 63072000)) as ordered_at,
           (case when {DRAW.format(purpose=3)} < 0.03 then -1 else 1 end)
               * round(1 + 200 * pow({DRAW.format(purpose=4)}, 3), 2)::double as amount,
           (1 + floor(5 * {DRAW.format(purpose=5)}))::double as quantity,
           ['web', 'shop', 'app'][1 + floor(3 * {DRAW.format(purpose=6)})::int] as channel,
           'category ' || floor(12 * {DRAW.format(purpose=7)})::int as category,
           round(greatest(0, 6 * {DRAW.format(purpose=8)} - 3), 2)::double as discount, null::timestamp as recorded_at
    from range({{orders}}) as t(i)
"""
CLOCK = """
    select *, hour(ordered_at)::bigint as local_hour, (isodow(ordered_at) - 1)::bigint as local_weekday,
           epoch(ordered_at)::bigint // 86400 as local_day from ({orders})
"""
CUSTOMERS = """
    select 'c' || i as customer_id, timestamp '2022-01-01' as signed_up_at, null::timestamp as recorded_at
    from range({customers}) as t(i)
"""


def make(folder: Path, orders: int, customers: int) -> Path:
    """Write the tables of a synthetic business into a workspace of its own."""
    tables = folder / "state" / "tables"
    if (tables / "customers.parquet").is_file():
        return folder
    tables.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"set preserve_insertion_order = false; set temp_directory = '{folder / 'spill'}'")
        made = CLOCK.format(orders=ORDERS.format(orders=orders, customers=customers))
        connection.execute(f"copy ({made}) to '{tables / 'orders.parquet'}' (format parquet)")
        made = CUSTOMERS.format(customers=customers)
        connection.execute(f"copy ({made}) to '{tables / 'customers.parquet'}' (format parquet)")
    return folder


def child(*arguments: object) -> dict[str, float]:
    """Run a part of this file in a process of its own; seconds as it told them, and the largest memory, MiB."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, wrong = (pipe.read().decode() if pipe else "" for pipe in (process.stdout, process.stderr))
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed: {wrong}")
    wall, cpu = map(float, said.split()[-2:])
    return {"wall_seconds": wall, "cpu_seconds": cpu, "peak_mib": usage.ru_maxrss / 1024}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def staycast(place: str) -> Callable[[], object]:
    """Features and labels of the synthetic business at the one moment, stored."""
    from configs.settings import load
    from configs.workspace import Workspace
    from features.build import build

    settings = load("test")
    as_of = settings.as_of.model_copy(update={"first": AS_OF, "last": AS_OF})
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    settings = settings.model_copy(update={"as_of": as_of, "columns": columns})
    return lambda: build(settings, Workspace(Path(place)))


def retail(place: str) -> Callable[[], object]:
    """Features and labels of Online Retail at every first of a month, stored; its tables must have been ingested."""
    from configs.settings import load
    from configs.workspace import Workspace
    from features.build import build

    def work() -> None:
        made = build(load("online_retail"), Workspace(Path(place)))
        assert len(made["as_ofs"]) == 12, made["as_ofs"]

    return work


def usual(place: str) -> Callable[[], object]:
    """The order columns in pandas, stored beside Staycast's."""
    tables = Path(place) / "state" / "tables"

    def work() -> None:
        orders, customers = (pd.read_parquet(tables / f"{name}.parquet") for name in ("orders", "customers"))
        in_pandas(orders, customers, AS_OF).to_parquet(Path(place) / "pandas.parquet")

    return work


def check(_: str) -> Callable[[], object]:
    """The check of 500,000 orders, as a database gives them."""
    from features.quality.check import check_table
    from features.tables import ORDERS as SPEC

    with duckdb.connect() as connection:
        raw = connection.sql(ORDERS.format(orders=CHECKED_ROWS, customers=CHECKED_ROWS // 10)).df()
    ids = set(raw["customer_id"])
    check_table(SPEC, raw.head(10), NOW, ids)

    def work() -> None:
        assert len(check_table(SPEC, raw, NOW, ids).used) == CHECKED_ROWS

    return work


CHILDREN = {"check": check, "retail": retail, "scale": staycast, "pandas": usual}


def clock(p: pd.DataFrame) -> dict[str, pd.Series]:
    """Circular mean and deviation of the hour of the day, by complex numbers."""
    points = np.exp(2j * np.pi * p["local_hour"].astype(float) / 24)
    mean = points.groupby(p["customer_id"]).mean()
    several = points.groupby(p["customer_id"]).size() > 1
    hour = np.angle(mean) * 12 / np.pi % 24
    length = np.abs(mean).clip(0.05, 1)
    return {
        "mean_hour": pd.Series(np.where(hour > 24 - 1e-6, 0, hour), mean.index).where(np.abs(mean) >= 0.05),
        "sd_hour": pd.Series(np.sqrt(-2 * np.log(length)) * 12 / np.pi, mean.index).where(several),
    }


def in_pandas(orders: pd.DataFrame, customers: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Every order column, the way it is usually written: filter, group, aggregate, join."""
    o = orders[(orders["ordered_at"] < as_of) & ~(orders["recorded_at"] > as_of)].copy()
    o["days_ago"] = (as_of - o["ordered_at"]).dt.total_seconds() / 86_400
    o["buys"] = o["amount"] >= 0
    o = o.sort_values(["customer_id", "ordered_at"])
    gap = o.groupby(["customer_id", "buys"])["local_day"].diff()
    o["gap"] = gap.where(o["buys"] & (gap != 0))
    o["week"] = (o["days_ago"] // 7).astype("int64")
    p = o[o["buys"]]
    ids = pd.Index(customers.loc[customers["signed_up_at"] < as_of, "customer_id"], name="customer_id")

    def tell(rows: pd.DataFrame, name: str, how: str, empty: float = np.nan) -> pd.Series:
        return rows.groupby("customer_id")[name].agg(how).reindex(ids, fill_value=empty).astype("float64")

    def last(rows: pd.DataFrame, days: int, before: int = 0) -> pd.DataFrame:
        ago = rows["days_ago"]
        return rows[(ago <= days) & (ago > before)] if before else rows[ago <= days]

    def discount_share(rows: pd.DataFrame) -> pd.Series:
        saved, paid = tell(rows, "discount", "sum"), tell(rows, "amount", "sum")
        return saved / (saved + paid).replace(0, np.nan)

    first, newest, number = tell(p, "days_ago", "max"), tell(p, "days_ago", "min"), tell(p, "buys", "size", 0)
    tenure, spent = first.clip(lower=1), tell(o, "amount", "sum")
    out = {
        "days_since_last_order": newest,
        "tenure_days": first,
        "silent_share": newest / first.replace(0, np.nan),
        "days_since_last_return": tell(o[~o["buys"]], "days_ago", "min"),
        "orders_total": number,
        "orders_per_30d": number / tenure * 30,
        "spend_total": spent.fillna(0),
        "mean_order": tell(p, "amount", "mean"),
        "mean_order_recent_90d": tell(last(p, 90), "amount", "mean"),
        "max_order": tell(p, "amount", "max"),
        "sd_order": tell(p, "amount", "std"),
        "units_90d": tell(last(o, 90), "quantity", "sum", 0),
        "returns_90d": tell(last(o[~o["buys"]], 90), "buys", "size", 0),
        "return_share": (-tell(o[~o["buys"]], "amount", "sum", 0) / tell(p, "amount", "sum").replace(0, np.nan)),
        "order_weeks_90d": tell(last(p, 90), "week", "nunique", 0),
        "categories_90d": tell(last(p, 90), "category", "nunique", 0),
        "channels_90d": tell(last(p, 90), "channel", "nunique", 0),
        "weekdays": tell(p, "local_weekday", "nunique", 0),
        "discount_share_total": discount_share(p),
        "discount_change_30d": discount_share(last(p, 30)) - discount_share(p),
        "median_gap_days": tell(o, "gap", "median"),
        "mean_gap_days": tell(o, "gap", "mean"),
        "sd_gap_days": tell(o, "gap", "std"),
        "max_gap_days": tell(o, "gap", "max"),
        "recent_gap_days": tell(last(o, 90), "gap", "mean"),
        **clock(p),
        "order_size_trend_30d": tell(last(p, 30), "amount", "mean") / tell(p, "amount", "mean").replace(0, np.nan),
    }
    out["gap_ratio"] = newest / out["median_gap_days"]
    out["gap_to_max"] = newest / out["max_gap_days"]
    out["gap_z"] = (newest - out["mean_gap_days"]) / out["sd_gap_days"].replace(0, np.nan)
    out["gap_cv"] = out["sd_gap_days"] / out["mean_gap_days"]
    flags = p.assign(
        weekend=p["local_weekday"] >= 5,
        morning=p["local_hour"].between(5, 11),
        evening=p["local_hour"] >= 18,
        cheaper=(p["discount"] > 0).astype("float64").where(p["discount"].notna()),
    )
    for name in ("weekend", "morning", "evening"):
        out[f"{name}_share"] = tell(flags, name, "mean")
    out["discounted_orders_share_90d"] = tell(last(flags, 90), "cheaper", "mean")
    for days in (7, 14, 30, 60, 90, 180):
        out[f"orders_{days}d"] = tell(last(p, days), "buys", "size", 0)
    for days in (30, 60, 90, 180):
        out[f"spend_{days}d"] = tell(last(o, days), "amount", "sum", 0)
    usual = spent.where(spent.abs() >= 1e-4) / tenure
    for days in (30, 90):
        out[f"order_days_{days}d"] = tell(last(p, days), "local_day", "nunique", 0)
        out[f"discount_share_{days}d"] = discount_share(last(p, days))
        known, pace = spent.notna(), tenure.clip(upper=days)
        out[f"spend_change_{days}d"] = out[f"spend_{days}d"] - tell(last(o, 2 * days, days), "amount", "sum", 0)
        out[f"orders_pace_{days}d"] = out[f"orders_{days}d"] / pace / (number / tenure)
        out[f"spend_pace_{days}d"] = out[f"spend_{days}d"].where(known) / pace / usual
    for days in (14, 30, 90):
        out[f"orders_change_{days}d"] = out[f"orders_{days}d"] - tell(last(p, 2 * days, days), "buys", "size", 0)
    return pd.DataFrame(out)


def compare(place: Path) -> int:
    """Raise unless Staycast's columns and those of pandas agree to 1e-6; return how many were compared."""
    told = pd.read_parquet(place / "state" / "features" / "rows.parquet").set_index("customer_id")
    other = pd.read_parquet(place / "pandas.parquet").reindex(told.index)
    ours = told.drop(columns=["as_of", "known_at"])
    assert set(ours) == set(other), set(ours) ^ set(other)
    pd.testing.assert_frame_equal(ours, other[list(ours)], rtol=1e-6, atol=1e-6)
    return ours.shape[1]


def measure(options: argparse.Namespace, place: Path) -> list[dict[str, object]]:
    """All records that were asked for."""
    records: list[dict[str, object]] = []

    def keep(name: str, rows: int, **numbers: object) -> None:
        records.append({"part": name, "rows": rows} | numbers)
        Console(stderr=True).print(records[-1])

    if "check" in options.parts:
        keep("check", CHECKED_ROWS, **child("check", place))
    if "retail" in options.parts:
        command = [
            sys.executable,
            str(ROOT / "staycast.py"),
            "ingest",
            "-c",
            "online_retail",
            "-w",
            str(place / "retail"),
        ]
        environment = {**os.environ, "STAYCAST_DATA": str(options.data.resolve())}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        os.environ["STAYCAST_DATA"] = environment["STAYCAST_DATA"]
        orders = pd.read_parquet(place / "retail" / "state" / "tables" / "orders.parquet", columns=["order_id"])
        keep("retail", len(orders), **child("retail", place / "retail"))
    smallest: dict[str, float] = {}
    for number in sorted(options.orders) if {"scale", "pandas"} & set(options.parts) else []:
        folder = make(place / f"{number}-orders-{options.customers}-customers", number, options.customers)
        told = child("scale", folder)
        smallest = smallest or {"rows": number, **told}
        times = {"rows_times": number / smallest["rows"], "time_times": told["wall_seconds"] / smallest["wall_seconds"]}
        keep(f"scale {number:,}", number, **told, **times)
        if "pandas" in options.parts and number == min(options.orders):
            other = child("pandas", folder)
            columns = compare(folder)
            ratio = other["wall_seconds"] / told["wall_seconds"]
            keep("pandas", number, **other, columns=columns, times_staycast=ratio)
        if options.dir is None:
            shutil.rmtree(folder)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data", help="folder of Online Retail")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, nargs="+", default=[5_000_000, 15_000_000, 50_000_000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dir", type=Path, help="keep the synthetic tables here, and use those that are there")
    parser.add_argument("--json", type=Path, help="write the records here")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part, place = options.child
        work = CHILDREN[part](place)
        print(*sorted(timed(work) for _ in range(5 if part == "check" else 1))[2 if part == "check" else 0])
        return
    with tempfile.TemporaryDirectory() as place:
        records = measure(options, options.dir or Path(place))
    title = f"{options.customers:,} customers, {os.cpu_count()} cores, CPython {platform.python_version()}"
    heads = ("part", "rows", "wall s", "cpu s", "peak MiB", "us a row", "against the smallest", "target")
    table = Table(*heads, title=title)
    for record in records:
        wall, cpu, peak, rows = (float(str(record[k])) for k in ("wall_seconds", "cpu_seconds", "peak_mib", "rows"))
        target = TARGETS.get(str(record["part"]))
        wanted = "" if target is None else f"{target:g} s: {'kept' if wall <= target else 'missed'}"
        if str(record["part"]).startswith("scale"):
            wanted = ", ".join(filter(None, [wanted, f"8 GiB: {'kept' if peak <= MEMORY_TARGET_MIB else 'missed'}"]))
        if "times_staycast" in record:
            wanted = f"{float(str(record['times_staycast'])):.1f} times Staycast; {record['columns']} columns agree"
        table.add_row(
            str(record["part"]),
            f"{rows:,.0f}",
            f"{wall:.2f}",
            f"{cpu:.2f}",
            f"{peak:,.0f}",
            f"{1e6 * wall / rows:.2f}",
            f"{record['rows_times']:.1f} rows, {record['time_times']:.1f} time" if "rows_times" in record else "",
            wanted,
        )
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
