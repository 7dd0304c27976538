from __future__ import annotations

import sys

import pandas as pd
import pytest

from features.quality.check import as_text
from features.tables import REQUIRED, TABLES, customers_table, id_of, quote, reason_kinds, split_reasons


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_key_and_its_time_among_its_columns_and_names_each_once(name: str) -> None:
    table = TABLES[name]
    assert table.name == name and table.grain
    assert len(set(table.names)) == len(table.names)
    assert table.key in table.names
    assert table.time is None or table.time in table.names
    assert any(field.required for field in table.fields)


def test_every_kind_of_business_needs_tables_that_there_are() -> None:
    assert set().union(*REQUIRED.values()) <= set(TABLES)


def test_the_attributes_that_a_business_declares_are_columns_of_its_customers() -> None:
    table = customers_table(["region", "plan"])
    assert table.names[-2:] == ("region", "plan")
    assert table.names[:-2] == TABLES["customers"].names


def test_an_id_that_is_told_and_one_that_stands_in_a_file_lose_the_same_blanks() -> None:
    blanks = [letter for letter in map(chr, range(sys.maxunicode)) if letter.isspace()]
    given = [f"{blank}K {blank}441{blank}" for blank in [*blanks, "\u200b", "\ufeff"]]
    assert as_text(pd.Series(given)).tolist() == [id_of(text) for text in given]
    assert {id_of(blank) for blank in blanks} == {""} and as_text(pd.Series(blanks)).isna().all()


WORDS = [
    "Mr O'Brien, Elm St",
    "l'été; d'où",
    "'",
    "''; x: 'y",
    'she said "no"',
    "王'芳",
    "a\nb'c",
    "\u202e'rtl",
    "[/x]'",
]


@pytest.mark.parametrize("value", WORDS)
def test_no_word_of_a_value_is_left_in_the_kind_of_its_reason(value: str) -> None:
    reasons = pd.Series([f"amount: {quote(value)} is not a number; channel: {quote(value)} is not a text"])
    assert reason_kinds(reasons).tolist() == ["amount: … is not a number; channel: … is not a text"]
    assert len(split_reasons(reasons)) == 2
    assert reason_kinds(split_reasons(reasons)).tolist() == ["amount: … is not a number", "channel: … is not a text"]


def test_what_is_quoted_is_one_short_line() -> None:
    assert quote("x" * 100) == f"'{'x' * 40}'"
    assert quote("a\nb\x1b[31m") == "'a\\nb\\x1b[31m'"
