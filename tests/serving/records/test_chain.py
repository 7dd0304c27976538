from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import pytest

from serving.records.chain import MOST_FAULTS, START, Entry, Fault, Link, faults_of


def chain(length: int) -> list[Entry]:
    entries: list[Entry] = []
    last = Link(0, START)
    for i in range(length):
        entry = Entry("answer", 1000 + i, f"id{i}", b"person", None, b"summary %d" % i, b"content")
        entries.append(entry.after(last.position, last.hash))
        last = Link(entries[-1].position, entries[-1].hash)
    return entries


def faults(entries: list[Entry], known: list[Link] | None = None) -> list[Fault]:
    return faults_of(entries, Link(0, START), known or [])[0]


def test_a_hash_is_that_of_the_hash_before_and_of_all_parts_behind_their_lengths() -> None:
    first, second = chain(2)
    lengths = struct.pack("<qq6I", 2, 1001, 6, 3, 6, 0, 9, 7)
    written = first.hash + lengths + b"answer" + b"id1" + b"person" + b"summary 1" + b"content"
    assert second.hash == hashlib.sha256(written).digest()


def test_a_chain_is_whole_and_tells_its_end() -> None:
    entries = chain(5)
    whole, last = faults_of(entries, Link(0, START), [Link(3, entries[2].hash)])
    assert whole == []
    assert last == Link(5, entries[4].hash)
    assert faults_of(entries[2:], Link(2, entries[1].hash), []) == ([], last)


@pytest.mark.parametrize(
    "part",
    [
        {"kind": "read"},
        {"at": 1},
        {"id": "other"},
        {"person": b"else"},
        {"context": b"c"},
        {"summary": b""},
        {"content": b"x"},
    ],
)
def test_an_edit_is_found_where_it_is(part: dict[str, object]) -> None:
    entries = chain(4)
    entries[1] = replace(entries[1], **part)  # type: ignore[arg-type]
    assert [f.position for f in faults(entries)] == [2]


def test_a_deletion_is_found_and_so_is_one_after_which_the_others_were_numbered_anew() -> None:
    entries = chain(6)
    assert faults(entries[:2] + entries[4:]) == [Fault(3, "entries 3 to 4 are missing")]
    closed_up = entries[:2] + [replace(e, position=e.position - 2) for e in entries[4:]]
    assert [f.position for f in faults(closed_up)] == [3, 4]


def test_another_order_is_found_at_both_places() -> None:
    a, b, c, d = chain(4)
    swapped = [a, replace(c, position=2), replace(b, position=3), d]
    assert [f.position for f in faults(swapped)] == [2, 3, 4]


def test_a_cut_off_end_is_found_by_what_is_known_from_outside_and_by_nothing_else() -> None:
    entries = chain(6)
    assert faults(entries[:4]) == []
    known = [Link(2, entries[1].hash), Link(6, entries[5].hash)]
    assert faults(entries[:4], known) == [Fault(5, "the end was cut off: entries 5 to 6 are missing")]
    assert faults([], [Link(1, entries[0].hash)]) == [Fault(1, "the end was cut off: entry 1 is missing")]


def test_a_chain_that_was_written_anew_is_found_where_it_was_signed() -> None:
    entries, forged = chain(4), []
    last = Link(0, START)
    for entry in entries:
        changed = replace(entry, summary=b"forged") if entry.position == 2 else entry
        forged.append(changed.after(last.position, last.hash))
        last = Link(forged[-1].position, forged[-1].hash)
    assert faults(forged) == []
    (fault,) = faults(forged, [Link(1, entries[0].hash), Link(3, entries[2].hash)])
    assert (fault.position, "signed" in fault.what) == (3, True)


def test_no_more_faults_are_told_than_a_person_reads() -> None:
    entries = [replace(entry, content=b"changed") for entry in chain(MOST_FAULTS + 30)]
    assert len(faults(entries)) == MOST_FAULTS
