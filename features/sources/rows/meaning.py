"""Columns that change what a row means though nobody reads them: a status, a mark of tests, a date of cancellation.

They are told by their names and by what they hold, in English, German, French, Spanish and Chinese. Nothing is left out
for it: what such a column means is asked, with the rows of each value, and ``where:`` answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

STATES = """status state statut etat estado zustand lage fulfillment situation situacion stage outcome result
    resultat resultado 状态 订单状态 支付状态"""
KINDS = "type kind art typ tipo 类型"
MARKS = """cancelled canceled cancellation cancel void voided test testing refunded refund returned return chargeback
    deleted removed archived draft invalid duplicate storniert storno stornierung test testbestellung erstattet
    erstattung retoure ruckgabe rueckgabe geloscht geloescht ungultig ungueltig entwurf annule annulee annulation essai
    rembourse remboursee remboursement retour supprime supprimee brouillon cancelado cancelada anulado anulada
    anulacion prueba reembolsado reembolsada reembolso devuelto devuelta devolucion eliminado eliminada borrado
    borrador 取消 已取消 测试 退款 已退款 退货 已退货 删除 已删除 作废 已作废"""
NOT_COUNTED = """failed declined rejected pending unpaid expired abandoned fraud fehlgeschlagen abgelehnt offen
    unbezahlt abgebrochen echoue refuse refusee impaye impayee fallido rechazado rechazada pendiente impagado
    失败 未支付 待支付 已关闭 拒绝"""
MOST_VALUES, MOST_KINDS, LONGEST = 30, 12, 40


@dataclass(frozen=True)
class MeaningColumn:
    """A column that may say which rows count.

    Attributes
    ----------
    column
        Its name in the source.
    values
        Rows of each value, the most frequent first; ``""`` is an empty one.
    excluded
        Values that seem to say that a row does not count.
    only_empty
        True if rows seem to count where the column is empty.
    """

    column: str
    values: Mapping[str, int]
    excluded: tuple[str, ...] = ()
    only_empty: bool = False

    @property
    def rule(self) -> dict[str, object] | None:
        """What ``where:`` would say of it; None if the values alone do not tell."""
        if self.only_empty:
            return {"empty": True}
        return {"not": list(self.excluded)} if self.excluded else None


def normalized(text: str) -> str:
    """Lower case, full-width letters as plain ones, without accents.

    >>> normalized("Ｉｄ Rücksendung")
    'id rucksendung'
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def words(text: str) -> tuple[str, ...]:
    """The words of a name or value in lower case and without accents.

    >>> words("isCancelled"), words("Bestell-Status"), words("Remboursée"), words("已取消")
    (('is', 'cancelled'), ('bestell', 'status'), ('remboursee',), ('已取消',))
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return tuple(re.findall(r"[^\W\d_]+", normalized(parted)))


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _says(text: str, vocabulary: frozenset[str]) -> bool:
    """True if a whole word of the text is one of these; Chinese is not written in words, there a part is enough."""
    own = words(text)
    chinese = [word for word in vocabulary if not word.isascii()]
    return any(w in vocabulary or any(c in w for c in chinese) for w in own)


_STATES, _KINDS, _MARKS = _vocabulary(STATES), _vocabulary(KINDS), _vocabulary(MARKS)
_REMOVED = _MARKS | _vocabulary(NOT_COUNTED)


def meaning_column(column: str, values: Mapping[str, int], distinct: int | None = None) -> MeaningColumn | None:
    """Tell whether a column may say which rows count.

    Parameters
    ----------
    column
        Its name in the source.
    values
        Rows of each of its values, the most frequent first, at least of the first `MOST_VALUES`; ``""`` is empty.
    distinct
        How many values there are; None: those of `values`.

    Returns
    -------
    MeaningColumn or None
        None if it does not: one value in all rows changes nothing, and many values are no status.

    Examples
    --------
    >>> meaning_column("status", {"completed": 900, "cancelled": 100}).rule
    {'not': ['cancelled']}
    >>> meaning_column("storniert_am", {"": 900, "2024-01-02": 1, "2024-01-05": 1}).rule
    {'empty': True}
    >>> meaning_column("is_test", {"0": 99, "1": 1}).rule
    {'not': ['1']}
    >>> meaning_column("city", {"Ulm": 5, "Köln": 3}), meaning_column("state", {"CA": 5, "NY": 3})
    (None, None)
    """
    filled = {value: rows for value, rows in values.items() if value.strip()}
    count = len(values) if distinct is None else distinct
    if count < 2 or not filled:
        return None
    few = count <= MOST_VALUES and all(len(value) <= LONGEST for value in filled)
    removed = tuple(value for value in filled if few and _says(value, _REMOVED)) if len(values) > 1 else ()
    if _says(column, _MARKS):
        return _marked(column, values, filled, removed, few)
    if removed and len(removed) < len(values):
        return MeaningColumn(column, values, removed)
    if few and _says(column, _STATES | _KINDS) and count <= MOST_KINDS and not _are_codes(filled):
        return MeaningColumn(column, values)
    return None


def _marked(
    column: str, values: Mapping[str, int], filled: Mapping[str, int], removed: tuple[str, ...], few: bool
) -> MeaningColumn | None:
    """A column whose name says that something was cancelled, refunded, a test: a flag, an amount, or a date."""
    yes = tuple(v for v in filled if v.strip().lower() in YES)
    no = tuple(v for v in filled if v.strip().lower() in NO)
    if few and yes and len(yes) + len(no) == len(filled):
        return MeaningColumn(column, values, yes)
    if removed:
        return MeaningColumn(column, values, removed)
    empty = "" in values or any(not value.strip() for value in values)
    return MeaningColumn(column, values, (), only_empty=empty and not no)


YES = frozenset(
    ("1", "1.0", "true", "t", "yes", "y", "ja", "j", "wahr", "oui", "vrai", "si", "sí", "verdadero", "x", "是", "真")
)
NO = frozenset(["0", "0.0", "0.00", "false", "f", "no", "n", "nein", "falsch", "non", "faux", "falso", "否", "假"])


def _are_codes(filled: Mapping[str, int]) -> bool:
    """True for states of a country, and the like: two or three capitals each."""
    return all(re.fullmatch(r"[A-Z]{2,3}", value.strip()) for value in filled)


def meaning_columns(sample: pd.DataFrame) -> list[MeaningColumn]:
    """Those of a file's first rows, for a first proposal; every value as text or typed, blanks missing or empty.

    >>> sample = pd.DataFrame({"id": ["1", "2", "3"], "Statut": ["Payée", "Annulée", "Payée"]})
    >>> [(found.column, dict(found.values), found.rule) for found in meaning_columns(sample)]
    [('Statut', {'Payée': 2, 'Annulée': 1}, {'not': ['Annulée']})]
    """
    out = []
    for name in sample.columns:
        texts = sample[name].astype("string").fillna("").str.strip()
        counts = texts.value_counts()
        values = {str(value): int(rows) for value, rows in counts.head(MOST_VALUES).items()}
        if "" in counts.index:
            values.setdefault("", int(counts[""]))
        found = meaning_column(str(name), values, len(counts))
        out += [found] if found else []
    return out
