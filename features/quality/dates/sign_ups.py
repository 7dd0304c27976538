"""Sign-ups that come after the first order: the date of a migration, as a rule. The first sign of life counts then.

A customer is looked at from the sign-up on: were the date of a migration believed, nobody would have a past. So who
ordered, began a contract or made contact more than a day before ``signed_up_at`` is known from that first sign of life
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

import pandas as pd

from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable
from features.quality.first_events import customers_of

SIGNS = ("orders", "subscriptions", "interactions")
TOLERANCE = pd.Timedelta(days=1)  # a date alone may be later than a time of the same day
NOTE = "late_sign_ups"  # an attribute of the frame of customers: what was found


def with_first_signs(checked: Mapping[str, ValidatedTable]) -> dict[str, ValidatedTable]:
    """The tables with sign-ups after the first sign of life put back to it; nothing is changed in place."""
    signs = [customers_of(checked[name]).used for name in SIGNS if name in checked and checked[name].table_rows]
    if not signs or "customers" not in checked:
        return dict(checked)
    firsts = [frame.set_index("customer_id")[["signed_up_at", "recorded_at"]] for frame in signs]
    first = reduce(lambda a, b: pd.concat([a, b]).groupby(level=0).min(), firsts)
    one = checked["customers"]
    ids, signed_up = one.used["customer_id"], one.used["signed_up_at"]
    sign, known = ids.map(first["signed_up_at"]), ids.map(first["recorded_at"])
    late = signed_up > sign + TOLERANCE
    if not late.any():
        return dict(checked)
    recorded = one.used["recorded_at"]
    earlier = known.fillna(sign)
    too_late = late & (recorded > earlier)
    used = one.used.assign(
        signed_up_at=signed_up.where(~late, sign).astype("datetime64[us]"),
        recorded_at=recorded.where(~too_late, earlier).astype("datetime64[us]"),
    )
    most = signed_up[late].dt.strftime("%Y-%m-%d").value_counts()
    share = f"{int(late.sum()):,} of {len(used):,} customers have orders, contracts or contacts before their sign-up"
    used.attrs = {**one.used.attrs, NOTE: f"{share}, {int(most.iloc[0]):,} of them signed up on {most.index[0]}"}
    return {**checked, "customers": replace(one, used=used)}


def sign_up_findings(checked: Mapping[str, ValidatedTable]) -> list[Finding]:
    """What `with_first_signs` changed; it warns."""
    got = checked["customers"].used.attrs.get(NOTE) if "customers" in checked else None
    todo = "the first sign of life counts instead; see whether it is the date of a migration, and map the true sign-up"
    expected = "a sign-up before everything else"
    return [Finding("customers", "signed_up_at", "late_sign_ups", "warn", got, expected, todo)] if got else []
