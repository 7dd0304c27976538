"""A column of texts that may be numbers: what it holds, and the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.numbers.currencies import currency_of
from features.numbers.reading import (
    SignEvidence,
    clean_sql,
    evidence_sql,
    is_placeholder_sql,
    tokens_sql,
    value_sql,
)
from features.sql import connect_duckdb

TOLERATED, FEWEST = 0.02, 20


@dataclass(frozen=True)
class TextColumn:
    """What a column of texts holds.

    Attributes
    ----------
    numbers
        float64, by the index of the texts; NaN where a text is no number.
    filled, placeholders, unreadable
        Texts that are not blank; of them, those that say that nothing is known (``N/A``); those that are no number
        either.
    evidence
        What they tell of the decimal sign.
    currencies
        Codes, and signs of several currencies, that stand before or behind the numbers; in order of name.
    coded
        Texts that are digits after a zero, as in postal codes.
    """

    numbers: pd.Series
    filled: int
    placeholders: int
    unreadable: int
    evidence: SignEvidence
    currencies: tuple[str, ...]
    coded: int

    @property
    def found(self) -> int:
        """Texts that are numbers."""
        return self.filled - self.placeholders - self.unreadable

    @property
    def in_doubt(self) -> bool:
        """Whether a separator may be a decimal sign or one of thousands, and nothing decides."""
        return bool(self.evidence.in_doubt) and self.evidence.sign not in (",", ".")

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers: all texts are, but placeholders and at most a few others.

        Few are `TOLERATED` of the numbers, or one, where there are `FEWEST` numbers at least. Digits after a zero are
        codes: as numbers they would lose it.
        """
        few = max(1.0, TOLERATED * self.found) if self.found >= FEWEST else 0.0
        return self.found > 0 and self.unreadable <= few and not self.coded and len(self.currencies) < 2


def read_column(texts: pd.Series, decimal: str | None = None) -> TextColumn:
    """Look at a column of texts, and read its numbers.

    Parameters
    ----------
    texts
        Values, as text where they are none; missing ones and blanks are not filled.
    decimal
        The sign of values in doubt, where it is known.

    Examples
    --------
    >>> column = read_column(pd.Series(["12.30 EUR", "1,053", "N/A", None]))
    >>> column.numbers.tolist(), column.evidence.sign, column.currencies, column.placeholders
    ([12.3, 1053.0, nan, nan], '.', ('EUR',), 1)
    >>> read_column(pd.Series(["1.234,56"])).evidence.sign, read_column(pd.Series(["1.234"])).in_doubt
    (',', True)
    """
    stripped = texts.astype("string").str.strip()
    stripped = stripped.mask(stripped == "")
    counts = stripped.value_counts()
    distinct = pd.DataFrame({"x": counts.index.astype(object), "n": counts.to_numpy("int64")})
    with connect_duckdb() as connection:
        connection.register("given", distinct.astype({"x": object}))
        connection.execute("create table texts as select cast(x as varchar) as x, n from given")
        row = connection.execute(
            f"select {evidence_sql('x')} from texts where not {is_placeholder_sql('x')}"
        ).fetchone()
        evidence = SignEvidence(*(row or (0, 0, 0, None)))
        value = value_sql("clean", decimal or evidence.sign, declared=decimal is not None)
        before, behind = tokens_sql("x")
        read = connection.execute(f"""
            select x, n, {value} as value, {is_placeholder_sql("x")} as placeholder,
                   regexp_matches(x, '^[-+]?0[0-9]+$') as coded, {before} as before, {behind} as behind
            from (select *, {clean_sql("x")} as clean from texts)
        """).df()
    empty, rows = read["placeholder"].astype(bool), read["n"]
    values = read["value"].mask(empty)
    tokens = {currency_of(t) for side in ("before", "behind") for t in read.loc[values.notna(), side] if t}
    return TextColumn(
        numbers=stripped.map(dict(zip(read["x"], values, strict=True))).astype("float64"),
        filled=int(rows.sum()),
        placeholders=int(rows[empty].sum()),
        unreadable=int(rows[values.isna() & ~empty].sum()),
        evidence=evidence,
        currencies=tuple(sorted(t for t in tokens if t)),
        coded=int(rows[read["coded"].astype(bool)].sum()),
    )
