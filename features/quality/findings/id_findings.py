"""Ids in doubt: tables that would join well after a repair, and ids that are no customer, such as a guest's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import pandas as pd

from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.sources.rows.ids import MEANINGS, UNKNOWN_SHARE, best_repair, example_of
from features.sources.rows.meaning import words

MOST_IDS = 20_000
SHARE, TIMES, FEWEST_CUSTOMERS = 0.03, 10.0, 50
WORDS = """guest guests unknown anonymous anon nobody none null nan na undefined test tester dummy walkin deleted gast
    laufkunde unbekannt anonym testkunde barverkauf invite inconnu anonyme essai invitado desconocido anonimo prueba
    ninguno 游客 访客 未知 匿名 测试 散客"""
NO_ONE = frozenset(WORDS.split())
FILLER = re.compile(r"^(-|0+|-1|9{4,}|\?+|x+)$", re.IGNORECASE)


def id_findings(checked: Mapping[str, ValidatedTable]) -> list[Finding]:
    """Findings about ids of customers in all tables of events; all only warn."""
    known = checked["customers"].column("customer_id") if "customers" in checked else pd.Series(dtype=object)
    findings = []
    for name, one in checked.items():
        if name in ("customers", "profiles", "identities") or "customer_id" not in one.table.names:
            continue
        unknown = unknown_ids(one)
        findings += _repairable(name, one, unknown, known) if len(known) else []
        counts = one.frequent("customer_id", MOST_IDS).add(unknown.value_counts().head(MOST_IDS), fill_value=0)
        counts = counts.sort_values(ascending=False, kind="stable")
        findings += no_one_findings(name, counts, one.table_rows + len(unknown), known)
    return findings


def unknown_ids(one: ValidatedTable) -> pd.Series:
    """The ids of rows in quarantine that no customer has, one a row."""
    rows = one.rejected("customer_id")
    if rows.empty:
        return pd.Series(dtype=object)
    return rows.loc[rows["reason"].str.contains("is no known customer", regex=False), "customer_id"].astype(str)


def _repairable(name: str, one: ValidatedTable, unknown: pd.Series, known: pd.Series) -> list[Finding]:
    if not len(unknown) or len(unknown) < UNKNOWN_SHARE * one.rows_judged:
        return []
    best = best_repair(unknown.drop_duplicates().head(MOST_IDS), known)
    if best is None:
        return []
    repairs, found, asked, pair = best
    got = f"{len(unknown):,} rows have ids that no customer has; {found:,} of {asked:,} such ids are those of customers"
    setting = f"ids: {{customer_id: [{', '.join(repairs)}]}}"
    meaning = " and ".join(MEANINGS[r] for r in repairs)
    todo = f"say {setting} under source.options of {name} and of customers, if {meaning}"
    got += f" after {' and '.join(repairs)}{example_of(pair)}"
    return [Finding(name, "customer_id", "ids_differ_in_form", "warn", got, "the ids of the customers", todo)]


def no_one_findings(table: str, counts: pd.Series, total: int, known: Collection[str] = ()) -> list[Finding]:
    """Ids that are no customer by their name, or by a share of the rows that no customer has.

    Parameters
    ----------
    table
        Name of the table.
    counts
        Rows of the most frequent ids, the most frequent first.
    total
        Rows of all.
    known
        Ids of customers, where the most frequent are not all.

    Examples
    --------
    >>> counts = pd.Series({"guest": 90, **{f"c{n}": 1 for n in range(60)}})
    >>> [finding.got for finding in no_one_findings("orders", counts, 150)]
    ["'guest' has 90 of 150 rows (60.0%), the next 1"]
    """
    if counts.empty:
        return []
    top, usual = counts.index[0], float(counts.median())
    second = int(counts.iloc[1]) if len(counts) > 1 else 0
    often = counts[counts > 1]
    ids = {*map(str, counts.index), *map(str, known)} if any(is_filler(str(i)) for i in often.index) else set()
    named = [
        i
        for i in often.index
        if is_no_one(str(i)) or (is_filler(str(i)) and (often[i] > TIMES * usual or not has_neighbour(str(i), ids)))
    ]
    crowd = len(counts) > FEWEST_CUSTOMERS and counts.iloc[0] > max(SHARE * total, TIMES * second)
    found = [*named[:5], *([top] if crowd and top not in named else [])]
    return [_no_one(table, str(i), int(counts[i]), total, second if i == top else int(counts.iloc[0])) for i in found]


def is_no_one(customer_id: str) -> bool:
    """True for a word that stands for nobody in five languages.

    >>> [i for i in ["Gast", "GUEST_1", "游客", "n/a", "0", "c0001", "test@x.org", "anna"] if is_no_one(i)]
    ['Gast', 'GUEST_1', '游客', 'n/a']
    """
    return "@" not in customer_id and (
        bool({*words(customer_id)} & NO_ONE) or customer_id.strip().lower() in ("n/a", "#n/a")
    )


def is_filler(customer_id: str) -> bool:
    """True for a number or sign that often fills the place of an id, and may be one: ``0``, ``-1``, ``99999``."""
    return bool(FILLER.match(customer_id.strip()))


def has_neighbour(customer_id: str, ids: Collection[str]) -> bool:
    """Whether the number before or after an id is one, too, so that it may stand in a row of customers' numbers.

    >>> has_neighbour("0", {"0", "1"}), has_neighbour("000000", {"000000", "001203"}), has_neighbour("-1", {"-1"})
    (True, False, False)
    """
    own = customer_id.strip()
    if not own.isdecimal():
        return False
    return any(str(n).zfill(len(own)) in ids for n in (int(own) - 1, int(own) + 1) if n >= 0)


def _no_one(table: str, customer_id: str, rows: int, total: int, other: int) -> Finding:
    shown = "an address" if "@" in customer_id else repr(customer_id[:40])
    got = f"{shown} has {rows:,} of {total:,} rows ({rows / total:.1%}), the next {other:,}"
    todo = (
        f"if that is no one customer, leave its rows out: where: {{<its column>: {{not: [{shown}]}}}} under "
        f"source.options of {table}, or read customer_id from a column that tells buyers apart"
    )
    return Finding(table, "customer_id", "id_of_no_one", "warn", got, "ids of one customer each", todo)
