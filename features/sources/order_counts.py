"""Orders without amounts: each counts as one, if the business says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from configs.errors import ConfigError, DataError, nearest
from configs.settings import Settings
from features.sources.proposal.lexicon import meaning
from features.sources.staging import Raw
from features.tables import quote


def with_counts(raw: Mapping[str, Raw], settings: Settings) -> dict[str, Raw]:
    """Give orders without amounts the amount one, where ``currency: XXX`` says that there are none.

    Raises
    ------
    DataError
        There is no column amount, and nothing says that there is none.
    ConfigError
        There are amounts, and ``currency: XXX`` says that there are none.
    """
    if "orders" not in raw:
        return dict(raw)
    orders = raw["orders"]
    given = "amount" in _names(orders)
    if given and settings.counts_orders and not _are_counts(orders):
        raise ConfigError("orders have amounts: say in which currency; `currency: XXX` is for orders that have none")
    if not given and not settings.counts_orders:
        spare = tuple(orders.attrs.get("spare", ())) or _names(orders)
        raise DataError(
            f"orders: column 'amount' is missing{nearest('amount', spare)}; there are "
            f"{', '.join(spare) or 'no others'}; rename it under source.options.orders.columns"
            f"{_elsewhere(raw)}, or say currency: XXX if orders have no amounts: their number is forecast then"
        )
    if given:
        return dict(raw)
    return {**raw, "orders": _counted(orders)}


def _elsewhere(raw: Mapping[str, Raw]) -> str:
    """In words, the unread columns of other tables that are amounts by their names; or nothing."""
    found = {
        name: [c for c in table.attrs.get("spare", ()) if "amount" in meaning(str(c)).concepts]
        for name, table in raw.items()
        if name != "orders"
    }
    shown = [f"{name} has {quote(columns[0])}" for name, columns in found.items() if columns]
    if not shown:
        return ""
    return f"; or give the file of payments as orders: {' and '.join(shown)}, which nobody reads"


def _are_counts(orders: Raw) -> bool:
    """Whether every amount is one: a count of rows, and no money."""
    frames = [orders] if isinstance(orders, pd.DataFrame) else orders.read()
    return all(bool((pd.to_numeric(frame["amount"], errors="coerce") == 1).all()) for frame in frames)


def _names(orders: Raw) -> tuple[str, ...]:
    return tuple(map(str, orders)) if isinstance(orders, pd.DataFrame) else orders.attrs.get("columns", ("amount",))


def _counted(orders: Raw) -> Raw:
    if isinstance(orders, pd.DataFrame):
        return orders.assign(amount=1.0)
    return replace(orders, read=lambda: (frame.assign(amount=1.0) for frame in orders.read()))
