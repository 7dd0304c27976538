from __future__ import annotations

import re

import duckdb
import pytest

from features.numbers.reading import clean_sql, tokens_sql, value_sql
from features.sql import quote_literal

MINUS = "\u2212"


def row(sql: str, text: str) -> tuple[object, ...]:
    return duckdb.execute(f"select {sql} from (select ? as x)", [text]).fetchone() or ()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("12.30 EUR", "12.30"), ("-€5,00", "-5,00"), ("(US$3.20)", "-3.20"), ("$-5.00", "-5.00"), ("€3,20-", "-3,20"),
        ("1 234,5 zł", "1234,5"), ("1.234 руб.", "1.234"), ("+€5", "+5"), ("TOP 5", "5"), ("5 pcs", "5 pcs"),
    ],
)  # fmt: skip
def test_a_number_is_bare_of_currency_and_of_blanks(text: str, clean: str) -> None:
    assert row(clean_sql("x"), text) == (clean,)


def test_the_currency_before_a_number_and_the_one_behind_it_are_told_apart() -> None:
    assert row(", ".join(tokens_sql("x")), "($5.00 USD)") == ("$", "USD")
    assert row(", ".join(tokens_sql("x")), "5.00") == ("", "")


@pytest.mark.parametrize(("text", "value"), [("12,30", 12.3), ("12.30", 12.3), ("1.234", 1234), ("1,234", 1.234)])
def test_a_declared_sign_decides_what_is_in_doubt_alone(text: str, value: float) -> None:
    assert row(value_sql("x", ",", declared=True), text) == (value,)


def test_groups_of_two_are_thousands_too() -> None:
    rows = "(values ('₹1,23,456.00'), ('₹500.00'), ('12,34,567')) as t(x)"
    query = f"select {value_sql(clean_sql('x'), '.', False)} from {rows}"
    assert [row[0] for row in duckdb.sql(query).fetchall()] == [123456.0, 500.0, 1234567.0]


def test_the_ways_that_most_amounts_are_written_are_read_as_any_text_is() -> None:
    """Usual forms take a short way, a minus of typography the long one."""
    amounts, marks = (
        ("12", "12.30", "1,234.50", "1.234,5", "1 234,50", "1\u202f234", "1’234.5"),
        ("EUR", "€", "Fr.", "R$", "kr"),
    )
    forms = [
        f.format(a, m) for a in amounts for m in marks for f in ("{0} {1}", "{0}{1}", "{1} {0}", "{1}{0}", " {0} {1} ")
    ]
    rows = ", ".join(f"({quote_literal(form)}, {quote_literal(MINUS + form.strip())})" for form in forms)
    plus, minus = clean_sql("x"), clean_sql("y")
    before, behind = tokens_sql("x")
    told = duckdb.sql(f"select {plus}, {minus}, {before} || {behind} from (values {rows}) t(x, y)").fetchall()
    for form, (clean, with_minus, token) in zip(forms, told, strict=True):
        assert with_minus == "-" + clean, form
        assert token and token in form and clean == re.sub("[ \u202f’]", "", form.replace(token, "")), form
