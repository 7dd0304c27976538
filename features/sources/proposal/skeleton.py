"""Files that fit no table for certain: a mapping to be filled in by hand, with what could be each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from features.sources.proposal.columns import Column
from features.sources.proposal.tables import MANY_ROWS, Reading, TableGuess, fit
from features.tables import TABLES, Field

SHOWN = 8
Files = Mapping[Path, tuple[Column, ...]]


def skeleton(unknown: Files, among: Sequence[str]) -> list[TableGuess]:
    """The files of the same columns with the most rows that could be a table of events, as that table.

    Parameters
    ----------
    unknown
        Columns of each file that fits no table; those of files that were looked at together are the same tuple.
    among
        The tables that are thought of.
    """
    groups = [paths for paths in _alike(unknown) if _could_be_events(unknown[paths[0]])]
    if not groups:
        return []
    paths = max(groups, key=lambda paths: len(unknown[paths[0]][0].values))
    guess = max((fit(TABLES[name], paths[0], unknown[paths[0]]) for name in among), key=lambda g: g.score)
    question = f"NOT SURE: is this {guess.table.name}, one row per {guess.table.grain}? Which column is which? See "
    missing = {f.name: _candidates(f, guess.spare) for f in guess.table.fields if f.name in guess.missing}
    reading = Reading(notes=(question + "'Tables and columns' in docs/own-data.md",), missing=missing)
    return [replace(guess, path=path, reading=reading) for path in paths]


def _alike(files: Files) -> list[list[Path]]:
    return [list(paths) for _, paths in groupby(sorted(files, key=lambda p: id(files[p])), key=lambda p: id(files[p]))]


def _could_be_events(columns: Sequence[Column]) -> bool:
    """Many rows with a time, and a column that could name whom they are about."""
    has_ids = any(c.distinct > 1 and not c.is_time and not c.has_fractions for c in columns)
    return len(columns) > 2 and len(columns[0].values) >= MANY_ROWS and any(c.is_time for c in columns) and has_ids


def _candidates(field: Field, spare: Sequence[Column]) -> str:
    """In words, the columns that could be a field."""
    if field.kind == "time":
        fitting = [c.name for c in spare if c.is_time]
    elif field.kind == "number":
        fitting = [c.name for c in spare if c.is_number]
    else:
        fitting = [c.name for c in spare if not c.is_time and not c.has_fractions and c.distinct > 1]
    return "required; which is it? " + (", ".join(fitting[:SHOWN]) or "no column could be it")


def why_aside(unknown: Files) -> dict[Path, str]:
    """Why files are left out: the columns of files that are alike are named once."""
    out: dict[Path, str] = {}
    for first, *others in _alike(unknown):
        out[first] = f"none of the tables: its columns are {', '.join(c.name for c in unknown[first])}"
        out |= dict.fromkeys(others, f"none of the tables: as '{first.name}'")
    return {path: out[path] for path in unknown}


def refusal(files: Files, unread: Mapping[Path, str]) -> str:
    """What is said where not even a skeleton can be written, short whatever the number of files.

    `unread`: why files could not be read.
    """
    told = []
    for first, *others in sorted(_alike(files), key=lambda paths: str(paths[0]))[:SHOWN]:
        names = [c.name for c in files[first]]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        like = f" and {len(others)} files like it" if others else ""
        told.append(f"'{first}'{like} has {', '.join(names[:SHOWN])}{more}")
    told += [unread[path] for path in sorted(unread)[: SHOWN - len(told)]]
    return (
        f"no file looks like one of {', '.join(TABLES)}: {'; '.join(told)}; if one is, say which column is which by "
        "hand, see 'By example' in docs/own-data.md"
    )
