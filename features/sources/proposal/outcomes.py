"""Columns of one row a customer whose names speak of what came after: left out or asked, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.labels.ready_label import column_name
from features.sources.proposal.columns import Column
from features.sources.proposal.time_in_names import TimeTold, time_told


def told_columns(columns: Sequence[Column]) -> dict[str, TimeTold]:
    """Of columns that could be features, those whose names speak of a time that is not surely past."""
    return {c.name: told for c in columns if not c.is_time and (told := time_told(c.name))}


def left_out(columns: Sequence[Column]) -> list[str]:
    """Names of those that are proposed to be no features."""
    return [name for name, told in told_columns(columns).items() if told.is_asked]


def notes(columns: Sequence[Column], of_table: str) -> Mapping[str, str]:
    """What is said of each, with what to write if it is otherwise.

    Parameters
    ----------
    columns
        Those that could be features.
    of_table
        ``profiles``, where every column is one that is not left out; else attributes, which a person declares.

    Examples
    --------
    >>> import pandas as pd
    >>> notes([Column("Umsatz 90 Tage", pd.Series(["1", "7"]))], "profiles")["Umsatz 90 Tage"][:45]
    "CHECK: its name ('90 tage') is of the days be"
    """
    out = {}
    for name, told in told_columns(columns).items():
        if of_table != "profiles":
            if told.is_asked:
                out[name] = f"left out, as {told.text}; if it was known at the sign-up, put it under attributes"
        elif told.kind == "span":
            out[name] = (
                f"CHECK: {told.text}; it is a feature, taken to be of those before: if not, put it under exclude"
            )
        else:
            before = f"take it out of exclude, and write leaks: {{known_before: [{column_name(name)}]}}"
            came = f"; if it is what each customer brought since, {_as_value(name)}" if told.kind != "outcome" else ""
            doubt = "QUESTION: " if told.kind == "doubt" else ""
            out[name] = f"{doubt}left out, as {told.text}; if it was known before, {before}{came}"
    return out


def _as_value(name: str) -> str:
    return f"write realised_value: '{name}' under columns of the table, and its days as clv.horizon_days"
