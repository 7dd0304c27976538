"""How often seeded corruptions are caught, and clean loads let pass, of five businesses in turn.

A trial takes a clean load, accepted before (the reference), and another load of the same business, which is clean or
has something wrong (`bench.corruptions`). Caught: the ingest refuses, or a finding stops. Synthetic: the other load
is another seed, in every second trial also a month longer, and half of the businesses write their categories with
letters outside ASCII. Contracts: another seed, too. Complete Journey: each load is half a year of 400 households drawn
at random. (Drawn with replacement, one of them would stand twice in `customers`, which is rightly found.) Online Retail
and CDNOW: each load is customers drawn, with all their orders.

python bench/quality.py [--trials 100] [--seed 0] [--json quality.json]

Thresholds are tuned on some seeds and judged on others: give another base seed to see loads that nobody has looked at.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from table import write_records

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.corruptions import KINDS, NotThereError, corrupt
from configs.errors import DataError
from configs.settings import Settings, load
from features.quality import anomalies, quality_gate
from features.quality.check import check_tables
from features.simulation import subscriptions
from features.simulation.shop import generate
from features.sources.data_sets import completejourney
from features.sources.loaders import loader
from features.tables import REASON, SOURCE_ROWS, TABLES

CUSTOMERS, MONTHS, HOUSEHOLDS = 500, 6, 400
DRAWN = {"online_retail": ("2011-12-16", 1500), "cdnow": ("1998-07-08", 4000)}
BUSINESSES = ("synthetic", "completejourney", "contracts", *DRAWN)
Tables = Mapping[str, pd.DataFrame]
ACCENTS = {"drinks": "Getränke", "fresh": "Légumes", "pantry": "Épicerie", "store": "Geschäft"}


def synthetic(seed: int, accents: bool, months: int = MONTHS) -> tuple[Tables, datetime]:
    """Tables of one seed, and a moment a week after their end."""
    made = generate(CUSTOMERS, months, seed)
    tables = {n: f.replace(ACCENTS) if accents and n == "orders" else f for n, f in made.tables.items()}
    return tables, (pd.Timestamp("2024-01-01", tz="UTC") + pd.DateOffset(months=months, days=7)).to_pydatetime()


@cache
def journey() -> dict[str, pd.DataFrame]:
    """Complete Journey, with the orders and contacts of the second half of its year."""
    tables = {n: f.astype({"customer_id": str}) for n, f in completejourney.load({}).items()}
    times = {"orders": "ordered_at", "contacts": "contacted_at"}
    return {n: f[f[times[n]] >= "2017-07-01"] if n in times else f for n, f in tables.items()}


@cache
def whole(business: str) -> dict[str, pd.DataFrame]:
    """The tables of a public data set; rows that its source itself refuses are left out."""
    tables = loader(business).load(load(business).source.options)
    orders = tables["orders"]
    kept = orders[orders[REASON].isna()].drop(columns=[REASON, SOURCE_ROWS]) if REASON in orders else orders
    return {n: _timed(n, f.astype({"customer_id": str})) for n, f in {**tables, "orders": kept}.items()}


def _timed(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose times are times, not texts."""
    times = [f.name for f in TABLES[name].fields if f.kind == "time" and f.name in frame]
    return frame.assign(**{c: pd.to_datetime(frame[c], utc=True, format="ISO8601") for c in times})


def households(rng: np.random.Generator) -> tuple[Tables, datetime]:
    """Complete Journey's tables for households drawn at random; each is given a new id."""
    return drawn_customers(journey(), HOUSEHOLDS, rng), pd.Timestamp("2018-01-08", tz="UTC").to_pydatetime()


def drawn_customers(tables: Tables, size: int, rng: np.random.Generator) -> Tables:
    """The tables of customers drawn at random; each is given a new id."""
    drawn = rng.choice(tables["customers"]["customer_id"], size, replace=False)
    who = pd.DataFrame({"customer_id": drawn, "drawn": [f"{i}" for i in range(size)]})
    out = {}
    for name, frame in tables.items():
        rows = frame.merge(who, on="customer_id").drop(columns="customer_id").rename(columns={"drawn": "customer_id"})
        key = {"orders": "order_id", "contacts": "contact_id"}.get(name)
        if key:
            rows[key] = rows[key].astype(str) + (rows["customer_id"] if name == "orders" else "-" + rows["customer_id"])
            rows = rows.sort_values({"orders": "ordered_at", "contacts": "contacted_at"}[name], ignore_index=True)
        out[name] = rows[list(frame.columns)]
    return out


