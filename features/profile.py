"""Attributes of the customer that the business declares."""

from __future__ import annotations

from operator import itemgetter

from features.column import Column


def attribute_columns(names: tuple[str, ...]) -> list[Column]:
    """One text column for each declared attribute of the customers table; null where it is not known."""
    return [
        Column(
            name=name,
            table="customers",
            aggregate=itemgetter(name),
            texts=(f"{name.replace('_', ' ').capitalize()}: {{value}}",),
            dtype="string",
            doc=f"Attribute '{name}' of the customer.",
        )
        for name in names
    ]
