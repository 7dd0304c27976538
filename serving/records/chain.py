"""The chain of the record: each entry's hash covers the hash before it, so nothing within can change unseen.

An edit, a deletion or another order breaks it where it was done. A cut-off end does not: signed checkpoints outside
(`serving.records.checkpoints`) tell how far it went. Hashes are of what is sealed: whoever verifies need not read it,
and an erasure, which destroys keys, breaks nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

START = bytes(32)  # what comes before the first entry
MOST_FAULTS = 20


@dataclass(frozen=True)
class Entry:
    """One entry of the record.

    Attributes
    ----------
    kind
        ``answer``, ``read``, ``erased``, ``pruned`` or ``rotated``.
    at
        When, in microseconds since 1970, UTC.
    id
        Of the answer; None for another kind.
    person
        Whose key seals it: a random name that leads to nobody without the table of persons.
    context
        Hash of what it shares with others, see `serving.records.evidence.Context`; None where nothing is shared.
    summary, content
        The columns that monitoring reads, and all the rest; sealed.
    position, hash
        Place in the chain, from 1 on without a gap, and the hash; 0 and empty before it is chained.
    """

    kind: str
    at: int
    id: str | None
    person: bytes
    context: bytes | None
    summary: bytes
    content: bytes
    position: int = 0
    hash: bytes = b""

    def after(self, position: int, before: bytes) -> Entry:
        """The entry, chained behind the one at a position with a hash."""
        fields = (self.kind, self.at, self.id, self.person, self.context, self.summary, self.content, position + 1)
        return Entry(*fields, hash_of(*fields, before))


def hash_of(
    kind: str,
    at: int,
    id_: str | None,
    person: bytes,
    context: bytes | None,
    summary: bytes,
    content: bytes,
    position: int,
    before: bytes,
) -> bytes:
    """SHA-256 of the hash before, and of all of an entry, each part behind its length."""
    parts = (kind.encode(), (id_ or "").encode(), person, context or b"", summary, content)
    lengths = struct.pack("<qq6I", position, at, *map(len, parts))
    return hashlib.sha256(b"".join((before, lengths, *parts))).digest()


@dataclass(frozen=True)
class Fault:
    """What is wrong with the record, and at which position."""

    position: int
    what: str


@dataclass(frozen=True)
class Link:
    """The hash at a position of the chain."""

    position: int
    hash: bytes


def faults_of(entries: Iterable[Entry], before: Link, known: Iterable[Link]) -> tuple[list[Fault], Link]:
    """What is wrong with a chain, and where it ends.

    Parameters
    ----------
    entries
        All of them, by position.
    before
        What the first must follow.
    known
        What is known from outside about the chain, from that place on.

    Returns
    -------
    list of Fault, Link
        The first `MOST_FAULTS`, in their order; empty where it is whole. And its last entry, or `before` without any.
    """
    witnesses: dict[int, set[bytes]] = {}
    for link in known:
        witnesses.setdefault(link.position, set()).add(link.hash)
    faults: list[Fault] = []
    last = before
    for of_entry, reached in _walk(entries, before, witnesses):
        faults, last = faults + of_entry, reached
        if len(faults) >= MOST_FAULTS:
            break
    else:
        faults += _cut_off(last, witnesses)
    return faults, last


def _walk(
    entries: Iterable[Entry], before: Link, witnesses: dict[int, set[bytes]]
) -> Iterator[tuple[list[Fault], Link]]:
    """The faults of each entry, and the entry."""
    for entry in entries:
        faults = []
        if entry.position != before.position + 1:
            gap = _span(before.position + 1, entry.position - 1)
            faults.append(Fault(before.position + 1, f"{gap} missing"))
        elif entry.after(before.position, before.hash) != entry:
            faults.append(Fault(entry.position, "is not what was written there: changed, or moved from another place"))
        elif witnesses.get(entry.position, {entry.hash}) != {entry.hash}:
            faults.append(Fault(entry.position, "is not the one that was signed: the chain was written anew"))
        before = Link(entry.position, entry.hash)
        yield faults, before


def _cut_off(last: Link, witnesses: dict[int, set[bytes]]) -> list[Fault]:
    furthest = max(witnesses, default=0)
    if furthest <= last.position:
        return []
    return [Fault(last.position + 1, f"the end was cut off: {_span(last.position + 1, furthest)} missing")]


def _span(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
