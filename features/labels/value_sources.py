"""What a customer's value is made of, where there are contracts and orders: fees, orders, or both.

Orders beside contracts are purchases, and then a customer brings the fees and the orders; or they are the invoices of
the contracts, and then the fees would count twice. ``clv.contracts`` says which. Left out, the amounts tell: where
customers with contracts have, in `INVOICED` of the months in which they ordered, an order of the price of a contract of
theirs, fees alone count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from configs.settings import Settings, ValueOfContracts

INVOICED = 0.25
PERIOD_MONTHS = (1, 3, 6, 12)
TAX_PERCENT = (0, 27)
MARKS = ["customer_id", "month", "tax"]
VALUE = "clv"  # what all columns of value begin with
TABLES: dict[ValueOfContracts, tuple[str, ...]] = {
    "fees": ("subscriptions",),
    "orders": ("orders",),
    "both": ("subscriptions", "orders"),
}


@dataclass(frozen=True)
class ValueSource:
    """What value is made of.

    Attributes
    ----------
    name
        ``fees``, ``orders`` or ``both``.
    invoiced
        Share of the months with orders of customers with contracts in which one has the price of a contract; None:
        the tables were not asked.
    """

    name: ValueOfContracts
    invoiced: float | None = None


def value_source(tables: Mapping[str, ir.Table], settings: Settings) -> ValueSource:
    """What value is made of, by the settings, and else by the tables of all customers."""
    fixed = without_looking(tables, settings)
    if fixed is not None:
        return ValueSource(fixed)
    prices = tables["subscriptions"].select("customer_id", "price_per_month")
    return by_marks([marks(tables["orders"], prices)])


def without_looking(tables: Iterable[str], settings: Settings) -> ValueOfContracts | None:
    """What value is made of where nothing is to be found out: one table alone, or the settings say it; else None."""
    names = set(tables)
    if not {"orders", "subscriptions"} <= names:
        return "orders" if "orders" in names else "fees"
    return "orders" if settings.counts_orders else settings.clv.contracts


def by_marks(parts: Iterable[pd.DataFrame | None]) -> ValueSource:
    """What value is made of by the `marks` of all parts of the orders; None: no contract has a price.

    >>> rows = pd.DataFrame({"customer_id": ["ann", "ann"], "month": [1, 2], "tax": [0.0, 0.0]})
    >>> by_marks([rows])
    ValueSource(name='fees', invoiced=1.0)
    """
    seen = [part for part in parts if part is not None]
    if not seen:
        return ValueSource("orders")
    rows = pd.concat(seen, ignore_index=True)
    months = len(rows[MARKS[:2]].drop_duplicates())
    if not months:
        return ValueSource("both", 0.0)
    share = rows.dropna().drop_duplicates().groupby("tax").size().max() / months
    invoiced = 0.0 if pd.isna(share) else float(share)
    return ValueSource("fees" if invoiced >= INVOICED else "both", invoiced)


def marks(orders: ir.Table, prices: ir.Table) -> pd.DataFrame | None:
    """Months in which customers with contracts ordered, and whether an order looks like an invoice.

    Parameters
    ----------
    orders, prices
        ``customer_id, ordered_at, amount`` and ``customer_id, price_per_month``, one row an order and a contract.

    Returns
    -------
    pandas.DataFrame or None
        ``customer_id, month, tax``, each once: by how many per cent an order is above one, three, six or twelve
        months of a contract (0 to 27: what taxes come to); missing where it is not. None: no contract has a price.
    """
    prices = prices.filter(prices.price_per_month > 0).select("customer_id", "price_per_month").distinct()
    if not int(prices.count().execute()):
        return None
    bought = orders.filter(orders.amount > 0).select("customer_id", "ordered_at", "amount")
    rows = bought.inner_join(prices, "customer_id")
    ratio = rows.amount / rows.price_per_month
    above = [((ratio / months - 1) * 100).round() for months in PERIOD_MONTHS]
    none = ibis.null("float64")
    tax = ibis.coalesce(*(ibis.ifelse(p.between(*TAX_PERCENT), p.cast("float64"), none) for p in above))
    return rows.select("customer_id", month=rows.ordered_at.truncate("M"), tax=tax).distinct().to_pandas()


def add_value(labels: ir.Table, other: ir.Table, add: bool) -> ir.Table:
    """Labels with the value of others for the same customers: added, unknown if either is; or in its place."""
    named = {f"other_{name}": name for name in labels.columns if name.startswith(VALUE)}
    others = other.select("customer_id", **{new: other[name] for new, name in named.items()})
    rows = labels.left_join(others, "customer_id")
    values = {name: rows[name] + rows[new] if add else rows[new] for new, name in named.items()}
    return rows.mutate(**values).select(*labels.columns)
