"""How the customer answers to campaigns."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.columns.column import column
from features.tables import REDEMPTIONS_UNKNOWN
from features.windows import within


@column("contacts", "{value:count campaign} in the last {days} days", windows=(90,), reach=1, empty=0)
def campaigns(c: ir.Table, days: int) -> ir.Value:
    """Campaign contacts in the last `days` days."""
    return c.count(where=within(c, days))


@column("contacts", "{value:count campaign} so far", empty=0)
def campaigns_total(c: ir.Table) -> ir.Value:
    """Campaign contacts on record."""
    return c.count()


@column("contacts", "Redeemed {value:count campaign}", empty=0)
def redemptions_total(c: ir.Table) -> ir.Value:
    """Campaigns that the customer redeemed."""
    return c.redeemed_days_ago.count()


@column("contacts", "Redeems {value:percent} of the campaigns", "No campaign of which redemptions are known")
def redemption_share(c: ir.Table) -> ir.Value:
    """Redeemed campaigns as a share of all; unknown where the load says of no contact that it was redeemed."""
    redeemed = c.redeemed_days_ago.count()
    if REDEMPTIONS_UNKNOWN not in c.columns:
        return redeemed / c.count()
    is_known = (redeemed > 0) | (c[REDEMPTIONS_UNKNOWN].max().fill_null(0.0) != 1)
    return ibis.ifelse(is_known, redeemed / c.count(), ibis.null("float64"))


@column("contacts", "Last campaign {value:days} ago", "Never in a campaign")
def days_since_last_campaign(c: ir.Table) -> ir.Value:
    """Days since the last campaign contact."""
    return c.days_ago.min()


@column("contacts", "Last redemption {value:days} ago", "Never redeemed a campaign")
def days_since_last_redemption(c: ir.Table) -> ir.Value:
    """Days since the last redemption."""
    return c.redeemed_days_ago.min()
