"""A reason quotes a value so that it can be taken out again, whatever the value holds."""

from __future__ import annotations

import pandas as pd
import pytest

from features.reasons import kinds_of, quote, split

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
    assert kinds_of(reasons).tolist() == ["amount: … is not a number; channel: … is not a text"]
    assert len(split(reasons)) == 2
    assert kinds_of(split(reasons)).tolist() == ["amount: … is not a number", "channel: … is not a text"]


def test_what_is_quoted_is_one_short_line() -> None:
    assert quote("x" * 100) == f"'{'x' * 40}'"
    assert quote("a\nb\x1b[31m") == "'a\\nb\\x1b[31m'"
