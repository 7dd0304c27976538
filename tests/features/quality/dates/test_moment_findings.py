"""Leavers whom no moment looks at are counted, with the setting that brings them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.settings import Columns, Settings
from features.quality import quality_gate
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable, check_tables

NOW = datetime(2024, 9, 1, tzinfo=UTC)
NO_COLUMNS = Columns(attributes=(), sensitive=(), exclude=())


def found(
    tables: dict[str, pd.DataFrame], settings: Settings, kind: str, months: int = 1, **churn: int
) -> list[Finding]:
    changed = settings.churn.model_copy(update={"kind": kind, "grace_days": 14, **churn})
    as_of = settings.as_of.model_copy(update={"every_months": months, "min_history_days": 28})
    business = settings.model_copy(update={"churn": changed, "as_of": as_of, "data_until": None})
    ids = sorted(set(next(iter(tables.values()))["customer_id"]))
    customers = pd.DataFrame({"customer_id": ids, "signed_up_at": pd.Timestamp("2024-01-01")})
    checked = check_tables({"customers": customers, **tables}, NO_COLUMNS, NOW, kind)
    verdict, _ = quality_gate.judge(checked, business, None, NOW)
    return [f for f in verdict.findings if f.rule == "ends_between_moments"]


@pytest.fixture
def contracts() -> dict[str, pd.DataFrame]:
    """Ends of 31 March, May and July, one of 30 June, one of 31 May that is renewed, and one that goes on."""
    rows = [
        ("a", "2024-01-01", "2024-03-31"), ("b", "2024-01-01", "2024-05-31"), ("c", "2024-01-01", "2024-06-30"),
        ("d", "2024-01-01", "2024-05-31"), ("d", "2024-06-05", None), ("e", "2024-01-01", "2024-07-31"),
        ("f", "2024-08-10", None),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer_id", "started_at", "ended_at"])
    frame = frame.assign(subscription_id=[f"s{i}" for i in range(len(rows))])
    return {"subscriptions": frame}


def test_ends_of_long_months_are_said_to_fall_between_windows_of_thirty_days(
    settings: Settings, contracts: dict[str, pd.DataFrame]
) -> None:
    [finding] = found(contracts, settings, "contract", horizon_days=30)
    assert finding.got.startswith("3 of 4 ends of contracts fall between two moments and into no label window")
    assert (finding.severity, finding.todo) == ("warn", "say churn: {horizon_days: 31, horizons_days: [31, 60, 90]}")
    assert found(contracts, settings, "contract", horizon_days=31) == []
    [rarely] = found(contracts, settings, "contract", months=2, horizon_days=31)
    assert "as_of.every_months" in rarely.todo


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 3])
def test_a_table_in_parts_is_counted_as_a_whole(
    settings: Settings, contracts: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    whole = found(contracts, settings, "contract", horizon_days=30)

    def parts(one: ValidatedTable, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        own = one.used[list(names)]
        return (own.iloc[start : start + rows] for start in (len(own), *range(0, len(own), rows)))

    monkeypatch.setattr(ValidatedTable, "parts", parts)
    assert found(contracts, settings, "contract", horizon_days=30) == whole != []


def test_who_fell_silent_long_before_the_next_moment_is_counted(settings: Settings) -> None:
    rows = [("a", "2024-01-02"), ("a", "2024-03-02"), ("b", "2024-01-02"), ("b", "2024-05-30"), ("c", "2024-08-30")]
    orders = pd.DataFrame(rows, columns=["customer_id", "ordered_at"])
    orders = orders.assign(order_id=[f"o{i}" for i in range(len(rows))], amount=5.0)
    [finding] = found({"orders": orders}, settings, "inactivity", months=3, activity_days=60)
    # moments: 1 March, 1 June, and the end, 30 August; a's last purchase of 2 March is 91 days old on 1 June
    assert finding.got.startswith("1 of 2 silences fall")
    assert found({"orders": orders}, settings, "inactivity", months=3, activity_days=92) == []
