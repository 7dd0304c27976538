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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

from configs.files import FileVersion, file_version, write_text
from configs.workspace import Workspace
from features.quality.check import ERASED_ROWS, as_text
from features.sources.staging import Raw
from features.tables import REASON, SOURCE_ROWS, id_of

IDS = ("customer_id", "alias")
UNFOUND = "unfound.json"
WORDS = re.compile(r"[^;,|\t\"'\s]+")


@dataclass(frozen=True)
class SuppressionList:
    """The hashes of the ids of all erased persons, their aliases among them, and the key."""

    key: bytes = b""
    hashes: frozenset[str] = frozenset()

    def hash_of(self, customer_id: str) -> str:
        """The keyed hash (HMAC-SHA256) of an id, in hexadecimal digits."""
        return hmac.new(self.key, id_of(customer_id).encode(), hashlib.sha256).hexdigest()

    def among(self, ids: Iterable[str]) -> set[str]:
        """Of these ids, those that were erased."""
        return {i for i in ids if self.hash_of(i) in self.hashes} if self.hashes else set()


EMPTY = SuppressionList()


def load_suppression_list(workspace: Workspace) -> SuppressionList:
    """Who was erased from a workspace; read anew when the list was written since."""
    key, listed = _files(workspace)
    written = file_version(listed)
    return _load(key, written) if written else EMPTY


@lru_cache(maxsize=8)
def _load(key: Path, listed: FileVersion) -> SuppressionList:
    hashes = frozenset(json.loads(listed.path.read_text("utf-8")))
    return SuppressionList(bytes.fromhex(key.read_text("ascii")), hashes)


def erased_among(workspace: Workspace, ids: Iterable[str]) -> set[str]:
    """Of these ids, those that were erased from a workspace."""
    return load_suppression_list(workspace).among(ids)


def known_among(workspace: Workspace, ids: Iterable[str]) -> set[str]:
    """Of these ids, those under which something was erased; of the others on the list nothing was ever found."""
    listed = load_suppression_list(workspace)
    return listed.among(ids) - replace(listed, hashes=_unfound(workspace)).among(ids)


def note_unfound(workspace: Workspace, unfound: Iterable[str], found: Iterable[str]) -> None:
    """Keep apart under which ids on the list nothing was found, so that the same slip is told as one again."""
    hash_of, before = load_suppression_list(workspace).hash_of, _unfound(workspace)
    hashes = before.union(map(hash_of, unfound)).difference(map(hash_of, found))
    if hashes != before:
        write_text(workspace.erased / UNFOUND, json.dumps(sorted(hashes), indent=0))


def _unfound(workspace: Workspace) -> frozenset[str]:
    path = workspace.erased / UNFOUND
    return frozenset(json.loads(path.read_text("utf-8"))) if path.is_file() else frozenset()


def suppress(workspace: Workspace, ids: Iterable[str]) -> None:
    """Put ids on the list; those that are on it already are no error."""
    key, listed = _files(workspace)
    if not key.is_file():
        key.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    known = SuppressionList(bytes.fromhex(key.read_text("ascii")), load_suppression_list(workspace).hashes)
    write_text(listed, json.dumps(sorted(known.hashes.union(map(known.hash_of, ids))), indent=0))


def drop_suppressed(raw: Mapping[str, Raw], suppressed: SuppressionList) -> dict[str, Raw]:
    """Take the rows of erased persons out of raw tables.

    An alias that is new in the table of identities is erased with its person.

    Parameters
    ----------
    raw
        The tables as their source gave them, whole or in chunks; they are not changed.
    suppressed
        Who was erased.

    Returns
    -------
    dict of str to pandas.DataFrame or ChunkedTable
        The other rows. ``attrs[ERASED_ROWS]`` of a frame, or of a chunk, is the number of rows of the source that
        were left out of it.
    """
    if not suppressed.hashes:
        return dict(raw)
    drop = partial(_drop_rows, suppressed=suppressed, aliases=_aliases_of_erased(raw.get("identities"), suppressed))
    return {name: _map_chunks(drop, table) for name, table in raw.items()}


def _map_chunks(change: Callable[[pd.DataFrame], pd.DataFrame], table: Raw) -> Raw:
    if isinstance(table, pd.DataFrame):
        return change(table)
    return replace(table, read=lambda: map(change, table.read()))


def _drop_rows(frame: pd.DataFrame, suppressed: SuppressionList, aliases: set[str]) -> pd.DataFrame:
    """The rows that are not about an erased person or one of these aliases."""
    about = _names_erased(frame, suppressed)
    ids = _ids(frame)
    erased = list(_erased_among(ids, suppressed) | aliases)
    for column in ids.values():
        about |= column.isin(erased).to_numpy(dtype=bool)
    if not about.any():
        return frame
    rows = int(frame.loc[about, SOURCE_ROWS].sum()) if SOURCE_ROWS in frame else int(about.sum())
    rest = frame[~about]
    rest.attrs = {**frame.attrs, ERASED_ROWS: rows}
    return rest


def _ids(frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {c: as_text(frame[c]) for c in IDS if c in frame}


def _erased_among(ids: Mapping[str, pd.Series], suppressed: SuppressionList) -> set[str]:
    return suppressed.among({i for column in ids.values() for i in column.dropna().unique()})


def _aliases_of_erased(identities: Raw | None, suppressed: SuppressionList) -> set[str]:
    """Aliases of erased persons, and aliases of these, that are not erased themselves."""
    if not isinstance(identities, pd.DataFrame) or not set(IDS) <= set(identities.columns):
        return set()
    ids = _ids(identities)
    links, erased = list(zip(*(ids[c] for c in IDS), strict=True)), _erased_among(ids, suppressed)
    aliases: set[str] = set()
    while more := {alias for person, alias in links if person in erased | aliases} - erased - aliases:
        aliases |= more
    return aliases


def _names_erased(frame: pd.DataFrame, suppressed: SuppressionList) -> pd.Series:
    """True for a line that is no row, if the reason against it quotes an erased id."""
    if REASON not in frame:
        return pd.Series(False, index=frame.index)
    reasons = frame[REASON].where(frame[REASON].notna(), "").astype(str)
    naming = {text for text in reasons.unique() if suppressed.among(WORDS.findall(text))}
    return reasons.isin(list(naming))


def _files(workspace: Workspace) -> tuple[Path, Path]:
    return workspace.erased / "key", workspace.erased / "tombstones.json"
