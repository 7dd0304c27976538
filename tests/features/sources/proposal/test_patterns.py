"""How sure a name makes it which column it is."""

from __future__ import annotations

import pandas as pd
import pytest

from features.sources.proposal.columns import Column
from features.sources.proposal.patterns import PATTERNS, name_score
from features.tables import TABLES


def score(field: str, name: str) -> float:
    return name_score(field, Column(name, pd.Series(dtype=object)))[0]


def test_every_column_of_every_table_has_a_pattern() -> None:
    by_pattern = [
        table for name, table in TABLES.items() if name != "identities"
    ]  # any two ids and a time look like it
    assert {f.name for table in by_pattern for f in table.fields} <= set(PATTERNS)


def test_a_name_that_says_more_is_less_sure() -> None:
    assert score("amount", "Total") > score("amount", "Tax total") > 0
    assert score("ordered_at", "Order date") > score("ordered_at", "Shipping date") > 0


def test_the_name_of_the_column_itself_is_surest() -> None:
    assert score("ordered_at", "Ordered At") > score("ordered_at", "Bestelldatum") == 1.0


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("order_id", ("Payment No", "Zahlungsnr", "N° paiement", "N.º pago", "缴费编号")),
        ("interaction_id", ("Attendance No", "Anwesenheitsnr", "N° présence", "N.º asistencia", "考勤编号")),
        ("price_per_month", ("Monthly rate", "Monatstarif", "Tarif mensuel", "Tarifa mensual", "月资费")),
        ("redeemed_at", ("Coupon used at", "Eingelöst am", "Date d'utilisation", "Fecha de uso", "使用时间")),
    ],
)
def test_payments_attendance_monthly_prices_and_redemptions_are_known_in_every_language(
    field: str, names: tuple[str, ...]
) -> None:
    assert {name: score(field, name) for name in names if score(field, name) <= 0.55} == {}
