"""Trouble: complaints, tickets and what surveys say."""

from __future__ import annotations

import ibis.expr.types as ir

from features.columns.column import column
from features.windows import within


@column("interactions", "{value:count complaint} in the last {days} days", windows=(30, 90), reach=1, empty=0)
def complaints(i: ir.Table, days: int) -> ir.Value:
    """Complaints in the last `days` days."""
    return i.count(where=(i.kind == "complaint") & within(i, days))


@column("interactions", "Last complaint {value:days} ago", "Never complained")
def days_since_last_complaint(i: ir.Table) -> ir.Value:
    """Days since the last complaint."""
    return i.days_ago.min(where=i.kind == "complaint")


@column("interactions", "{value:count ticket} in the last {days} days", windows=(30, 90), reach=1, empty=0)
def tickets(i: ir.Table, days: int) -> ir.Value:
    """Support tickets in the last `days` days."""
    return i.count(where=(i.kind == "ticket") & within(i, days))


@column("interactions", "Survey score {value:.1f} on average", "Never answered a survey")
def mean_survey_score(i: ir.Table) -> ir.Value:
    """Mean value of the answered surveys."""
    return i.value.mean(where=i.kind == "survey")


@column("interactions", "Survey score {value:.1f} in the last {days} days", windows=(90, 365), reach=1)
def survey_score(i: ir.Table, days: int) -> ir.Value:
    """Mean value of the surveys answered in the last `days` days."""
    return i.value.mean(where=(i.kind == "survey") & within(i, days))


@column("interactions", "Survey score {value:+.1f} against the {days} days before", windows=(90, 180), reach=2)
def survey_score_change(i: ir.Table, days: int) -> ir.Value:
    """Mean survey score of the last `days` days less that of as many days before; unknown without both."""
    survey, recent = i.kind == "survey", within(i, days)
    return i.value.mean(where=survey & recent) - i.value.mean(where=survey & within(i, 2 * days) & ~recent)
