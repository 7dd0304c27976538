"""Rows of the same tables at two moments, which the engine computes; nothing happens in between, or something."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

from features.build import features_as_of
from features.columns import contract
from features.columns.column import Column, columns_of
from features.schema import MODULES, feature_columns
from serving.answer.aging import CLOCKS, DERIVED, NEVER_RISING, OVER_ALL, aged, moves_by_itself
from tests.features.conftest import CONTRACT_ROWS, edge_rows, subscriptions_table

THEN = datetime(2024, 3, 1, 0, 0, 5)  # after the last row of all
DAYS = 9.25
Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]
Rows = dict[str, dict[str, Any]]


def rows_at(tables: dict[str, ir.Table], as_of: datetime, columns: list[Column] | None = None) -> Rows:
    frame = features_as_of(tables, columns or feature_columns(tables, ()), as_of).execute().set_index("customer_id")
    return {str(i): {str(k): v for k, v in row.items()} for i, row in frame.to_dict("index").items()}


@pytest.fixture(scope="module")
def moments(opened: Open) -> tuple[Rows, Rows]:
    """The rows of 150 customers, and those some days later; nothing comes in between."""
    tables = opened(edge_rows())
    return rows_at(tables, THEN), rows_at(tables, THEN + timedelta(days=DAYS))


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Columns that differ by more than what sums of floating numbers do, `as_of` apart."""
    numbers = [n for n in one if isinstance(one[n], float | int | np.number)]
    return {n for n in numbers if one[n] != pytest.approx(other[n], rel=1e-9, abs=1e-9, nan_ok=True)}


def test_what_time_alone_moves_is_known_by_name(moments: tuple[Rows, Rows]) -> None:
    before, after = moments
    moved = set().union(*(differing(before[i], after[i]) for i in before))
    assert {n for n in moved if not moves_by_itself(n)} == set()
    assert {"days_since_last_order", "gap_z", "orders_30d", "visits_missed", "orders_pace_30d"} < moved


def test_where_nothing_new_came_the_row_some_days_later_is_that_of_time(moments: tuple[Rows, Rows]) -> None:
    before, after = moments
    for customer in before:
        later = before[customer] | aged(before[customer], after[customer], DAYS)
        assert differing(later, after[customer]) == set()


def test_clocks_and_what_follows_from_them_move_on_as_the_engine_says_whatever_came(moments: tuple[Rows, Rows]) -> None:
    before, after = moments
    totals = ("orders_total", "visits_total", "campaigns_total")
    checked = set()
    for customer, row in before.items():
        came = {**after[customer], **{name: after[customer][name] + 1 for name in totals}, "days_since_last_visit": 0.1}
        moved = aged(row, came, DAYS)
        for name in {*CLOCKS, *DERIVED} & moved.keys():
            if name != "days_since_last_activity":  # of a table of its own, where nothing came
                assert moved[name] == pytest.approx(after[customer][name], rel=1e-9), name
                checked.add(name)
        assert not moved.keys() & {"orders_30d", "visits_30d", "spend_90d", *totals}
    assert {"days_since_last_order", "tenure_days", "days_since_last_visit", *DERIVED} <= checked


def test_clocks_of_a_load_that_ended_move_as_far_as_it_was_known() -> None:
    before = {"days_since_last_order": 9.0, "tenure_days": 50.0, "orders_total": 4.0, "orders_30d": 3.0}
    still = before | {"days_since_last_order": 11.0, "tenure_days": 52.0, "orders_30d": 2.0}
    assert aged(before, still, 5.0) == {"days_since_last_order": 11.0, "tenure_days": 52.0, "orders_30d": 2.0}
    came = before | {"days_since_last_order": 1.0, "tenure_days": 52.0, "orders_total": 5.0}
    assert aged(before, came, 5.0) == {"days_since_last_order": 11.0, "tenure_days": 52.0}


def test_what_no_clock_tells_of_came_if_it_rose() -> None:
    before = {"tickets_30d": 1.0, "complaints_30d": 2.0, "days_since_last_complaint": 3.0, "tickets_90d": 1.0}
    fell = before | {"tickets_30d": 0.0, "complaints_30d": 1.0, "days_since_last_complaint": 13.0}
    assert aged(before, fell, 10.0) == {"tickets_30d": 0.0, "complaints_30d": 1.0, "days_since_last_complaint": 13.0}
    assert aged(before, fell | {"tickets_90d": 2.0}, 10.0) == {"days_since_last_complaint": 13.0}


@pytest.mark.slow
def test_contracts_age_until_their_end_and_not_beyond(opened: Open) -> None:
    subscriptions = subscriptions_table(*CONTRACT_ROWS)
    first = subscriptions.groupby("customer_id", as_index=False).agg(signed_up_at=("started_at", "min"))
    tables = opened({"customers": first, "subscriptions": subscriptions})
    columns = [c for c in columns_of(contract) if c.table == "subscriptions"]
    july_2, july_12, august_2 = (rows_at(tables, datetime(2024, *day), columns) for day in ((7, 2), (7, 12), (8, 2)))
    for customer in ("bob", "cat", "dan"):
        before, after = july_2[customer], july_12[customer]
        assert differing(before | aged(before, after, 10.0), after) == set()
    moved = aged(july_12["ann"], august_2["ann"], 21.0)
    assert moved["days_to_end"] == 0.0 and "contracts_active" not in moved


def test_no_time_and_time_that_runs_back_move_nothing() -> None:
    row = {"days_since_last_order": 9.0, "season_value": 0.1}
    assert aged(row, row | {"season_value": 0.2}, 0.0) == {} == aged(row, row | {"season_value": 0.2}, -3.0)
    assert aged(row, row | {"days_since_last_order": 10.0, "season_value": 0.2}, 1.0) == {
        "season_value": 0.2,
        "days_since_last_order": 10.0,
    }


def test_what_is_not_known_stays_so_and_every_name_is_a_column() -> None:
    known = {c.name for module in MODULES for c in columns_of(module)}
    assert {*CLOCKS, *DERIVED, *OVER_ALL, *NEVER_RISING} <= known
    row = {"days_since_last_order": math.nan, "tenure_days": None, "gap_ratio": math.nan, "orders_total": 0.0}
    assert aged(row, {**row, "orders_total": 1.0, "days_since_last_order": 2.0, "tenure_days": 2.0}, 3.0) == {}
