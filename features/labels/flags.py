"""Yes or no, in the ways exports write it."""

from __future__ import annotations

import pandas as pd

YES = (
    "yes", "true", "1", "y", "t", "ja", "j", "wahr", "oui", "o", "vrai", "sí", "si", "s", "sim", "vero",
    "verdadero", "是", "有", "да",
)  # fmt: skip
NO = ("no", "false", "0", "n", "f", "nein", "falsch", "non", "faux", "não", "nao", "falso", "nee", "否", "无", "нет")
FLAGS = dict.fromkeys(YES, 1.0) | dict.fromkeys(NO, 0.0)


def read_flags(text: pd.Series) -> pd.Series:
    """Text as 1.0 and 0.0, missing where it is neither.

    Capitals, blanks and a full stop at the end do not count, nor zeros after a decimal point.

    >>> read_flags(pd.Series(["Yes.", "1.0", " FALSE", "0,00", "maybe", None])).tolist()
    [1.0, 1.0, 0.0, 0.0, nan, nan]
    """
    words = text.astype("string").str.strip().str.casefold().str.replace(r"[.,]0*$", "", regex=True)
    return words.map(FLAGS).astype("float64")
