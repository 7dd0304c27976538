"""Who was erased: a list of keyed hashes, so that the next export does not bring a person back.

The list holds no id. Whether an id is on it can be told with the key that lies beside it, of which there is one a
workspace; without the key, not even by trying all ids.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from configs.workspace import Workspace, write_text
from features.quality.check import as_text
from features.sources.staging import ChunkedTable
from features.tables import REASON, SOURCE_ROWS

T = TypeVar("T")
IDS = ("customer_id", "alias")
WORDS = re.compile(r"[^;,|\t\"'\s]+")


@dataclass(frozen=True)
class SuppressionList:
    """The hashes of the ids of all erased persons, their aliases among them, and the key."""

    key: bytes = b""
    hashes: frozenset[str] = frozenset()

    def hash_of(self, one: str) -> str:
        """The keyed hash (HMAC-SHA256) of an id, in hexadecimal digits."""
        return hmac.new(self.key, one.strip().encode(), hashlib.sha256).hexdigest()

    def among(self, ids: Iterable[str]) -> set[str]:
        """Of these ids, those that were erased."""
        return {i for i in ids if self.hash_of(i) in self.hashes} if self.hashes else set()


NONE = SuppressionList()


def load_suppression_list(workspace: Workspace) -> SuppressionList:
    """Who was erased from a workspace."""
    key, listed = _files(workspace)
    if not listed.is_file():
        return NONE
    return SuppressionList(bytes.fromhex(key.read_text("ascii")), frozenset(json.loads(listed.read_text("utf-8"))))


def suppress(workspace: Workspace, ids: Iterable[str]) -> None:
    """Put ids on the list; those that are on it already are no error."""
    key, listed = _files(workspace)
    if not key.is_file():
        key.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    known = SuppressionList(bytes.fromhex(key.read_text("ascii")), load_suppression_list(workspace).hashes)
    write_text(listed, json.dumps(sorted(known.hashes.union(map(known.hash_of, ids))), indent=0))


def drop_suppressed(raw: Mapping[str, T], tombstones: SuppressionList) -> tuple[dict[str, T], dict[str, int]]:
    """Take the rows of erased persons out of raw tables.

    An alias that is new in the table of identities is erased with its person.

    Parameters
    ----------
    raw
        The tables as their source gave them, whole or in parts; they are not changed.
    tombstones
        Who was erased.

    Returns
    -------
    dict of str to pandas.DataFrame, dict of str to int
        The other rows, and for each table how many rows of the source were left out. Of a table in parts that is known
        when it was read to its end.
    """
    if not tombstones.hashes:
        return dict(raw), {}
    whole = {name: table for name, table in raw.items() if isinstance(table, pd.DataFrame)}
    out, counts, aliases = _leave_out(whole, tombstones)
    for name, table in raw.items():
        if isinstance(table, ChunkedTable):
            out[name] = replace(table, read=partial(_left_parts, name, table, tombstones, aliases, counts))
    return {name: out[name] for name in raw}, counts


def _left_parts(
    name: str, table: ChunkedTable, tombstones: SuppressionList, aliases: set[str], counts: dict[str, int]
) -> Iterator[pd.DataFrame]:
    counts[name] = 0
    for part in table.read():
        kept, gone, _ = _leave_out({name: part}, tombstones, aliases)
        counts[name] += gone[name]
        yield kept[name]


def _leave_out(
    raw: Mapping[str, pd.DataFrame], tombstones: SuppressionList, also: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, int], set[str]]:
    """As `drop_suppressed`, with the aliases of erased persons; rows of the ids in `also` are left out too."""
    told = {name: {c: as_text(frame[c]) for c in IDS if c in frame} for name, frame in raw.items()}
    erased = tombstones.among(
        {i for columns in told.values() for ids in columns.values() for i in ids.dropna().unique()}
    )
    aliases = _aliases_of(erased, told.get("identities", {}))
    erased |= aliases.union(also)
    out, counts = {}, {}
    for name, frame in raw.items():
        gone = _quoting(frame, tombstones)
        for ids in told[name].values():
            gone |= ids.isin(list(erased)).to_numpy(dtype=bool)
        counts[name] = int(frame.loc[gone, SOURCE_ROWS].sum()) if SOURCE_ROWS in frame else int(gone.sum())
        out[name] = frame[~gone] if gone.any() else frame
        out[name].attrs = frame.attrs
    return out, counts, aliases


def _aliases_of(erased: set[str], told: Mapping[str, pd.Series]) -> set[str]:
    """Aliases of erased persons, and aliases of these."""
    links = list(zip(*(told[c] for c in IDS), strict=True)) if set(IDS) <= set(told) else []
    found: set[str] = set()
    while more := {alias for person, alias in links if person in erased | found} - erased - found:
        found |= more
    return found


def _quoting(frame: pd.DataFrame, tombstones: SuppressionList) -> pd.Series:
    """True for a line that is no row, if the reason against it quotes an erased id."""
    if REASON not in frame:
        return pd.Series(False, index=frame.index)
    said = frame[REASON].where(frame[REASON].notna(), "").astype(str)
    quoting = {text for text in said.unique() if tombstones.among(WORDS.findall(text))}
    return said.isin(list(quoting))


def _files(workspace: Workspace) -> tuple[Path, Path]:
    return workspace.erased / "key", workspace.erased / "tombstones.json"
