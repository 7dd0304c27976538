"""Rules of rows are proposed where an unread column says that some rows are none."""

from __future__ import annotations

import pandas as pd
import pytest

from features.sources.proposal.columns import Column
from features.sources.proposal.row_rules import row_rules


def proposed(table: str, name: str, *values: str) -> object:
    rules, _ = row_rules(table, [Column(name, pd.Series([*values, *values]))])
    return rules[name][0] if name in rules else None


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("status", ("done", "cancelled"), {"not": ["cancelled"]}),
        ("Estado", ("enviado", "Anulado"), {"not": ["Anulado"]}),
        ("订单状态", ("已完成", "已取消"), {"not": ["已取消"]}),
        ("Financial Status", ("paid", "voided"), {"not": ["voided"]}),
        ("is_test", ("true", "false"), {"not": ["true"]}), ("Statut", ("expédiée", "annulée"), {"not": ["annulée"]}),
        ("cancelled_at", ("2024-01-01", ""), {"empty": True}), ("type", ("sale", "return"), None),
        ("color", ("blue", "red"), None), ("status", ("contest", "done"), None),
    ],
)  # fmt: skip
def test_orders_that_are_none_are_left_out(name: str, values: tuple[str, ...], rule: object) -> None:
    assert proposed("orders", name, *values) == rule


def test_how_many_rows_a_rule_leaves_out_is_said_and_what_does_not_tell_is_asked_about() -> None:
    status = Column("Status", pd.Series(["paid", "void", "sent", "paid", "sent"]))
    kind = Column("type", pd.Series(["sale", "gift", "sale", "sale", "gift"]))
    refund = Column("Refunded Amount", pd.Series(["0.00", "5.00", None, "0.00", "1.25"]))
    rules, notes = row_rules("orders", [status, kind, refund])
    assert {name: why for name, (_, why) in rules.items()} == {"Status": "leaves out 1 of 5 rows of the sample"}
    assert notes[0] == "DOUBT: which rows count may stand in type: sale (3), gift (2)"
    assert "Refunded Amount" in notes[1]


def test_a_status_of_customers_leaves_nobody_out_but_test_accounts_are_no_customers() -> None:
    assert proposed("customers", "status", "active", "cancelled") is None
    assert proposed("customers", "is_test", "0", "1") == {"not": ["1"]}


def test_a_mark_of_returns_is_no_doubt_where_their_amounts_are_negative() -> None:
    kinds = Column("Type", pd.Series(["Mensualité", "Remboursement", "Livre"]))
    amounts = Column("Montant", pd.Series(["10,50 €", "-24,90 €", "5,00 €"]))
    told = row_rules("orders", [kinds], amounts)
    assert told == ({}, ("Type: Remboursement (1) have negative amounts: returns, which count as such",))
    positive = Column("Montant", pd.Series(["10,50 €", "24,90 €", "5,00 €"]))
    assert row_rules("orders", [kinds], positive)[1][0].startswith("DOUBT: which rows count may stand in Type")
