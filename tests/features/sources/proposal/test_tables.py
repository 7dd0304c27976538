"""Which table a file is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources.proposal.tables import columns_of, guess_table, guess_tables

DAYS = pd.date_range("2023-01-01", periods=40)


def test_the_ids_of_customers_tell_which_column_of_another_file_is_theirs() -> None:
    people = pd.DataFrame({"customer_id": [f"c{n}" for n in range(10)], "signup": DAYS[:10]})
    sold = pd.DataFrame(
        {"nr": range(40), "user": [f"admin{n % 3}" for n in range(40)], "z": [f"c{n % 10}" for n in range(40)],
         "date": DAYS, "total": 1.5}
    )  # fmt: skip
    found, unknown = guess_tables({Path("a.csv"): columns_of(people), Path("b.csv"): columns_of(sold)})
    orders = next(g for g in found if g.table.name == "orders")
    ids = orders.column("customer_id")
    assert ids is not None and ids.name == "z" and unknown == []


def test_the_name_of_a_file_decides_between_tables_of_the_same_columns() -> None:
    frame = pd.DataFrame(
        {"id": range(40), "customer": [n % 9 for n in range(40)], "date": DAYS, "type": ["a", "b"] * 20}
    )
    guesses = [guess_table(Path(f"{name}.csv"), columns_of(frame)) for name in ("tickets", "anrufe", "visitas")]
    assert [g.table.name for g in guesses if g] == ["interactions"] * 3


def test_contracts_are_told_from_customers_and_orders_by_their_ends_and_prices() -> None:
    frame = pd.DataFrame(
        {"id": range(40), "uid": [n % 9 for n in range(40)], "start_date": DAYS, "end_date": DAYS, "mrr": 9.5}
    )
    guess = guess_table(Path("x.csv"), columns_of(frame))
    assert guess is not None and guess.table.name == "subscriptions" and guess.missing == ()
    assert {g.field.name: g.column.name for g in guess.guesses} == {
        "subscription_id": "id", "customer_id": "uid", "started_at": "start_date", "ended_at": "end_date",
        "price_per_month": "mrr",
    }  # fmt: skip


def test_a_file_of_something_else_is_no_table() -> None:
    assert guess_table(Path("x.csv"), columns_of(pd.DataFrame({"a": ["1"], "b": ["2"]}))) is None


READY = [
    {"CustomerId": "c{}", "Exited": ("0", "1"), "Geography": ("FR", "DE"), "Balance": "{}.5"},
    {"id_client": "{}", "Churn ?": ("Oui", "Non"), "Ancienneté": "{}", "Ville": ("Lyon", "Lille")},
    {"用户编号": "{}", "是否流失": ("是", "否"), "套餐": ("A", "B"), "月租费": "{}.9"},
    {"Kundennummer": "K{}", "gekündigt": ("ja", "nein"), "Tarif": ("S", "L"), "Verbrauch": "{},5"},
    {"account": "{}", "state": ("KS", "OH"), "calls": "{}", "churn": ("True.", "False.")},
]


@pytest.mark.parametrize("copies", [0, 3, 60])
@pytest.mark.parametrize("shape", READY, ids=lambda shape: next(iter(shape)))
def test_a_ready_table_is_known_by_its_label_although_customers_stand_in_it_twice(
    shape: dict[str, object], copies: int
) -> None:
    values = {n: [v[k % 2] if isinstance(v, tuple) else v.format(k) for k in range(60)] for n, v in shape.items()}
    rows = pd.DataFrame(values)
    table = pd.concat([rows, rows.head(copies)], ignore_index=True)
    guess = guess_table(Path("export.csv"), columns_of(table))
    label = next(name for name in shape if name.lower()[:5] in ("exite", "churn", "是否流失", "gekün"))
    assert guess is not None and guess.table.name == "profiles" and guess.missing == ()
    assert [guess.column(name).name for name in ("customer_id", "label")] == [next(iter(shape)), label]  # type: ignore[union-attr]
