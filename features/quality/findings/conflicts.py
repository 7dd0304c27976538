"""Customers who stand in several rows of a list of customers that are no copies: which row is right is asked."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from configs.settings import Settings
from features.quality.anomalies import RULES, Finding
from features.quality.check import ValidatedTable, read_values
from features.tables import ONE_ROW_A_CUSTOMER

RULE = "conflicting_rows"
NUMBERED = "; if no column does, take customer_id out of columns and say number_rows: true beside path"
SHOWN = 4


def conflict_findings(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[Finding]:
    """A finding for each list of customers in which rows of one id differ; it stops, unless the rule is accepted."""
    severity = "warn" if RULE in settings.quality.accept_rules else RULES[RULE][0]
    found = ((name, conflicting(checked[name])) for name in ONE_ROW_A_CUSTOMER if name in checked)
    return [
        Finding(
            name, "customer_id", RULE, severity, got, "one row a customer",
            f"{RULES[RULE][1]}{NUMBERED if name == 'profiles' else ''}; "
            f"or add '{RULE}' to quality.accept_rules: then the first row of each counts",
        )
        for name, got in found if got
    ]  # fmt: skip


def conflicting(one: ValidatedTable) -> str:
    """In words, the customers with several rows, the columns in which these differ, and an example; or nothing.

    Parameters
    ----------
    one
        A checked list of customers: of each the first row is used, and the others are in quarantine.
    """
    if one.quarantined.empty:
        return ""
    reasons = one.quarantined["reason"].astype(str)
    again = one.quarantined[reasons.str.contains("customer_id: occurs more than once", regex=False)]
    rows, _ = read_values(one.table, again)
    first = one.used.set_index("customer_id")
    rows = rows[rows["customer_id"].isin(first.index)]
    if rows.empty:
        return ""
    ids = rows["customer_id"]
    names = [n for n in one.table.names if n != "customer_id" and n in again]
    differs = pd.DataFrame({n: _differs(rows[n], ids.map(first[n])) for n in names}, index=rows.index)
    columns = differs.sum().loc[lambda counts: counts > 0].sort_values(ascending=False, kind="stable")
    example = "" if ids.str.contains("@").any() else f", as {str(ids.iloc[0])[:40]!r} does"
    shown = [f"{name} ({rows:,} rows)" for name, rows in list(columns.items())[:SHOWN]]
    where = f"; they differ in {', '.join(shown)}{' and others' if len(columns) > SHOWN else ''}" if shown else ""
    return f"{ids.nunique():,} customers stand in several rows{example}{where}"


def _differs(values: pd.Series, others: pd.Series) -> pd.Series:
    return ~(values.eq(others).fillna(False).astype(bool) | (values.isna() & others.isna()))
