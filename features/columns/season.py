"""The season: what came a year ago in the days that are ahead now. Unknown of who had not ordered yet by then.

The last columns are of the whole business, the same for all customers of one moment: what the same time of earlier
years tells of the days ahead. No rows of a customer tell them; `features.seasons` computes them, and puts them in.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.columns.column import column

YEAR_DAYS = 365
NONE = "Was no customer yet a year ago"
NOTHING_KNOWN = "No season is known"


def _a_year_ago(o: ir.Table, value: ir.Value) -> ir.Value:
    return ibis.ifelse(o.days_ago.max() >= YEAR_DAYS, value.cast("float64").fill_null(0.0), ibis.null("float64"))


def _ahead(o: ir.Table, days: int) -> ir.Value:
    """True for rows of the window ``[as_of - 365 days, as_of - 365 days + days)``."""
    return (o.days_ago <= YEAR_DAYS) & (o.days_ago > YEAR_DAYS - days)


@column("orders", "A year ago, the next {days} days brought {value:count order}", NONE, windows=(30, 90))
def orders_year_ago(o: ir.Table, days: int) -> ir.Value:
    """Purchases within the next `days` days as they were a year ago."""
    return _a_year_ago(o, o.count(where=o.is_purchase & _ahead(o, days)))


@column("orders", "A year ago, the next {days} days brought {value:money}", NONE, windows=(30, 90), of_amounts=True)
def spend_year_ago(o: ir.Table, days: int) -> ir.Value:
    """Net revenue within the next `days` days as they were a year ago, returns subtracted."""
    return _a_year_ago(o, o.amount.sum(where=_ahead(o, days)))


@column(
    "season",
    "At this time of the year customers usually bring {value:level} than after a like past at others",
    NOTHING_KNOWN,
)
def season_value(customers: ir.Table) -> ir.Value:
    """Season of the value ahead: logarithm of its usual ratio to what came before; 0 where none is known."""
    return ibis.literal(0.0)


@column(
    "season", "At this time of the year the days ahead usually bring {value:level} than those of a year", NOTHING_KNOWN
)
def season_value_year(customers: ir.Table) -> ir.Value:
    """Season of the days ahead: logarithm of their usual revenue to that of a whole year; 0 where none is known."""
    return ibis.literal(0.0)


@column("season", "At this time of the year falling silent is usually {value:level} likely", NOTHING_KNOWN)
def season_silence(customers: ir.Table) -> ir.Value:
    """Season of falling silent: its usual log-odds less those of other times; 0 where none is known."""
    return ibis.literal(0.0)


@column(
    "season",
    "At this time of the year the gap between orders is usually {value:level longer shorter} than after a like past at "
    "others",
    NOTHING_KNOWN,
)
def season_gap(customers: ir.Table) -> ir.Value:
    """Season of the time between orders ahead: logarithm of its usual ratio to that before; 0 where none is known."""
    return ibis.literal(0.0)


@column(
    "season",
    "At this time of the year silence until the first of the other horizons is usually {value:level} likely",
    NOTHING_KNOWN,
)
def season_silence_second(customers: ir.Table) -> ir.Value:
    """Season of silence until the first other horizon, longer first: usual log-odds less those of other times."""
    return ibis.literal(0.0)


@column(
    "season",
    "At this time of the year silence until the second of the other horizons is usually {value:level} likely",
    NOTHING_KNOWN,
)
def season_silence_third(customers: ir.Table) -> ir.Value:
    """Season of silence until the second other horizon, longer first: usual log-odds less those of other times."""
    return ibis.literal(0.0)


@column("season", "Until the second horizon days usually bring {value:level} than those of the main one", NOTHING_KNOWN)
def season_value_second(customers: ir.Table) -> ir.Value:
    """Season of the step from value's main horizon to the next: logarithm of a day's usual revenue in it to before."""
    return ibis.literal(0.0)


@column("season", "Until the third horizon days usually bring {value:level} than those of the main one", NOTHING_KNOWN)
def season_value_third(customers: ir.Table) -> ir.Value:
    """Season of the step to value's horizon after that: logarithm of a day's usual revenue in it to the main one."""
    return ibis.literal(0.0)


@column("season", "Until the fourth horizon days usually bring {value:level} than those of the main one", NOTHING_KNOWN)
def season_value_fourth(customers: ir.Table) -> ir.Value:
    """Season of the step to value's last horizon: logarithm of a day's usual revenue in it to the main one."""
    return ibis.literal(0.0)


@column("season", "Known events let expect that customers bring {value:level} than before", NOTHING_KNOWN)
def season_value_events(customers: ir.Table) -> ir.Value:
    """Season of the value ahead: the part of it that events of the calendar make; 0 where none is known."""
    return ibis.literal(0.0)


@column("season", "Known events let expect that the days ahead bring {value:level}", NOTHING_KNOWN)
def season_value_year_events(customers: ir.Table) -> ir.Value:
    """Season of the days ahead: the part of it that events of the calendar make; 0 where none is known."""
    return ibis.literal(0.0)
