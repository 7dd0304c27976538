"""Reasons against rows: how one quotes a value, and how it is told from another of its kind.

A reason is ``column: what is wrong``; several against one row are joined by ``; ``. What stands between apostrophes is
a value of the row. It may be a person's words: quarantine keeps it, reports and logs do not.
"""

from __future__ import annotations

import re

import pandas as pd

LONGEST = 40
APOSTROPHE, QUOTED_APOSTROPHE = "'", "’"
_QUOTED = r"'[^']*'"
_BETWEEN = re.compile(r"; (?=(?:[^']*'[^']*')*[^']*$)")


def quote(value: object, letters: int = LONGEST) -> str:
    """A value between apostrophes, on one line; an apostrophe within it becomes a typographic one.

    >>> quote("Mr O'Brien, Elm St")
    "'Mr O’Brien, Elm St'"
    """
    text = str(value)[:letters].replace(APOSTROPHE, QUOTED_APOSTROPHE)
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return f"{APOSTROPHE}{shown}{APOSTROPHE}"


def kinds_of(reasons: pd.Series) -> pd.Series:
    """Reasons without what they quote: of one kind each, to be counted and shown.

    >>> kinds_of(pd.Series(["amount: 'ten; or so' is not a number"])).tolist()
    ['amount: … is not a number']
    """
    return reasons.astype(str).str.replace(_QUOTED, "…", regex=True)


def split(reasons: pd.Series) -> pd.Series:
    """Single reasons of rows that may have several, by the row's index; what is quoted is never cut.

    >>> split(pd.Series(["a: 'x; y' is bad; b: is empty"])).tolist()
    ["a: 'x; y' is bad", 'b: is empty']
    """
    return reasons.astype(str).map(_BETWEEN.split).explode()
