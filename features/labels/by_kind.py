"""What each kind of churn needs of the tables: when the data begins and ends, and how labels are computed.

``inactivity`` rests on orders, ``contract`` on subscriptions; either may have the other table beside it. ``label`` has
no dates and goes its own way, see `features.labels.ready_label`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Settings
from features.labels.contract import contract_labels_as_of
from features.labels.inactivity import labels_as_of

BEGINS = {"inactivity": ("orders", "ordered_at"), "contract": ("subscriptions", "started_at")}
EVENTS = (
    ("orders", "ordered_at"),
    ("subscriptions", "started_at"),
    ("subscriptions", "cancelled_at"),
    ("interactions", "occurred_at"),
)


def first_event(tables: Mapping[str, ir.Table], settings: Settings) -> datetime:
    """When the first order was placed, or the first contract began.

    Raises
    ------
    NotEnoughDataError
        There is not a single usable one.
    """
    name, time = BEGINS[settings.churn.kind]
    first = pd.Timestamp(tables[name][time].min().execute())
    if pd.isna(first):
        raise NotEnoughDataError(f"{name}: not a single row can be used; the quarantine says why, row by row")
    return first.to_pydatetime()


def data_end(settings: Settings, newest: Iterable[Any], margin: timedelta = timedelta(0)) -> datetime | None:
    """Where the data ends: as ``data_until`` says, else at the newest of these times. In UTC without a zone.

    Parameters
    ----------
    settings
        Of the business.
    newest
        When the newest row of each table happened that tells how far the data goes; missing where a table has none.
    margin
        Added to the newest time, but not to ``data_until``, which is exclusive as it stands.

    Returns
    -------
    datetime or None
        None if neither is there.
    """
    if settings.data_until_utc is not None:
        return settings.data_until_utc
    times = [pd.Timestamp(time) for time in newest if pd.notna(time)]
    return (max(times) + margin).to_pydatetime() if times else None


def end_of_known(tables: Mapping[str, ir.Table], settings: Settings) -> datetime:
    """The end of what is known, exclusive: as set; else just after the newest order, or for contracts the newest event.

    The end of a contract may be set in advance, so it does not tell that the data goes so far.

    Raises
    ------
    NotEnoughDataError
        No event has a time.
    """
    times = EVENTS if settings.churn.kind == "contract" else (BEGINS["inactivity"],)
    newest = (tables[name][time].max().execute() for name, time in times if name in tables)
    end = data_end(settings, newest, margin=timedelta(microseconds=1))
    if end is None:
        raise NotEnoughDataError("no event tells how far the data goes; the quarantine says why, row by row")
    return end


def labels_at(
    tables: Mapping[str, ir.Table], customers: ir.Table, as_of: datetime, until: datetime, settings: Settings
) -> ir.Table:
    """Labels as of one date, one row per customer: ``customer_id, active, churned, clv, contacted``.

    Where there are orders, value is their net revenue; else what contracts cost.

    Parameters
    ----------
    tables
        All checked tables by name.
    customers
        The customers known then, one row each.
    as_of, until
        The as-of date, and the end of what is known, UTC without a zone.
    settings
        Of the business.
    """
    contacts = tables.get("contacts")
    if settings.churn.kind == "inactivity":
        return labels_as_of(customers, tables["orders"], as_of, until, settings.churn, settings.clv, contacts)
    subscriptions = tables["subscriptions"]
    labels = contract_labels_as_of(customers, subscriptions, as_of, until, settings.churn, settings.clv, contacts)
    if "orders" not in tables:
        return labels
    orders = labels_as_of(customers, tables["orders"], as_of, until, settings.churn, settings.clv)
    return labels.drop("clv").left_join(orders.select("customer_id", "clv"), "customer_id").drop("customer_id_right")


def require_amounts(tables: Mapping[str, ir.Table], settings: Settings) -> None:
    """Check that a value model, if there is to be one, has amounts to learn from.

    Raises
    ------
    ConfigError
        Contracts without a single price, and no orders.
    """
    if "clv" not in settings.tasks or "orders" in tables:
        return
    if int(tables["subscriptions"].price_per_month.count().execute()) == 0:
        raise ConfigError(
            "subscriptions: no contract has a price_per_month and there are no orders, so no value can be forecast: "
            "map the price, or set clv.forecast to false"
        )
