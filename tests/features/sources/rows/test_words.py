"""A word of the files is a word of events, too; what would leave a doubt is refused and never counted as another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.sources.mapping import entries_of
from features.sources.rows.words import load_words, standard_row, words_of, write_words

WORDS = words_of(
    {
        "interactions": [
            {"values": {"kind": {"présence": "visit", "Réclamation": "complaint", "ticket": "survey", 1: "login"}}},
            {"values": {"kind": {"x": "ticket", "présence": "visit"}, "channel": {"Tel.": "telephone", "-": None}}},
            {"values": {"kind": {"x": "complaint"}, "value": {"gut": "5"}}},
        ],
        "subscriptions": [
            {
                "values": {
                    "status": {"gekündigt": "cancelled", "Aktiv": None, "ACTIVE": "active"},
                    "plan": {"A": "B", "B": "A"},
                }
            }
        ],
    }
)


@pytest.mark.parametrize(
    ("table", "given", "taken"),
    [
        ("interactions", {"kind": "présence", "value": 3.0}, {"kind": "visit", "value": 3.0}),
        ("interactions", {"kind": "visit"}, {"kind": "visit"}),
        ("interactions", {"kind": "1", "channel": "Tel."}, {"kind": "login", "channel": "telephone"}),
        ("interactions", {"kind": "Newsletter", "channel": "-"}, {"kind": "Newsletter", "channel": None}),
        ("interactions", {"kind": "visit", "channel": "tel"}, {"kind": "visit", "channel": "tel"}),
        ("subscriptions", {"status": "gekündigt", "plan": "C"}, {"status": "cancelled", "plan": "C"}),
        ("subscriptions", {"status": None}, {"status": None}),
        ("subscriptions", {"status": "ACTIVE"}, {"status": "active"}),
        ("subscriptions", {"status": "Active"}, {"status": "Active"}),
        ("subscriptions", {"status": "Past due"}, {"status": "Past due"}),
        ("orders", {"category": "présence"}, {"category": "présence"}),
    ],
)
def test_a_word_is_replaced_as_a_load_replaces_it_and_any_other_stays(table: str, given: dict, taken: dict) -> None:
    before = dict(given)
    assert standard_row(table, given, WORDS) == (taken, [])
    assert given == before


@pytest.mark.parametrize(
    ("table", "column", "word", "said"),
    [
        ("interactions", "kind", "x", "stands for several words in the files.*'ticket', 'complaint'"),
        ("interactions", "kind", "ticket", "stands for 'survey' in the files, and for itself"),
        (
            "interactions",
            "kind",
            "PRESENCE",
            "is not 'présence', but like it.*'complaint', 'login', 'survey', .*, 'payment_failed'$",
        ),
        ("subscriptions", "status", "Gekündigt", "is not 'gekündigt'"),
        ("subscriptions", "status", "aktiv", "is not 'Aktiv'.*words of the tables: 'active', 'cancelled', "),
        ("subscriptions", "plan", "A", "stands for 'B' in the files"),
    ],
)
def test_a_word_in_doubt_is_refused_with_what_can_be_sent(table: str, column: str, word: str, said: str) -> None:
    row, faults = standard_row(table, {column: word}, WORDS)
    assert row == {column: word}
    ((field, fault),) = faults
    assert field == column
    assert re.search(said, fault)


def test_words_are_those_of_the_load_in_the_folder_of_its_tables(tmp_path: Path) -> None:
    assert load_words(tmp_path) == {}
    write_words(tmp_path, {})
    assert not list(tmp_path.iterdir())
    write_words(tmp_path, WORDS)
    assert load_words(tmp_path) == WORDS


def test_a_table_of_a_database_has_words_as_one_of_files_has() -> None:
    entry = {"values": {"kind": {"tkt": "ticket"}}}
    for options in (
        {"interactions": entry},
        {"interactions": [entry]},
        {"url": "x", "tables": {"interactions": entry}},
    ):
        assert words_of({"interactions": entries_of(options, "interactions")})["interactions"]["kind"] == {
            "tkt": ["ticket"]
        }
