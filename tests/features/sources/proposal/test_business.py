"""What the files suggest for the business as a whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources.proposal.business import rounded_up, understand
from features.sources.proposal.columns import Column, times_of
from features.sources.proposal.tables import columns_of

DAYS = pd.date_range("2023-01-01", periods=40)
LABELS = pd.DataFrame(
    {"customer_id": range(40), "signup": DAYS, "churn": ["yes", "no"] * 20, "region": ["a", "b"] * 20}
)
ORDERS = pd.DataFrame(
    {"order_id": range(40), "customer_id": [n % 9 for n in range(40)], "ordered_at": DAYS, "amount": 1.5}
)


def kinds(**frames: pd.DataFrame) -> tuple[str, set[str]]:
    business = understand({Path(f"{name}.csv"): columns_of(frame) for name, frame in frames.items()})
    return business.kind, set(business.tables)


def test_a_list_of_customers_with_a_label_alone_is_a_ready_table_and_beside_orders_a_list_of_customers() -> None:
    assert kinds(t=LABELS) == ("label", {"profiles"})
    assert kinds(t=LABELS, orders=ORDERS) == ("inactivity", {"customers", "orders"})


def test_a_list_of_customers_alone_says_what_is_missing() -> None:
    business = understand({Path("t.csv"): columns_of(LABELS.drop(columns="churn"))})
    assert (business.kind, business.missing) == ("inactivity", ("orders",))


@pytest.mark.parametrize(("days", "step"), [(3, 7), (30, 30), (31, 60), (9000, 1095)])
def test_days_are_rounded_up_to_what_people_use(days: float, step: int) -> None:
    assert rounded_up(days) == step


@pytest.mark.parametrize("text", ["2024-01-05 10:00", "2024/1/5", "05.01.2024", "1704448800"])
def test_times_are_read_as_they_were_known(text: str) -> None:
    assert times_of(Column("date", pd.Series([text]))).dt.normalize().tolist() == [pd.Timestamp("2024-01-05")]


@pytest.mark.parametrize(
    ("label", "values"), [("Attrition", ("Yes", "No")), ("离职流失", ("是", "否")), ("Abandono", ("sí", "no"))]
)
def test_a_table_with_a_label_and_without_ids_gets_row_numbers(label: str, values: tuple[str, str]) -> None:
    rows = pd.DataFrame({"Age": [20, 31] * 20, "Income": range(500, 540), "Dept": ["a", "b"] * 20, label: values * 20})
    business = understand({Path("hr.csv"): columns_of(rows)})
    assert business.kind == "label" and business.missing == ()
    guess = business.tables["profiles"][0][0]
    assert guess.missing == () and guess.reading is not None and guess.reading.number_rows
    assert not understand({Path("hr.csv"): columns_of(rows.drop(columns=label))}).tables


@pytest.mark.parametrize("place", ["Code postal", "PLZ", "zip_code", "Código postal", "邮编", "Age_code"])
def test_a_postal_code_or_an_age_names_no_customer_of_a_ready_table(place: str) -> None:
    rows = pd.DataFrame({place: range(10100, 10140), "Dept": ["a", "b"] * 20, "Résilié": ["Oui", "Non"] * 20})
    guess = understand({Path("assures.csv"): columns_of(rows)}).tables["profiles"][0][0]
    assert guess.column("customer_id") is None and guess.reading is not None and guess.reading.number_rows


def test_an_id_that_stands_in_several_rows_of_a_ready_table_is_doubted_or_none() -> None:
    rows = pd.DataFrame({"ref": range(40), "Dept": ["a", "b"] * 20, "churn": ["yes", "no"] * 20})

    def score(frame: pd.DataFrame) -> float:
        guesses = understand({Path("t.csv"): columns_of(frame)}).tables["profiles"][0][0].guesses
        return next((guess.score for guess in guesses if guess.field.name == "customer_id"), 0.0)

    nearly = score(rows.assign(ref=rows["ref"].replace({1: 0})))
    assert score(rows) > 0.55 >= nearly > 0 and score(rows.assign(ref=rows["ref"] // 2)) == 0
