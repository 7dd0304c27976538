"""Words that stand for others in the files, kept beside the checked tables: events are told in either.

    values: {kind: {présence: visit}}

A load replaces such words by its mapping, before its rows are checked. Whoever sends an event may know the words of
the files or those of the tables, so one of the files is replaced as the load does. What would leave a doubt is refused
with the question: a word that stands for several, in several entries of a table; one that is a word of the tables, too;
and, where words mean something to features, one that differs from a word of the files by case, accents or signs alone.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from configs.files import write_text
from features.contract_terms import STATUSES, status_word
from features.tables import KINDS_THAT_COUNT, TABLES

FILE = "words.json"
Words = Mapping[str, Mapping[str, Mapping[str, list[str | None]]]]  # table, column, word -> what it stands for
WITH_A_MEANING = {"kind": tuple(KINDS_THAT_COUNT), "status": STATUSES}  # columns of which features know words
MOST_NAMED = 12


def words_of(tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, list[str | None]]]]:
    """What each word of the columns of texts stands for, from the entries of each table.

    >>> words_of({"interactions": [{"values": {"kind": {" tkt": "ticket"}}}, {"values": {"kind": {"tkt": None}}}]})
    {'interactions': {'kind': {'tkt': ['ticket', None]}}}
    """
    words: dict[str, dict[str, dict[str, list[str | None]]]] = {}
    for table, entries in tables.items():
        texts = {field.name for field in TABLES[table].fields if field.kind == "text"} if table in TABLES else set()
        replaced = [(c, of) for entry in entries for c, of in (entry.get("values") or {}).items() if c in texts]
        for column, word, standard in ((c, str(w).strip(), s) for c, of in replaced for w, s in of.items()):
            known = words.setdefault(table, {}).setdefault(column, {}).setdefault(word, [])
            meaning = None if standard is None else str(standard)
            known += [] if meaning in known else [meaning]
    return words


def write_words(tables: Path, words: Words) -> None:
    """Keep words beside the checked tables; nothing where none is replaced."""
    if words:
        write_text(tables / FILE, json.dumps(words))


def load_words(tables: Path) -> Words:
    """The words that the load of these tables replaced."""
    path = tables / FILE
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=8)
def _read(path: Path, changed_at: int) -> Words:
    return dict(json.loads(path.read_text("utf-8")))


def standard_row(table: str, row: Mapping[str, Any], words: Words) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A row of an event with the words of the tables, and what is in doubt: column and fault, without the word.

    Parameters
    ----------
    table, row
        Which table, and its columns that were given.
    words
        See `load_words`.

    Examples
    --------
    >>> words = {"interactions": {"kind": {"présence": ["visit"], "A": ["login", "ticket"]}}}
    >>> standard_row("interactions", {"kind": "présence", "value": 1.0}, words)
    ({'kind': 'visit', 'value': 1.0}, [])
    >>> standard_row("interactions", {"kind": "A"}, words)[1]
    [('kind', "stands for several words in the files: send the one that is meant, of 'login', 'ticket'")]
    """
    replaced, faults = dict(row), []
    for column, known in words.get(table, {}).items():
        word = row.get(column)
        if not isinstance(word, str):
            continue
        fault = _doubt(column, word, known)
        if fault:
            faults.append((column, fault))
        elif word in known:
            replaced[column] = known[word][0]
    return replaced, faults


def _doubt(column: str, word: str, known: Mapping[str, list[str | None]]) -> str:
    """Why it is not known what a word stands for; empty if it is."""
    read = status_word if column == "status" else str
    standard = {meaning for meanings in known.values() for meaning in meanings if meaning is not None}
    own, meanings = {read(w) for w in (*standard, *WITH_A_MEANING.get(column, ()))}, known.get(word, [])
    if len(meanings) > 1:
        return f"stands for several words in the files: send the one that is meant, of {_named(meanings)}"
    if meanings and read(word) in own and read(str(meanings[0])) != read(word):
        return f"stands for {_named(meanings)} in the files, and for itself in the tables: send another word for either"
    near = [other for other in known if _bare(other) == _bare(word)] if column in WITH_A_MEANING else []
    if near and not meanings and read(word) not in own:
        words = dict.fromkeys((*sorted(standard), *WITH_A_MEANING[column]))
        return f"is not '{near[0]}', but like it; words of the tables: {_named(words)}"
    return ""


def _bare(word: str) -> str:
    """A word without case, accents and signs."""
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if c.isalnum()) or word


def _named(words: Iterable[str | None]) -> str:
    known = [f"'{word}'" if word is not None else "nothing" for word in words]
    return ", ".join(known[:MOST_NAMED]) + (" ..." if len(known) > MOST_NAMED else "")
