"""Repairs of ids to propose: for tables that join badly with the customers and would join well after one.

A repair is given to all tables with ids of customers, as ids that joined before are repaired on both sides then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from features.sources.proposal.tables import Reading, TableGuess
from features.sources.rows.ids import MEANINGS, UNKNOWN_SHARE, Repair, best_repair, example_of, merges
from features.sql import connect_duckdb
from features.tables import ONE_ROW_A_CUSTOMER

MOST_IDS = 2_000
Entries = list[list[TableGuess]]


def with_repairs(tables: Mapping[str, Entries]) -> dict[str, Entries]:
    """The tables, with what stands under ``ids`` and why where one of them needs it.

    Parameters
    ----------
    tables
        Of each table its entries; what is seen of the ids is that of their samples.
    """
    known = _ids([entry[0] for entry in tables.get("customers", [])])
    if known.empty:
        return dict(tables)
    found = {
        (name, n): repair
        for name, entries in tables.items()
        if name not in ONE_ROW_A_CUSTOMER
        for n, entry in enumerate(entries)
        if (repair := _repair(entry[0], known))
    }
    every = tuple(dict.fromkeys(repair for repairs, _ in found.values() for repair in repairs))
    if not every or _merges(known, every):
        return dict(tables)
    joined = " and ".join(dict.fromkeys(name for name, _ in found))
    out = {}
    for name, entries in tables.items():
        other = "so that they join with " + joined if name == "customers" else "so that they join as before"
        told = [(every, found[name, n][1] if (name, n) in found else other) for n in range(len(entries))]
        out[name] = [[_with(g, ids) for g in entry] for entry, ids in zip(entries, told, strict=True)]
    return out


def _merges(known: pd.Series, repairs: tuple[Repair, ...]) -> bool:
    """Whether all repairs one after the other make two customers one."""
    with connect_duckdb() as connection:
        connection.register("given", pd.DataFrame({"id": known.to_numpy(object)}))
        return merges(connection, "given", repairs)


def _with(guess: TableGuess, ids: tuple[tuple[Repair, ...], str]) -> TableGuess:
    """The guess with repairs, if it has ids of customers."""
    if guess.column("customer_id") is None:
        return guess
    return replace(guess, reading=replace(guess.reading or Reading(), ids=ids))


def _ids(guesses: list[TableGuess]) -> pd.Series:
    columns = [c.filled.astype(str) for guess in guesses if (c := guess.column("customer_id")) is not None]
    return pd.concat(columns).drop_duplicates() if columns else pd.Series(dtype=object)


def _repair(guess: TableGuess, known: pd.Series) -> tuple[tuple[Repair, ...], str] | None:
    """The repairs that make customers of most ids that none has, and why, in words."""
    column = guess.column("customer_id")
    if column is None:
        return None
    ids = column.filled.astype(str)
    unknown = ids[~ids.isin(known)]
    if not len(unknown) or len(unknown) < UNKNOWN_SHARE * len(ids):
        return None
    best = best_repair(unknown.drop_duplicates().head(MOST_IDS), known)
    if best is None:
        return None
    repairs, found, asked, pair = best
    meaning = " and ".join(MEANINGS[repair] for repair in repairs)
    why = f"{found:,} of {asked:,} ids that no customer has are those of customers then{example_of(pair)}; if {meaning}"
    return repairs, why
