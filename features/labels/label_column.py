"""Which column of a ready-made export says who left: known by its name, in many languages, and by what it holds.

>>> import pandas as pd
>>> rows = pd.DataFrame({"Attrition_Flag": ["Existing Customer", "Attrited Customer"], "Age": [40, 50]})
>>> guess = find_label(rows)
>>> guess.column, guess.values
('Attrition_Flag', {'Attrited Customer': 'yes', 'Existing Customer': 'no'})
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import pandas as pd

from features.labels.flags import read_flags

CHURN = (  # words that say of customers that they leave, and nothing else
    "churn", "churned", "churner", "churners", "attrition", "attrited", "abgewandert", "abwanderung", "abwanderer",
    "desercion", "evasao", "流失", "离网", "離網", "отток",
)  # fmt: skip
LEFT = (
    *CHURN, "exited", "left", "leave", "leaver", "departed", "quit", "lost", "defected", "lapsed", "cancelled",
    "canceled", "unsubscribed", "terminated", "closed", "gone", "gekuendigt", "gekundigt", "kuendigung", "kundigung",
    "verloren", "ausgetreten", "resilie", "resiliation", "desabonne", "parti", "perdu", "depart", "baja", "abandono",
    "cancelado", "fuga", "perdido", "cancelou", "saiu", "disdetta", "abbandono", "opgezegd", "vertrokken", "已流失",
    "退订", "退訂", "注销", "解約", "退会", "이탈", "해지", "ушел",
)  # fmt: skip
GENERIC = ("label", "target", "class", "outcome", "y", "zielvariable", "ziel", "cible", "objetivo", "标签", "目标")
AROUND = (
    "is", "has", "flag", "label", "value", "status", "indicator", "ind", "yn", "yes", "no", "customer", "client",
    "kunde", "binary", "bool", "the", "company", "bank", "service", "ist", "hat", "cliente", "est", "a", "1", "0",
    "or", "not", "target", "nicht", "kein", "keine", "non", "pas",
)  # fmt: skip


EITHER = ("or", "oder", "ou", "o", "yes", "ja", "oui", "si", "y")  # before a no: one of both
AROUND_CHINESE = "是否|客户|用户|顧客|会员|状态|标志|标签"


@dataclass(frozen=True)
class LabelGuess:
    """The column that seems to be the label.

    Attributes
    ----------
    column
        Its name in the export.
    values
        What to write under ``values: {label: ...}``; empty where the check of flags reads the values by itself.
    score
        How sure its name makes it: 1 (says who left), 0.7 (a generic name such as ``target``).
    why
        In words, for the proposal.
    """

    column: str
    values: dict[str, str]
    score: float
    why: str


def find_label(rows: pd.DataFrame) -> LabelGuess | None:
    """The column that most likely says who left; None if none has both such a name and two values of which one does.

    Parameters
    ----------
    rows
        A table of one row a customer, or its first rows; values as text or typed.
    """
    guesses = [guess for name in rows for guess in [_guess(str(name), rows[name])] if guess]
    return max(guesses, key=lambda guess: guess.score, default=None)


def tell_label(rows: pd.DataFrame, label: str) -> list[str]:
    """Columns that are the label in other words, or are filled for those who left and for nobody else.

    >>> rows = pd.DataFrame({"left": [1, 0, 1, 0], "why": ["price", None, "moved", None], "age": [30, 40, 50, 60]})
    >>> tell_label(rows, "left")
    ['why']
    """
    filled = rows[rows[label].notna()]
    truth = filled[label].astype(str)
    names = [name for name in rows if name != label]
    same = [
        name
        for name in names
        if filled[name].nunique(dropna=False) <= 2 and _one_to_one(filled[name].astype(str), truth)
    ]
    presence = [n for n in names if n not in same and _one_to_one(filled[n].notna().astype(str), truth)]
    return [str(name) for name in names if name in same or name in presence]


def _one_to_one(values: pd.Series, truth: pd.Series) -> bool:
    pairs = pd.DataFrame({"a": values, "b": truth}).drop_duplicates()
    return bool(len(pairs) == 2 == pairs["a"].nunique() == pairs["b"].nunique())


def _guess(name: str, values: pd.Series) -> LabelGuess | None:
    score = _name_score(name)
    text = values.dropna().astype(str).str.strip()
    kinds = list(text[text != ""].unique()[:4])
    if not score or len(kinds) != 2:
        return None
    flags = read_flags(pd.Series(kinds))
    if score == 1 and _is_negated(name):
        if flags.isna().any() or flags.nunique() != 2:
            return None
        inverted = {kind: "no" if flag else "yes" for kind, flag in zip(kinds, flags, strict=True)}
        return LabelGuess(
            name, inverted, score, f"its name says who did not leave, and it holds {kinds[0]} and {kinds[1]}"
        )
    if score == 1 and set(kinds) == {"-1", "1"}:
        return LabelGuess(name, {"1": "yes", "-1": "no"}, score, "its name says who left, and it holds 1 and -1")
    if flags.notna().all() and flags.nunique() == 2:
        what = "says who left" if score == 1 else "often means the outcome"
        return LabelGuess(name, {}, score, f"its name {what}, and it holds {kinds[0]} and {kinds[1]}")
    left = [kind for kind in kinds if _says(kind, LEFT) and not _negated(kind)]
    if len(left) != 1:
        return None
    stayed = next(kind for kind in kinds if kind != left[0])
    why = f"its name or values say who left, and it holds {kinds[0]} and {kinds[1]}"
    return LabelGuess(name, {left[0]: "yes", stayed: "no"}, score, why)


def _name_score(name: str) -> float:
    words = _words(name)
    rest = [word for word in words if word not in AROUND and re.sub(AROUND_CHINESE, "", word)]
    if rest and all(_says(word, LEFT) for word in rest):
        return 1.0
    if (rest and all(word in GENERIC for word in rest)) or (not rest and set(words) & set(GENERIC)):
        return 0.7
    return 0.5 if not rest and ("status" in words or "状态" in name) else 0.0


def _says(text: str, stems: tuple[str, ...]) -> bool:
    words = _words(text)
    return any(
        word in stems or (not word.isascii() and any(s in word for s in stems if not s.isascii())) for word in words
    )


def _is_negated(name: str) -> bool:
    """Whether a name says who did not leave: ``not_churned``; ``churn_or_not`` and ``churn_yes_no`` do not."""
    words = _words(name)
    pairs = zip(["", *words], words, strict=False)
    return any(_negated(word) and before not in EITHER for before, word in pairs)


def _negated(text: str) -> bool:
    return bool(re.search(r"\b(not|no|non|nicht|kein|ne|pas)\b|[未没沒不]", _plain(text)))


def _words(name: str) -> list[str]:
    """Words of a name, without capitals and accents: ``ChurnFlag``, ``churn_flag``, ``Churn?``."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", _plain(parted)) if word]


def _plain(text: str) -> str:
    umlauts = text.casefold().replace("ü", "ue").replace("ö", "oe").replace("ä", "ae")
    parts = unicodedata.normalize("NFKD", umlauts)
    return unicodedata.normalize("NFC", "".join(letter for letter in parts if not unicodedata.combining(letter)))
