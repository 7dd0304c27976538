"""Tables that several folders' tests share: contracts worked out by hand, and random rows at the edges of windows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest

Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]
CONTRACT_ROWS = (
    # ann moved from basic to plus on 1 June, dearer; cancels on 10 July, to end on 31 July
    ("a1", "ann", "2024-01-01", "2024-06-01", None, None, "basic", 10.0),
    ("a2", "ann", "2024-06-01", "2024-07-31", "2024-07-10", None, "plus", 12.0),
    # bob's year ends on 15 July and is renewed three days later
    ("b1", "bob", "2023-07-15", None, None, "2024-07-15", "pro", 30.0),
    ("b2", "bob", "2024-07-18", None, None, "2025-07-18", "pro", 33.0),
    # cat cancelled in May and has none
    ("c1", "cat", "2024-02-01", "2024-05-20", "2024-05-01", None, "basic", 10.0),
    # dan's year ends on 20 July and nothing follows
    ("d1", "dan", "2023-07-20", "2024-07-20", None, "2024-07-20", "pro", 20.0),
)


def subscriptions_table(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Contracts, one row each; the last value of a row is the price a month."""
    columns = ["subscription_id", "customer_id", "started_at", "ended_at", "cancelled_at", "renews_at", "plan"]
    frame = pd.DataFrame(rows, columns=[*columns, "price_per_month"])
    return frame.astype({c: "datetime64[us]" for c in columns if c.endswith("_at")})


@pytest.fixture(scope="session")
def contract_rows() -> tuple[tuple[object, ...], ...]:
    """Contracts of four customers; as of 2024-07-01 their columns and labels can be worked out by hand."""
    return CONTRACT_ROWS


@pytest.fixture(scope="session")
def subscriptions() -> Callable[..., pd.DataFrame]:
    """Make the table of these contracts."""
    return subscriptions_table


@pytest.fixture(scope="session")
def company() -> Callable[..., dict[str, pd.DataFrame]]:
    """Make the tables of a company with these contracts; a customer signs up with the first."""

    def tables(*rows: tuple[object, ...]) -> dict[str, pd.DataFrame]:
        subscriptions = subscriptions_table(*rows)
        first = subscriptions.groupby("customer_id")["started_at"].min()
        customers = pd.DataFrame({"customer_id": first.index, "signed_up_at": first.to_numpy()})
        return {"customers": customers, "subscriptions": subscriptions}

    return tables


@pytest.fixture(scope="session")
def contracts(
    company: Callable[..., dict[str, pd.DataFrame]], contract_rows: tuple[tuple[object, ...], ...]
) -> dict[str, pd.DataFrame]:
    """The tables of the company with these four customers; not to be changed."""
    return company(*contract_rows)


@pytest.fixture(scope="session")
def edge_tables(opened: Open) -> dict[str, ir.Table]:
    """Those of `edge_rows`."""
    return opened(edge_rows())


def edge_rows() -> dict[str, pd.DataFrame]:
    """Random tables with rows just within and just beyond every window, as of 2024-03-01."""
    rng, number = np.random.default_rng(5), 4_000
    ago = np.concatenate([rng.choice([7, 14, 28, 30, 60, 90, 180], number // 2), rng.uniform(0, 400, number // 2)])
    when = [
        datetime(2024, 3, 1) - timedelta(days=float(d)) - timedelta(seconds=int(s))
        for d, s in zip(ago, rng.integers(0, 2, number), strict=True)
    ]
    who = rng.choice([f"c{i}" for i in range(150)], number)
    ids = [f"x{i}" for i in range(number)]
    kinds = rng.choice(["visit", "login", "complaint", "ticket", "payment_failed", "survey"], number)
    score = np.where(kinds == "survey", rng.integers(0, 11, number), np.nan)
    orders = {
        "order_id": ids,
        "customer_id": who,
        "ordered_at": when,
        "amount": rng.normal(30, 25, number).round(2),
        "quantity": rng.integers(1, 5, number).astype(float),
        "channel": rng.choice(["web", "shop"], number),
        "category": rng.choice(["food", "toys", "wine"], number),
        "discount": rng.choice([np.nan, 0.0, 1.5, 4.0], number),
    }
    return {
        "customers": pd.DataFrame(
            {"customer_id": [f"c{i}" for i in range(160)], "signed_up_at": [datetime(2022, 1, 1)] * 160}
        ),
        "orders": pd.DataFrame(orders),
        "interactions": pd.DataFrame(
            {"interaction_id": ids, "customer_id": who, "occurred_at": when, "kind": kinds, "value": score}
        ),
        "contacts": pd.DataFrame(
            {
                "contact_id": ids,
                "customer_id": who,
                "contacted_at": when,
                "campaign": rng.choice(["A", "B"], number),
            }
        ),
    }
