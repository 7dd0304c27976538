"""Attributes of the customer that the business declares."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from operator import itemgetter

import ibis.expr.types as ir

from features.columns.column import Column


def attribute_columns(names: tuple[str, ...], numbers: Collection[str] = ()) -> list[Column]:
    """One column for each attribute of the customers table, some of them numbers; null where it is not known."""
    return [
        Column(
            name=name,
            table="customers",
            aggregate=itemgetter(name),
            texts=(f"{words(name)}: {{value:raw}}",),
            dtype="float64" if name in numbers else "string",
            doc=f"Attribute '{name}' of the customer.",
        )
        for name in names
    ]


def changing_attribute_columns(names: tuple[str, ...], numbers: Collection[str] = ()) -> list[Column]:
    """One column for each attribute as the table attribute_changes says; null before its first change."""
    return [
        Column(
            name=name,
            table="attribute_changes",
            aggregate=partial(_value, name=name, is_number=name in numbers),
            texts=(f"{words(name)}: {{value:raw}}",),
            dtype="float64" if name in numbers else "string",
            doc=f"Attribute '{name}' of the customer, as of its last change.",
        )
        for name in names
    ]


def _value(changes: ir.Table, name: str, is_number: bool) -> ir.Value:
    value = changes.value.max(where=changes.attribute == name)
    return value.try_cast("float64") if is_number else value


def words(name: str) -> str:
    """A column's name as words: ``MonthlyCharges`` and ``monthly_charges`` are both "Monthly charges".

    A name of several words keeps its capitals: nouns of German have one.

    >>> [words(name) for name in ("MonthlyCharges", "monthly_charges", "Tage seit letzter Spende")]
    ['Monthly charges', 'Monthly charges', 'Tage seit letzter Spende']
    """
    if " " in name:
        return name[0].upper() + name[1:].replace("_", " ")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").capitalize()
