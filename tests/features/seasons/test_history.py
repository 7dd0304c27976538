"""Levels by day beside the same counted order by order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from features.labels.gaps import Gap
from features.seasons import history as of_history
from features.seasons.history import comes_late, gap_levels, read_history, silence_levels, value_levels

Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]
FIRST, DAYS = datetime(2024, 1, 1), 400


def raw(seed: int = 1, customers: int = 60, lag_days: float | None = None) -> dict[str, pd.DataFrame]:
    """Orders by chance, some of them returns; each recorded `lag_days` after it was placed, unless that is None."""
    rng = np.random.default_rng(seed)
    n = customers * 15
    orders = pd.DataFrame({"order_id": [f"o{i}" for i in range(n)], "customer_id": rng.integers(0, customers, n)})
    orders["customer_id"] = "c" + orders["customer_id"].astype(str)
    days = rng.uniform(0, DAYS, n)
    days[0] = 0.0
    orders["ordered_at"] = FIRST + pd.to_timedelta(days * 86400 // 1, unit="s")
    orders["amount"] = np.where(rng.random(n) < 0.1, -5.0, rng.lognormal(3, 1, n).round(2))
    if lag_days is not None:
        orders["recorded_at"] = orders["ordered_at"] + pd.to_timedelta(lag_days, unit="D")
    signed_up = orders.groupby("customer_id")["ordered_at"].min().rename("signed_up_at").reset_index()
    return {"customers": signed_up, "orders": orders}


@pytest.fixture(scope="module")
def tables(opened: Open) -> dict[str, ir.Table]:
    return opened(raw())


def at(day: int) -> datetime:
    return FIRST + timedelta(days=day)


@pytest.mark.parametrize("day", [90, 120, 250, 309])
def test_the_level_of_value_is_what_known_customers_bring_over_what_came_before(
    tables: dict[str, ir.Table], day: int
) -> None:
    levels = value_levels(read_history(tables, FIRST, at(DAYS)), 60)
    frames, moment = raw(), at(day)
    orders = frames["orders"].merge(frames["customers"], on="customer_id")
    known = orders[orders["signed_up_at"] < moment]
    ahead = known[(known["ordered_at"] >= moment) & (known["ordered_at"] < at(day + 60))]
    before = orders[(orders["ordered_at"] < moment) & (orders["ordered_at"] >= at(day - 90))]
    expected = np.log(ahead["amount"].sum() / 60) - np.log(before["amount"].sum() / 90)
    assert levels.values[day] == pytest.approx(expected)
    noise = [(rows["amount"] ** 2).sum() / rows["amount"].sum() ** 2 for rows in (ahead, before)]
    assert levels.noise[day] == pytest.approx(sum(noise))


@pytest.mark.parametrize("day", [60, 200, 350])
def test_the_level_of_silence_is_the_log_odds_of_the_label(tables: dict[str, ir.Table], day: int) -> None:
    levels = silence_levels(read_history(tables, FIRST, at(DAYS)), 20, 60)
    bought = raw()["orders"].query("amount >= 0")
    before = bought[(bought["ordered_at"] < at(day)) & (bought["ordered_at"] >= at(day - 60))]
    ahead = bought[(bought["ordered_at"] >= at(day)) & (bought["ordered_at"] < at(day + 20))]
    stayed = before["customer_id"].drop_duplicates().isin(ahead["customer_id"])
    left, there = (~stayed).sum() + 0.5, stayed.sum() + 0.5
    assert levels.values[day] == pytest.approx(np.log(left / there))
    assert levels.noise[day] == pytest.approx(1 / left + 1 / there)


def test_a_level_of_silence_is_there_when_hardly_anybody_falls_silent(opened: Open) -> None:
    """Of thirty customers two stay away: where this is the season, it is not to be left out of it."""
    day = [d for c in range(30) for d in ([10, 50] if c > 1 else [10])]
    orders = pd.DataFrame({"order_id": [f"o{i}" for i in range(len(day))], "ordered_at": [at(d) for d in day]})
    orders = orders.assign(amount=1.0, customer_id=[f"c{c}" for c in range(30) for _ in range(2 if c > 1 else 1)])
    customers = orders.groupby("customer_id")["ordered_at"].min().rename("signed_up_at").reset_index()
    history = read_history(opened({"customers": customers, "orders": orders}), FIRST, at(100))
    assert silence_levels(history, 30, 30).values[35] == pytest.approx(np.log(2.5 / 28.5))


@pytest.mark.parametrize("day", [90, 200, 350])
def test_the_level_of_the_gap_is_how_much_rarer_orders_become(tables: dict[str, ir.Table], day: int) -> None:
    levels = gap_levels(read_history(tables, FIRST, at(DAYS)), 30)
    frames, moment = raw(), at(day)
    bought = frames["orders"].query("amount >= 0").merge(frames["customers"], on="customer_id")
    ahead = bought.query(
        "signed_up_at < @moment <= ordered_at < @until", local_dict={"moment": moment, "until": at(day + 30)}
    )
    before = bought[(bought["ordered_at"] < moment) & (bought["ordered_at"] >= at(day - 90))]
    counts = len(before) + 0.5, len(ahead) + 0.5
    assert levels.values[day] == pytest.approx(np.log(counts[0] / 90) - np.log(counts[1] / 30))
    assert levels.noise[day] == pytest.approx(1 / counts[0] + 1 / counts[1])
    assert np.isnan(levels.values[:90]).all()


def test_levels_of_few_orders_and_of_days_over_a_gap_are_none(tables: dict[str, ir.Table]) -> None:
    gap = Gap("orders", at(200), at(205), 10.0)
    levels = value_levels(read_history(tables, FIRST, at(DAYS), [gap]), 60)
    known = np.flatnonzero(np.isfinite(levels.values))
    assert known[known < 250].max() == 140
    assert known[known > 200].min() == 295
    few = read_history(tables, FIRST, at(DAYS))
    few = of_history.History(few.first, few.days, few.orders.head(5), few.steps.head(5), few.missing)
    assert np.isnan(value_levels(few, 60).values).all()
    assert np.isnan(silence_levels(few, 20, 60).values).all()


def test_what_is_recorded_later_is_not_known_at_a_moment(opened: Open) -> None:
    late = opened(raw(lag_days=30.0))
    assert comes_late(late["orders"])
    assert not comes_late(opened(raw())["orders"])
    assert not comes_late(opened(raw(lag_days=0.0))["orders"])
    history = read_history(late, FIRST, at(300))
    assert history.orders["day"].max() == 269
    assert history.steps["next"].max() <= 269