def profile(tables: Tables, settings: Settings, now: datetime) -> anomalies.Profile:
    checked = check_tables(dict(tables), settings.columns, now, settings.churn.kind)
    return quality_gate.judge(checked, settings, None, now)[1]


def stops(tables: Tables, settings: Settings, reference: anomalies.Profile, now: datetime) -> tuple[list[str], ...]:
    """What keeps a load from going on, with the reference and as a first load: rules by name, or the refusal."""
    try:
        checked = check_tables(dict(tables), settings.columns, now, settings.churn.kind)
    except DataError as error:
        return ([f"refused: {error}"],) * 2
    alone, told = quality_gate.judge(checked, settings, None, now)
    low = [f for f in alone.stops if f.rule not in anomalies.RULES or f.rule == "gap"]
    compared = [f for f in anomalies.find_anomalies(told, reference) if f.severity == "stop"]
    return tuple([f"{f.table}.{f.column} {f.rule}" for f in found] for found in ([*low, *compared], alone.stops))


def loads(trial: int, business: str) -> tuple[str, Settings, anomalies.Profile, Tables, datetime]:
    """The business of a trial, the profile of its accepted load, and the load that follows, still clean."""
    if business == "synthetic":
        accents = trial % 4 == 0
        settings = load("test")
        first, then = synthetic(2 * trial, accents)
        tables, now = synthetic(2 * trial + 1, accents, MONTHS + (trial // 4) % 2)
        return "synthetic", settings, profile(first, settings, then), tables, now
    rng = np.random.default_rng(trial)
    if business == "contracts":
        settings, months = load("test_subscriptions").model_copy(update={"data_until": None}), 12
        before, after = (subscriptions.generate(CUSTOMERS, months, 2 * trial + k).tables for k in (0, 1))
        now = pd.Timestamp("2024-01-08", tz="UTC").to_pydatetime()
        return business, settings, profile(before, settings, now), after, now
    if business in DRAWN:
        settings, (present, size) = load(business), DRAWN[business]
        before, after = (drawn_customers(whole(business), size, rng) for _ in range(2))
        now = pd.Timestamp(present, tz="UTC").to_pydatetime()
        return business, settings, profile(before, settings, now), after, now
    settings = load("completejourney")
    first, then = households(rng)
    tables, now = households(rng)
    return "completejourney", settings, profile(first, settings, then), tables, now


def run(
    trials: int,
    say: Callable[[str], None] = lambda text: None,
    businesses: tuple[str, ...] = BUSINESSES,
    first: int = 0,
) -> list[dict[str, Any]]:
    """One record a trial and kind, of the businesses in turn; kind ``clean`` has nothing wrong.

    Trials are told apart by number, and `first` is the number of the first: other numbers, other loads.
    """
    records = []
    for trial in range(first, first + trials):
        name, settings, reference, tables, now = loads(trial, businesses[trial % len(businesses)])
        for place, kind in enumerate(("clean", *KINDS)):
            rng = np.random.default_rng([trial, place])
            try:
                damaged, what = (tables, "") if kind == "clean" else corrupt(kind, tables, rng)
            except NotThereError:
                continue
            told = {"kind": kind, "trial": trial, "business": name, "what": what}
            with_reference, first_load = stops(damaged, settings, reference, now)
            records.append(told | {"found": with_reference, "found_without_reference": first_load})
            if bool(with_reference) == (kind == "clean"):
                say(f"{name} {trial} {kind} {what}: {with_reference}")
        say(f"trial {trial - first + 1} of {trials}")
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="number of the first trial")
    parser.add_argument("--business", action="append", choices=BUSINESSES, help="of these alone")
    parser.add_argument("--json", type=Path, help="write the records here")
    options = parser.parse_args()
    chosen = tuple(options.business or BUSINESSES)
    records = run(options.trials, lambda text: print(text, file=sys.stderr, flush=True), chosen, options.seed)
    frame = pd.DataFrame(records)
    table = Table("kind", "trials", "stopped", "stopped at the first load", title=f"{os.cpu_count()} cores")
    clean = frame["kind"] == "clean"
    frame["kind"] = frame["kind"].mask(clean, "clean " + frame["business"])  # false alarms of each business
    for kind, rows in frame.groupby("kind", sort=False):
        counts = [str(int(rows[c].map(bool).sum())) for c in ("found", "found_without_reference")]
        table.add_row(str(kind), str(len(rows)), *counts)
    Console().print(table)
    write_records(records, options.json)


if __name__ == "__main__":
    main()
