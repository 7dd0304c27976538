"""How widely: categories and channels."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within


@column("orders", "Bought from {value:count category} in the last {days} days", windows=(90,), reach=1, empty=0)
def categories(o: ir.Table, days: int) -> ir.Value:
    """Different main categories of the purchases of the last `days` days."""
    return o.category.nunique(where=o.is_purchase & within(o, days))


@column("orders", "Ordered through {value:count channel} in the last {days} days", windows=(90,), reach=1, empty=0)
def channels(o: ir.Table, days: int) -> ir.Value:
    """Different channels or shops of the purchases of the last `days` days."""
    return o.channel.nunique(where=o.is_purchase & within(o, days))
