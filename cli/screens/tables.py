"""The look of all tables, and how a number is written."""

from __future__ import annotations

from rich.table import Table

COMMAND = ".venv/bin/staycast"
TASK_TITLES = {"churn": "Churn", "clv": "Customer value"}
BASELINES = ("recency rule", "past rate", "logistic regression", "present price", "price and past rate")
NUMERIC = ("model", *BASELINES, "leaves", "read", "used", "quarantine", "customers")
NEVER_WRAPPED = ("customer", "tier", "action", "metric", "table", *NUMERIC)


def make_table(title: str, *columns: str) -> Table:
    """A table without lines; numbers stand at the right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 2))
    for position, name in enumerate(columns):
        is_number = position > 0 and name in NUMERIC
        no_wrap = name in NEVER_WRAPPED
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=no_wrap)
    return table


def number(value: float | None) -> str:
    """A metric as it is read: one decimal from 10 on, else four.

    >>> number(0.86214), number(170.04), number(None), number(-0.00001)
    ('0.8621', '170.0', '–', '0.0000')
    """
    return "–" if value is None else f"{value:,.1f}" if abs(value) >= 10 else f"{value:z.4f}"
