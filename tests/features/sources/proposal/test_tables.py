"""Which table a file is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources.proposal.columns import Column
from features.sources.proposal.row_rules import row_rules
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


TERMS = ("started_at", "cancelled_at", "paused_at", "resumes_at", "paid_until", "ended_at", "price_per_month")
CONTRACTS = {
    "English": "start_date notice_given freeze_from freeze_until paid_through end_date monthly_fee",
    "German": "Vertragsbeginn|Kündigung eingegangen am|Pausiert ab|Pause bis|Bezahlt bis|Austritt|Monatsbeitrag",
    "French": "Date de début|Date de préavis|Suspendu depuis|Fin de suspension|Payé jusqu'au|Date de fin|Prix mensuel",
    "Spanish": "Fecha de alta|Solicitud de baja|Pausado desde|Pausado hasta|Pagado hasta|Fecha de baja|Cuota mensual",
    "Spanish, as well": "fecha_inicio fecha_aviso pausa_inicio pausa_fin pagado_hasta fecha_fin precio_mensual",
    "Chinese": "开始日期 解约日期 暂停日期 恢复日期 已付至 结束日期 月费",
}


@pytest.mark.parametrize("language", CONTRACTS)
def test_every_term_of_a_contract_is_known_by_its_name(language: str) -> None:
    names = CONTRACTS[language].split("|" if "|" in CONTRACTS[language] else " ")
    starts = pd.Series(DAYS)
    frame = pd.DataFrame({names[k]: starts + pd.Timedelta(days=30 * k) for k in range(6)} | {names[6]: 9.5})
    frame = pd.DataFrame({"id": range(40), "uid": [n % 9 for n in range(40)]}).join(frame)
    guess = guess_table(Path("x.csv"), columns_of(frame))
    assert guess is not None and guess.table.name == "subscriptions"
    assert [guess.column(term).name for term in TERMS if guess.column(term)] == names  # type: ignore[union-attr]


def test_the_end_of_a_least_term_is_no_end_and_a_pause_is_no_start() -> None:
    frame = pd.DataFrame(
        {"id": range(40), "uid": [n % 9 for n in range(40)], "freeze_from": DAYS, "min_term_until": DAYS,
         "at_period_end": ["yes", "no"] * 20, "end_date": DAYS, "mrr": 9.5}
    )  # fmt: skip
    guess = guess_table(Path("contracts.csv"), columns_of(frame), ("subscriptions",))
    assert guess is None or guess.column("started_at") is None
    again = guess_table(Path("contracts.csv"), columns_of(frame.assign(start=DAYS)))
    assert again is not None and again.column("ended_at").name == "end_date"  # type: ignore[union-attr]
    assert again.column("cancel_at_period_end").name == "at_period_end"  # type: ignore[union-attr]
    assert [c.name for c in again.spare] == ["min_term_until"]
    assert row_rules("subscriptions", again.spare)[1][0].startswith("min_term_until is left out")


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (("N° paiement", "N° élève", "Date", "Montant", "Type", "paiements"), "orders"),
        (("Zahlungsnr", "Schüler-Nr", "Datum", "Betrag", "Art", "zahlungen"), "orders"),
        (("N° présence", "N° élève", "Date du cours", "Durée", "Événement", "presences"), "interactions"),
    ],
)
def test_payments_are_orders_and_attendance_is_interactions(names: tuple[str, ...], table: str) -> None:
    ids = [f"c{n % 7}" for n in range(30)]
    days = [f"{n + 1:02d}/03/2024" for n in range(30)]
    values = ([f"p{n}" for n in range(30)], ids, days, ["10,50 €"] * 30, ["x", "y"] * 15)
    columns = tuple(Column(name, pd.Series(part)) for name, part in zip(names, values, strict=False))
    guess = guess_table(Path(f"{names[-1]}.csv"), columns, ids=set(ids))
    assert guess is not None and guess.table.name == table and not guess.missing
