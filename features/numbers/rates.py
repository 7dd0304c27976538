"""Rates of currencies by date, and amounts brought into the currency of the business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from configs.errors import ConfigError, DataError, nearest
from configs.settings import Rates
from configs.variables import expand
from features.numbers.currencies import currency_of
from features.numbers.text_column import read_column
from features.tables import CURRENCY, MONEY, REASON, TABLES, local_times

COLUMNS = ("date", "currency", "rate")


@dataclass(frozen=True)
class RateTable:
    """What one unit of each currency was worth in that of the business.

    Attributes
    ----------
    rates
        ``currency, date, rate``, in order of date; one row a currency and day.
    max_age_days
        A rate holds for so many days after its date, or until the next one.
    """

    rates: pd.DataFrame
    max_age_days: int

    @property
    def currencies(self) -> frozenset[str]:
        """Codes of which there is a rate."""
        return frozenset(self.rates["currency"])

    def at(self, currencies: pd.Series, days: pd.Series) -> np.ndarray:
        """The rate of each currency on the day, or on the nearest one before it, shape (n,); NaN: none that holds.

        Examples
        --------
        >>> days = pd.to_datetime(["2024-01-01", "2024-01-03"]).as_unit("us")
        >>> table = RateTable(pd.DataFrame({"currency": "EUR", "date": days, "rate": [1.1, 1.2]}), 31)
        >>> asked = pd.Series(pd.to_datetime(["2024-01-02", "2024-01-03", "2024-03-01", "2023-12-31"]))
        >>> table.at(pd.Series(["EUR"] * 4), asked).tolist()
        [1.1, 1.2, nan, nan]
        """
        asked = pd.DataFrame({"currency": currencies.to_numpy(object), "date": days.to_numpy("datetime64[us]")})
        asked["place"] = np.arange(len(asked))
        there = asked.dropna().sort_values("date", kind="stable")
        age = pd.Timedelta(days=self.max_age_days + 1) - pd.Timedelta(microseconds=1)
        found = pd.merge_asof(there, self.rates, on="date", by="currency", tolerance=age)
        out = np.full(len(asked), np.nan)
        out[found["place"].to_numpy()] = found["rate"].to_numpy()
        return out


def load_rates(settings: Rates) -> RateTable:
    """Read the table of rates.

    Parameters
    ----------
    settings
        Section ``rates``; its file is a CSV or parquet with the columns date, currency and rate.

    Raises
    ------
    ConfigError
        There is no such file.
    DataError
        A column is missing, or a value is no date, no currency or no number above zero, or a rate stands twice.
    """
    path = Path(expand(cast(str, settings.file), "rates.file"))
    if not path.is_file():
        raise ConfigError(f"rates.file: no file at '{path}' (it is read from the current folder)")
    given = pd.read_parquet(path) if path.suffix in (".parquet", ".pq") else _read_csv(path)
    given = given.rename(columns={c: str(c).strip().lower() for c in given})
    for name in COLUMNS:
        if name not in given:
            raise DataError(
                f"rates.file '{path}': column '{name}' is missing{nearest(name, given.columns)}; "
                f"expected {', '.join(COLUMNS)}, got {', '.join(map(str, given.columns))}"
            )
    rate = given["rate"] if pd.api.types.is_numeric_dtype(given["rate"]) else _rates(given["rate"])
    rates = pd.DataFrame({
        "currency": given["currency"].astype("string").map(currency_of, na_action="ignore").astype(object),
        "date": pd.to_datetime(given["date"].astype("string"), errors="coerce", format="ISO8601", utc=True),
        "rate": rate.astype("float64"),
    })  # fmt: skip
    rates["date"] = rates["date"].dt.tz_localize(None).dt.floor("D").astype("datetime64[us]")
    wrong = rates.isna().any(axis=1) | ~np.isfinite(rates["rate"]) | (rates["rate"] <= 0)
    if wrong.any():
        row = given.loc[wrong.idxmax(), list(COLUMNS)]
        raise DataError(
            f"rates.file '{path}': row {int(np.argmax(wrong)) + 1} is no rate: {', '.join(map(repr, map(str, row)))}; "
            "write a date like 2024-01-31, a code of ISO 4217 and a number above zero"
        )
    rates = rates.drop_duplicates()
    twice = rates[rates.duplicated(["currency", "date"])]
    if len(twice):
        first = twice.iloc[0]
        raise DataError(f"rates.file '{path}': two rates of {first['currency']} on {first['date'].date()}; leave one")
    rates["rate"] = 1 / rates["rate"] if settings.inverse else rates["rate"]
    return RateTable(rates.sort_values(["date", "currency"], ignore_index=True), settings.max_age_days)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep=None, engine="python", dtype=str, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise DataError(f"rates.file '{path}' cannot be read as CSV: {error}") from None


def _rates(texts: pd.Series) -> pd.Series:
    """Rates from texts; they have no thousands separators, so that ``1.085`` is a little more than one."""
    commas = bool(texts.astype("string").str.contains(",", regex=False).fillna(False).any())
    return read_column(texts, decimal="," if commas else ".").numbers


def in_one_currency(
    frame: pd.DataFrame, table: str, codes: Mapping[str, str], own: str, rates: RateTable, zone: ZoneInfo
) -> pd.DataFrame:
    """Bring the amounts of raw rows into the currency of the business; the frame is not changed.

    Parameters
    ----------
    frame
        Raw rows with the column `CURRENCY`: a code or sign, or nothing for the business's own.
    table
        Its name.
    codes
        What each value of that column means: a code of ISO 4217.
    own
        The currency of the business.
    rates
        What other currencies were worth.
    zone
        Of the days that rates are of.

    Returns
    -------
    pandas.DataFrame
        A row without a rate has a reason against it in `REASON`.
    """
    if CURRENCY not in frame:
        return frame
    currency = frame[CURRENCY].astype(object).map(dict(codes))
    foreign = currency.notna() & (currency != own)
    if not foreign.any():
        return frame
    days = _days(frame.loc[foreign, TABLES[table].time], zone)
    rate = pd.Series(1.0, index=frame.index)
    rate[foreign] = rates.at(currency[foreign], days)
    changed = {name: _times(frame[name], rate) for name in MONEY[table] if name in frame}
    lacking = foreign & rate.isna()
    if lacking.any():
        given = frame[REASON] if REASON in frame else pd.Series(None, index=frame.index, dtype=object)
        day = days[lacking].dt.strftime("%Y-%m-%d").fillna("an unknown day")
        lacking_why = f" or the {rates.max_age_days} days before; complete rates.file, or raise rates.max_age_days"
        reason = MONEY[table][0] + ": '" + currency[lacking] + "' has no rate for '" + day + f"'{lacking_why}"
        changed[REASON] = given.astype(object).where(~lacking | given.notna(), reason.reindex(frame.index))
    return frame.assign(**changed)


def _days(times: pd.Series, zone: ZoneInfo) -> pd.Series:
    """Times in UTC, typed or as text, by the clock of a zone."""
    utc = pd.to_datetime(times, errors="coerce", utc=True, format=None if times.dtype.kind == "M" else "ISO8601")
    return local_times(utc.dt.tz_localize(None), zone).astype("datetime64[us]")


def _times(amounts: pd.Series, rate: pd.Series) -> pd.Series:
    """Amounts times a rate, where they are numbers; what is none stays, and so does what has no rate."""
    if pd.api.types.is_numeric_dtype(amounts):
        return amounts.astype("float64") * rate.fillna(1.0)
    numbers = pd.to_numeric(amounts, errors="coerce") * rate.fillna(1.0)
    return amounts.astype(object).where(numbers.isna(), numbers)
