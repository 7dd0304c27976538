"""Attributes of the customer that the business declares."""

from __future__ import annotations

import re
from operator import itemgetter

from features.columns.column import Column


def attribute_columns(names: tuple[str, ...]) -> list[Column]:
    """One text column for each declared attribute of the customers table; null where it is not known."""
    return [
        Column(
            name=name,
            table="customers",
            aggregate=itemgetter(name),
            texts=(f"{_words(name)}: {{value:raw}}",),
            dtype="string",
            doc=f"Attribute '{name}' of the customer.",
        )
        for name in names
    ]


def _words(name: str) -> str:
    """A column's name as words: ``MonthlyCharges`` and ``monthly_charges`` are both "Monthly charges"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").capitalize()
