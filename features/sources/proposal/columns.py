"""What a column of a sample holds, by its values: times, numbers, flags, ids, or few different texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.numbers.currencies import CODES, SHARED_SIGNS, TOKEN, currency_of
from features.sources.expressions import ISO
from features.sources.proposal.lexicon import Meaning, meaning

FORMATS = (
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%y", "%d.%m.%y %H:%M", "%d/%m/%Y", "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y, %I:%M %p",
    "%d/%m/%y", "%d/%m/%y %H:%M", "%m/%d/%y", "%m/%d/%y %H:%M",   "%Y.%m.%d", "%d-%m-%Y",
    "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%Y %H:%M", "%d %b %Y", "%b %d, %Y",
    "%B %d, %Y", "%d %B %Y", "%Y年%m月%d日", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日 %H:%M:%S",
)  # fmt: skip
NUMBER = re.compile(
    rf"[-+(−]?\s*({TOKEN}|[A-Z]{{3}}\b)?\s*[-+]?(\d[\d.,'’\s\u00a0\u202f]*|[.,]\d+)([eE][-+]?\d+)?\s*({TOKEN}|[A-Z]{{3}})?"
    r"\)?-?$"
)
AROUND = r"[\d.,'’\s\u00a0\u202f()+−-]"  # what stands beside a currency
OF_DIGITS = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}  # formats of digits alone, and their length
EPOCHS = {"epoch_seconds": (1e8, 4e9), "epoch_milliseconds": (1e11, 4e12)}
ENDLESS = "9999|2999|2099"  # years of "no end", which no format need fit
FITS = 0.95
NEARLY = 0.95  # share of different rows with an id of their own from which on a table has one row a customer
CHECKED = 2_000  # values by which a column's kind is told; dates that could be read in two ways are all looked at
FEW = 30
BLANKS = frozenset(("", "n/a", "na", "null", "none", "nan", "-", "--", "?", "\\n"))


@dataclass(frozen=True)
class Column:
    """A column of a sample. What is asked of it is computed once."""

    name: str
    values: pd.Series
    is_part: bool = False  # the file goes on
    copies: int = 0  # rows of the sample that are exact copies of others in their file
    files: NDArray[np.int64] | None = None  # of each row the place of its file; None: all are of one

    @cached_property
    def meaning(self) -> Meaning:
        """What the name says."""
        return meaning(self.name)

    @cached_property
    def is_typed_time(self) -> bool:
        """The file itself says that these are times."""
        return pd.api.types.is_datetime64_any_dtype(self.values)

    @cached_property
    def filled(self) -> pd.Series:
        """The values that are there; of a typed column as they are, else as trimmed texts."""
        values = self.values.dropna()
        if self.is_typed_time:
            return values
        if pd.api.types.is_float_dtype(values) and (values % 1 == 0).all():
            values = values.astype("Int64")  # ids that a missing one made numbers with a point
        text = values.astype(str).str.strip()
        return text[~text.str.lower().isin(BLANKS)]

    @cached_property
    def some(self) -> pd.Series:
        """At most `CHECKED` of the filled values, from all over the sample."""
        step = max(1, len(self.filled) // CHECKED)
        return self.filled.iloc[::step].head(CHECKED)

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(self.filled.nunique())

    @cached_property
    def distinct_in_file(self) -> int:
        """How many different values there are in each file, summed: exports may overlap."""
        if self.files is None:
            return self.distinct
        return len(pd.DataFrame({"file": self.files[self.filled.index], "value": self.filled}).drop_duplicates())

    @cached_property
    def is_unique(self) -> bool:
        """Every row has a value, and no two of a file the same."""
        return self.distinct_in_file == len(self.values) > 1

    @cached_property
    def is_row_name(self) -> bool:
        """As `is_unique`, exact copies of rows aside."""
        return self.distinct_in_file == len(self.values) - self.copies > 1

    @cached_property
    def is_nearly_unique(self) -> bool:
        """Of the rows that are no copies, hardly any lacks a value of its own."""
        return self.distinct > 1 and self.distinct_in_file >= NEARLY * (len(self.values) - self.copies)

    @cached_property
    def counts(self) -> pd.Series:
        """Rows of each different value, the most frequent first."""
        return self.filled.value_counts()

    @cached_property
    def time_formats(self) -> tuple[str, ...] | None:
        """Formats that nearly all values fit, the likeliest first; () if they are plain ISO 8601; None: no times."""
        if self.is_typed_time:
            return ()
        if self.filled.empty or pd.api.types.is_bool_dtype(self.values):
            return None
        if epoch := self._epoch():
            return (epoch,)
        return None if pd.api.types.is_numeric_dtype(self.values) else text_formats(self.filled, self.some)

    def _epoch(self) -> str | None:
        if not self.meaning.concepts & {"date", "created", "start", "end", "cancel", "signup", "renew", "export"}:
            return None
        numbers = pd.to_numeric(self.some, errors="coerce")
        if numbers.isna().any():
            return None
        return next((name for name, (low, high) in EPOCHS.items() if numbers.between(low, high).all()), None)

    @cached_property
    def is_time(self) -> bool:
        """Nearly all values are times."""
        return self.time_formats is not None

    @cached_property
    def number_share(self) -> float:
        """Share of the values that are numbers, however they are written."""
        if pd.api.types.is_bool_dtype(self.values) or self.is_typed_time or self.some.empty:
            return 0.0
        return float(self.some.str.match(NUMBER).mean())

    @cached_property
    def is_number(self) -> bool:
        """Nearly all values are numbers, and not times."""
        return self.number_share >= FITS and not self.is_time

    @cached_property
    def is_always_one(self) -> bool:
        """Every value is the number one, which counts rows and is no amount of money."""
        return len(self.filled) > 1 and bool(self.some.str.fullmatch(r"1([.,]0*)?").all())

    @cached_property
    def has_fractions(self) -> bool:
        """Some values have digits after a decimal sign."""
        ends = (
            self.some.str.extract(r"[.,](\d{1,2})\D*$", expand=False).dropna() if self.is_number else self.some.head(0)
        )
        return bool((ends != "0").any())

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """Currencies that stand in the values, as codes or signs, the most frequent first."""
        return tuple(self._named[self._named.isin(CODES)].value_counts().index)

    @cached_property
    def shared_signs(self) -> tuple[str, ...]:
        """Signs of several currencies, such as $ and ¥, that stand in the values, the most frequent first."""
        return tuple(self._named[self._named.isin([*SHARED_SIGNS])].value_counts().index)

    @cached_property
    def _named(self) -> pd.Series:
        """The currency that each value names: a code, or a sign of several; missing where it names none."""
        texts = self.some.astype(str)
        codes = texts.str.upper().str.extract(r"\b([A-Z]{3})\b", expand=False)
        beside = texts.str.replace(AROUND, "", regex=True)
        signs = beside.map({text: currency_of(text) for text in beside.unique()})
        return codes.where(codes.isin(CODES)).fillna(signs)

    @cached_property
    def is_currency_code(self) -> bool:
        """All values are codes of currencies."""
        return not self.counts.empty and {str(v).upper() for v in self.counts.index} <= CODES

    @cached_property
    def is_category(self) -> bool:
        """Few different values, each of them in several rows as a rule."""
        return not self.is_time and 0 < self.distinct <= FEW and not self.is_unique


def text_formats(filled: pd.Series, some: pd.Series) -> tuple[str, ...] | None:
    """Formats that nearly all texts fit; () if they are ISO 8601; None if they are no times.

    >>> text_formats(*[pd.Series(["31.12.2024", "01.02.2024"])] * 2)
    ('%d.%m.%Y',)
    >>> text_formats(*[pd.Series(["01/02/2024"])] * 2)
    ('%d/%m/%Y', '%m/%d/%Y')
    >>> text_formats(*[pd.Series(["2024-12-31"])] * 2), text_formats(*[pd.Series(["many"])] * 2)
    ((), None)
    """
    if float(some.str.match(ISO).mean()) >= FITS:
        return ()
    first = some[~some.str.contains(ENDLESS)].head(20)
    if first.empty or not float(first.str.contains(r"\d").mean()) >= FITS:
        return None
    digits = {len(text) for text in first} if first.str.fullmatch(r"\d+").all() else set()
    forms = [form for form, length in OF_DIGITS.items() if digits == {length}] if digits else FORMATS
    candidates = [f for f in forms if _share(first, f) >= 0.8]
    fitting = [f for f in candidates if _share(some, f) >= FITS]
    if len(fitting) > 1:  # day and month, or the century: only all values can tell
        shares = np.array([_share(filled, f) for f in fitting])
        fitting = [f for f, share in zip(fitting, shares, strict=True) if share >= max(FITS, shares.max())]
    return tuple(fitting) or None


def _share(text: pd.Series, form: str) -> float:
    dated = text[~text.str.contains(ENDLESS)] if len(text) > 20 else text
    return float(pd.to_datetime(dated, errors="coerce", format=form).notna().mean()) if len(dated) else 0.0


def times_of(column: Column) -> pd.Series:
    """The values of a column of times, as far as they can be read; to look at, not to compute with."""
    if column.is_typed_time:
        times = column.filled
        return times.dt.tz_localize(None) if times.dt.tz is not None else times
    formats = column.time_formats or ()
    if formats and formats[0] in EPOCHS:
        seconds = pd.to_numeric(column.filled, errors="coerce") / (1 if formats[0] == "epoch_seconds" else 1000)
        return pd.to_datetime(seconds, unit="s", errors="coerce").dropna()
    if formats:
        return pd.to_datetime(column.filled, errors="coerce", format=formats[0]).dropna()
    days = column.filled.str.slice(0, 10).str.replace("/", "-", regex=False)
    return pd.to_datetime(days, errors="coerce", format="%Y-%m-%d").dropna()
