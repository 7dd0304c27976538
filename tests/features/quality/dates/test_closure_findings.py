"""A history that ends in a closure is asked about: closed days are no silence."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from configs.settings import Columns, Settings
from features.quality import quality_gate
from features.quality.anomalies import Finding
from features.quality.check import ValidatedTable, check_tables
from features.quality.dates.closure_findings import closure_findings

NOW = datetime(2024, 8, 1, tzinfo=UTC)
JULY = (date(2024, 7, 10), date(2024, 7, 31))


def shop(every: int = 7, until: str = "2024-07-09") -> dict[str, ValidatedTable]:
    """Ten customers who order every so many days, the first of them on the last day, too."""
    times = [
        (str(c), day + pd.Timedelta(hours=10))
        for c in range(10)
        for day in pd.date_range(f"2024-01-{c + 1:02d}", until, freq=f"{every}D")
    ]
    times.append(("0", pd.Timestamp(until) + pd.Timedelta(hours=12)))
    orders = pd.DataFrame(times, columns=["customer_id", "ordered_at"]).assign(amount=5.0)
    orders.insert(0, "order_id", [f"o{i}" for i in range(len(orders))])
    signed_up = pd.to_datetime(["2024-01-01"] * 10)
    customers = pd.DataFrame({"customer_id": [str(i) for i in range(10)], "signed_up_at": signed_up})
    tables = {"customers": customers, "orders": orders}
    return check_tables(tables, Columns(attributes=(), sensitive=(), exclude=()), NOW)


def asked(
    checked: dict[str, ValidatedTable],
    settings: Settings,
    closed: tuple[date, date] = JULY,
    until: datetime | None = datetime(2024, 8, 1),
    **changes: object,
) -> list[Finding]:
    calendar = settings.calendar.model_copy(update={"closures": {"summer": (closed,)}})
    return closure_findings(
        checked, settings.model_copy(update={"data_until": until, "calendar": calendar, **changes}), NOW
    )


def test_a_closure_at_the_end_of_the_history_stops_with_the_day_to_end_it(settings: Settings) -> None:
    [found] = asked(shop(), settings)
    assert (found.table, found.rule, found.severity) == ("orders", "ends_in_closure", "stop")
    assert "a closure of 22 days, 2024-07-10 to 2024-07-31, and half of the customers order every 7 days" in found.got
    assert "data_until: 2024-07-10T00:00:00Z, the end of the last open day" in found.todo


def test_a_history_that_ends_on_an_open_day_is_not_asked_about(settings: Settings) -> None:
    assert not asked(shop(), settings, until=datetime(2024, 7, 10))
    assert not asked(shop(), settings, until=None)
    assert not asked(shop(), settings, until=datetime(2024, 8, 2))
    assert not asked(shop(), settings, closed=(date(2024, 5, 1), date(2024, 5, 22)))


@pytest.mark.parametrize(
    ("every", "begins", "is_asked"), [(7, 24, True), (7, 29, False), (30, 9, False), (2, 27, True)]
)
def test_few_closed_days_are_no_silence(every: int, begins: int, is_asked: bool, settings: Settings) -> None:
    closed = (date(2024, 7, begins + 1), date(2024, 7, 31))
    assert bool(asked(shop(every, f"2024-07-{begins}"), settings, closed)) is is_asked


def test_days_before_the_last_order_were_not_closed(settings: Settings) -> None:
    assert not asked(shop(until="2024-07-28"), settings)
    [found] = asked(shop(until="2024-07-20"), settings)
    assert "11 days, 2024-07-21 to 2024-07-31" in found.got


def test_who_accepts_the_rule_is_warned_and_the_verdict_holds_it(settings: Settings) -> None:
    accepting = settings.quality.model_copy(update={"accept_rules": ("ends_in_closure",)})
    assert [f.severity for f in asked(shop(), settings, quality=accepting)] == ["warn"]
    calendar = settings.calendar.model_copy(update={"closures": {"summer": (JULY,)}})
    closed = settings.model_copy(update={"data_until": datetime(2024, 8, 1), "calendar": calendar})
    verdict, _ = quality_gate.judge(shop(), closed, None, NOW)
    assert [f.rule for f in verdict.stops] == ["ends_in_closure"]
