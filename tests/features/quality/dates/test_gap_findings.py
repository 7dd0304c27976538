"""Gaps of a load are named with their table and days, and stop it unless the business says otherwise."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from configs.settings import Columns, Settings
from features.quality import quality_gate
from features.quality.check import ValidatedTable, check_tables
from features.tables import TABLES

NOW = datetime(2024, 8, 1, tzinfo=UTC)


def shop(lost: tuple[str, str] = ("2000-01-01", "2000-01-02"), visits: bool = False) -> dict[str, ValidatedTable]:
    """Two hundred days of eight orders, and of twelve visits if asked for, without the orders of the days lost."""
    rng, tables = np.random.default_rng(2), {}
    for name, rate in (("orders", 8), ("interactions", 12)):
        key, time = TABLES[name].key, TABLES[name].time
        days = np.repeat(np.arange(200), rng.poisson(rate, 200))
        times = pd.Timestamp("2024-01-01") + pd.to_timedelta(days + rng.random(len(days)), unit="D")
        ids = [f"{name}{i}" for i in range(len(days))]
        frame = pd.DataFrame({key: ids, "customer_id": rng.integers(0, 50, len(days)).astype(str), time: times})
        tables[name] = frame.assign(**({"amount": 5.0} if name == "orders" else {"kind": "visit"}))
    orders = tables["orders"]
    tables["orders"] = orders[~orders["ordered_at"].dt.normalize().between(*lost)]
    signed_up = pd.to_datetime(["2023-01-01"] * 50)
    tables["customers"] = pd.DataFrame({"customer_id": [str(i) for i in range(50)], "signed_up_at": signed_up})
    if not visits:
        del tables["interactions"]
    return check_tables(tables, Columns(attributes=(), sensitive=(), exclude=()), NOW)


@pytest.fixture
def open_ended(settings: Settings) -> Settings:
    return settings.model_copy(update={"data_until": None})


def found(checked: dict[str, ValidatedTable], settings: Settings) -> list[tuple[str, str, str]]:
    verdict, _ = quality_gate.judge(checked, settings, None, NOW)
    return [(f.table, f.column, f.severity) for f in verdict.findings if f.rule == "gap"]


def test_a_gap_within_stops_the_load_with_its_days(open_ended: Settings) -> None:
    assert found(shop(), open_ended) == []
    checked = shop(("2024-04-03", "2024-04-16"))
    assert found(checked, open_ended) == [("orders", "ordered_at", "stop")]
    verdict, _ = quality_gate.judge(checked, open_ended, None, NOW)
    text = next(f.text for f in verdict.stops if f.rule == "gap")
    assert text.startswith("orders.ordered_at: 14 days from 2024-04-03 to 2024-04-16 have (almost) no rows")
    assert "quality.closed" in text


def test_the_last_days_are_missed_where_other_tables_or_data_until_go_on(open_ended: Settings) -> None:
    lost = ("2024-07-04", "2024-08-01")
    assert found(shop(lost), open_ended) == []
    assert found(shop(lost, visits=True), open_ended) == [("orders", "ordered_at", "stop")]
    until = open_ended.model_copy(update={"data_until": datetime(2024, 7, 18)})
    assert found(shop(lost), until) == [("orders", "ordered_at", "stop")]
    ends_there = open_ended.model_copy(update={"data_until": datetime(2024, 7, 4)})
    assert found(shop(lost, visits=True), ends_there) == []


def test_who_was_closed_or_accepts_the_rule_goes_on(open_ended: Settings) -> None:
    checked = shop(("2024-04-03", "2024-04-16"))
    for change, left in (
        ({"closed": ((date(2024, 4, 3), date(2024, 4, 16)),)}, []),
        ({"accept_rules": ("gap",)}, [("orders", "ordered_at", "warn")]),
    ):
        quality = open_ended.quality.model_copy(update=change)
        assert found(checked, open_ended.model_copy(update={"quality": quality})) == left


def test_a_closure_of_the_calendar_is_no_gap(open_ended: Settings) -> None:
    closures = {"spring": ((date(2024, 4, 3), date(2024, 4, 16)),)}
    closed = open_ended.model_copy(update={"calendar": open_ended.calendar.model_copy(update={"closures": closures})})
    assert found(shop(("2024-04-03", "2024-04-16")), closed) == []
