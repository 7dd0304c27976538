"""When: hour of the day and day of the week, in the customers' time zone."""

from __future__ import annotations

import math

import ibis
import ibis.expr.types as ir

from features.columns.column import column

NONE = "No order on record"
NO_HOUR = "No order with an hour on record, or hours all round the clock"
SPREAD = 0.05  # a mean direction that is shorter tells no hour: orders come all round the clock
RADIANS_AN_HOUR = 2 * math.pi / 24


def _share(o: ir.Table, where: ir.Value) -> ir.Value:
    return where.cast("float64").mean(where=o.is_purchase)


@column("orders", "{value:percent} of the orders fall on a weekend", NONE)
def weekend_share(o: ir.Table) -> ir.Value:
    """Share of purchases on Saturday or Sunday."""
    return _share(o, o.local_weekday >= 5)


@column("orders", "{value:percent} of the orders come before noon", NONE)
def morning_share(o: ir.Table) -> ir.Value:
    """Share of purchases between 5 and 12 o'clock."""
    return _share(o, (o.local_hour >= 5) & (o.local_hour < 12))


@column("orders", "{value:percent} of the orders come in the evening", NONE)
def evening_share(o: ir.Table) -> ir.Value:
    """Share of purchases at or after 18 o'clock."""
    return _share(o, o.local_hour >= 18)


def _direction(o: ir.Table) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The mean point of the hours on a clock of 24 hours and radius 1: its two coordinates, and how far out it lies."""
    angle = o.local_hour.cast("float64") * RADIANS_AN_HOUR
    x, y = angle.cos().mean(where=o.is_purchase), angle.sin().mean(where=o.is_purchase)
    return x, y, (x * x + y * y).sqrt().clip(upper=1.0)


@column("orders", "Usually orders around {value:.0f} o'clock", NO_HOUR)
def mean_hour(o: ir.Table) -> ir.Value:
    """Circular mean of the hour of the day of a purchase, from 0 up to 24: that of 23 and 1 o'clock is 0."""
    x, y, length = _direction(o)
    hour = (y.atan2(x) / RADIANS_AN_HOUR + 24.0) % 24.0
    hour = ibis.ifelse(hour > 24.0 - 1e-6, 0.0, hour)
    return ibis.ifelse(length >= SPREAD, hour, ibis.null("float64"))


@column("orders", "Order times vary by {value:.1f} hours", "Too few orders to tell how times vary")
def sd_hour(o: ir.Table) -> ir.Value:
    """Circular standard deviation of the hour of a purchase: the root of -2 ln r, r being how far out the mean is."""
    hours = o.local_hour.count(where=o.is_purchase)
    spread = (-2.0 * _direction(o)[2].clip(lower=SPREAD).ln()).sqrt() / RADIANS_AN_HOUR
    return ibis.ifelse(hours > 1, spread, ibis.null("float64"))


@column("orders", "Orders on {value:count day} of the week", empty=0)
def weekdays(o: ir.Table) -> ir.Value:
    """Different days of the week with a purchase."""
    return o.local_weekday.nunique(where=o.is_purchase)
