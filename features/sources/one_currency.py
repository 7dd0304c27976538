"""All amounts in one currency: those in another are converted by rates, or the load stops and asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

import pandas as pd

from configs.errors import DataError
from configs.settings import Settings
from features.numbers.currencies import SHARED_SIGNS
from features.numbers.rates import RateTable, in_one_currency, load_rates
from features.sources.staging import Raw


def convert_currencies(raw: Mapping[str, Raw], settings: Settings) -> dict[str, Raw]:
    """Bring all amounts into the currency of the business.

    Parameters
    ----------
    raw
        Tables as `features.sources.staging.read` gives them; they are not changed.
    settings
        Of the business: its currency, time zone and rates.

    Returns
    -------
    dict of str to pandas.DataFrame or ChunkedTable
        A row without a rate of its day has a reason against it; ``attrs["notes"]`` tells how many rows were converted.

    Raises
    ------
    DataError
        There are amounts in other currencies and no rates, or a column that may tell a currency is not read: with the
        rows of each, and the keys that answer.
    """
    own = settings.currency
    if settings.counts_orders:
        return dict(raw)
    codes = {name: _codes(table, own) for name, table in raw.items()}
    foreign = {name: sorted({c for c in known.values() if c != own}) for name, known in codes.items()}
    rates = load_rates(settings.rates) if settings.rates.file and any(foreign.values()) else None
    questions = [q for name, table in raw.items() for q in _questions(name, table, codes[name], own, rates)]
    if questions:
        raise DataError("; ".join(questions))
    if rates is None:
        return dict(raw)
    zone = ZoneInfo(settings.time_zone)
    return {
        name: _converted(name, table, codes[name], own, rates, zone) if foreign[name] else table
        for name, table in raw.items()
    }


def _codes(table: Raw, own: str) -> dict[str, str]:
    """What each currency of a table means, by code; a sign of several means the business's own if it may."""
    told: dict[str, int] = table.attrs.get("currencies", {})
    return {c: own if own in SHARED_SIGNS.get(c, ()) else c for c in told}


def _questions(name: str, table: Raw, codes: Mapping[str, str], own: str, rates: RateTable | None) -> list[str]:
    option, questions = f"source.options.{name}.currency", []
    for column, rows in table.attrs.get("unread_currencies", {}).items():
        if set(rows) - {own}:
            questions.append(
                f"{name}: the column '{column}' holds {_listed(rows)}, and is not read; say {option}: {column} if it "
                f"tells the currency of the amounts, or {option}: {own} if all amounts are in {own} already"
            )
    told = table.attrs.get("currencies", {})
    signs = {c: told[c] for c, code in codes.items() if code in SHARED_SIGNS}
    if signs:
        questions.append(
            f"{name}: amounts have the sign {_listed(signs)}, which several currencies have and {own} has not; say "
            f"{option}: with a column or code, or correct `currency`"
        )
    known = frozenset({own}) | (rates.currencies if rates else frozenset())
    lacking = {c: told[c] for c, code in codes.items() if code not in known and c not in signs}
    if lacking:
        todo = f"give rates.file with the rates to {own}" if rates is None else "add their rates to rates.file"
        alone = len(told) == 1
        other = f", or say currency: {next(iter(lacking))} if that is the business's own" if alone else ""
        questions.append(f"{name}: amounts are in {_listed(told)}, and currency is {own}; {todo}{other}")
    return questions


def _listed(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{currency} ({n:,} rows)" for currency, n in list(rows.items())[:8])


def _converted(name: str, table: Raw, codes: Mapping[str, str], own: str, rates: RateTable, zone: ZoneInfo) -> Raw:
    convert = partial(in_one_currency, table=name, codes=codes, own=own, rates=rates, zone=zone)
    rows = {c: n for c, n in table.attrs["currencies"].items() if codes[c] != own}
    note = f"amounts in {_listed(rows)} are converted to {own}"
    attrs = dict(table.attrs) | {"notes": [*table.attrs.get("notes", ()), note]}
    if isinstance(table, pd.DataFrame):
        out = convert(table)
        out.attrs = attrs
        return out
    return replace(table, read=lambda: map(convert, table.read()), attrs=attrs)
