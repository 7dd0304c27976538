"""Feasts by name -> their days in each year: those that move through the calendar need not be written out.

A feast stands for its own days. Where what a business sells moves before or after it, it says from which to which day,
counted from the first day of the feast: ``chinese_new_year: [-21, 6]`` are the three weeks before, and the week itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from borax.calendars.lunardate import LunarDate
from dateutil.easter import easter
from hijridate import Gregorian, Hijri

from configs.settings import Feast

Days = tuple[date, date]
FIRST_YEAR, LAST_YEAR = 1925, 2076  # what the tables of the Islamic calendar hold


def _islamic(month: int, day: int, length: int | None = None) -> Callable[[int], list[Days]]:
    """The times of a feast in a year: none, one, or two, as the Islamic year is eleven days shorter."""

    def times(year: int) -> list[Days]:
        around = [Hijri(Gregorian(year, m, 1).to_hijri().year, month, day) for m in (1, 12)]
        begins = {date.fromisoformat(h.to_gregorian().isoformat()): length or h.month_length() for h in around}
        return [(d, d + timedelta(days=n - 1)) for d, n in sorted(begins.items()) if d.year == year]

    return times


def _chinese_new_year(year: int) -> list[Days]:
    begins = LunarDate(year, 1, 1).to_solar_date()
    return [(begins, begins + timedelta(days=6))]


def _easter(year: int) -> list[Days]:
    sunday = easter(year)
    return [(sunday - timedelta(days=2), sunday + timedelta(days=1))]


def _thanksgiving(year: int) -> list[Days]:
    """The fourth Thursday of November."""
    first = date(year, 11, 1)
    day = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
    return [(day, day)]


def _black_friday(year: int) -> list[Days]:
    """From the day after Thanksgiving to the Monday."""
    friday = _thanksgiving(year)[0][0] + timedelta(days=1)
    return [(friday, friday + timedelta(days=3))]


def _fixed(first: tuple[int, int], last: tuple[int, int]) -> Callable[[int], list[Days]]:
    """The same days of every year, as month and day."""
    return lambda year: [(date(year, *first), date(year, *last))]


TIMES: Mapping[Feast, Callable[[int], list[Days]]] = {
    "ramadan": _islamic(9, 1),
    "eid_al_fitr": _islamic(10, 1, 3),
    "eid_al_adha": _islamic(12, 10, 4),
    "chinese_new_year": _chinese_new_year,
    "easter": _easter,
    "thanksgiving": _thanksgiving,
    "black_friday": _black_friday,
    "golden_week_japan": _fixed((4, 29), (5, 5)),
    "golden_week_china": _fixed((10, 1), (10, 7)),
}


def feast_days(
    feasts: Mapping[Feast, tuple[int, int] | None], first_year: int, last_year: int
) -> dict[str, tuple[Days, ...]]:
    """First and last days of feasts in some years.

    Parameters
    ----------
    feasts
        By name from which to which day, counted from the first day of the feast; None: its own days.
    first_year, last_year
        The years, both included; before 1925 and after 2076 no feast is known.

    Examples
    --------
    >>> {name: str(days[0][0]) for name, days in feast_days({"ramadan": None, "easter": (-14, 0)}, 2024, 2024).items()}
    {'ramadan': '2024-03-11', 'easter': '2024-03-15'}
    """
    years = range(max(first_year, FIRST_YEAR), min(last_year, LAST_YEAR) + 1)
    out = {}
    for name, span in feasts.items():
        own = [days for year in years for days in TIMES[name](year)]
        moved = own if span is None else [(d + timedelta(days=span[0]), d + timedelta(days=span[1])) for d, _ in own]
        out[str(name)] = tuple(moved)
    return out
