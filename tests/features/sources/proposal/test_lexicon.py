"""Whole words of five languages, and none within another."""

from __future__ import annotations

from collections import Counter

import pytest

from features.sources.proposal.lexicon import SENSITIVE, WORDS, meaning


@pytest.mark.parametrize(
    ("name", "concepts"),
    [
        ("CustomerID", {"customer", "id"}), ("Kundennummer", {"customer", "id"}), ("客户编号", {"customer", "id"}),
        ("uid", {"customer"}), ("Bestelldatum", {"order", "date"}), ("Date_de_commande", {"order", "date"}),
        ("fecha de compra", {"order", "date"}), ("下单时间", {"order", "date"}),
        ("Rechnungsbetrag", {"order", "amount"}),
        ("入网时间", {"signup", "date"}), ("Ｋｕｎｄｅ", {"customer"}), ("sign_up_date", {"signup", "date"}),
        ("mrr", {"price_month"}), ("start_date", {"start", "date"}), ("Kündigungsdatum", {"cancel", "date"}),
    ],
)  # fmt: skip
def test_a_name_says_the_same_in_every_language(name: str, concepts: set[str]) -> None:
    assert meaning(name).concepts == concepts and meaning(name).is_complete


SAID = """Geschlecht 性别 Edad âge age_group date_of_birth Geburtsdatum Staatsangehörigkeit nationalité Familienstand
    SeniorCitizen IncomeBand"""
NOT_SAID = """package language usage_tier message image postage stage average percentage mileage storage manager trace
    embrace Essex sextet"""


def test_what_is_sensitive_is_known_by_whole_words_and_not_within_others() -> None:
    sensitive = [name for name in (SAID + " " + NOT_SAID).split() if meaning(name).concepts & set(SENSITIVE)]
    assert sensitive == SAID.split()


def test_no_word_means_two_things() -> None:
    counts = Counter(word for words in WORDS.values() for word in words.split())
    assert [word for word, times in counts.items() if times > 1] == []
