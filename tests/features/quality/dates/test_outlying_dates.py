"""Few rows whose date lies far from all others are set aside, whatever the size of the table's chunks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from configs.settings import Settings
from features.ingest import checked_tables
from features.quality.dates.outlying_dates import usual_span
from features.sources import files

NOW = datetime(2024, 6, 1, tzinfo=UTC)
REASON = "ordered_at: '{}' is more than 730 days from all other rows"


def days(*extra: str, number: int = 400) -> pd.Series:
    return pd.Series([*pd.date_range("2023-01-01", periods=number), *map(pd.Timestamp, extra)])


@pytest.mark.parametrize("chunk_rows", [None, 7])
def test_an_order_of_1970_is_set_aside_with_its_reason(
    tmp_path: Path, settings: Settings, chunk_rows: int | None
) -> None:
    times = days("1970-01-01 10:00")
    rows = "".join(f"o{n},ann,{t},5\n" for n, t in enumerate(times))
    (tmp_path / "o.csv").write_text("order_id,customer_id,ordered_at,amount\n" + rows)
    (tmp_path / "c.csv").write_text("customer_id,signed_up_at\nann,2023-01-01\n")
    options = {name: {"path": str(tmp_path / f"{name[0]}.csv")} for name in ("customers", "orders")}
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    business = settings.model_copy(update={"columns": columns})
    with files.opened(options, chunk_rows) as raw:
        orders = checked_tables(raw, business, NOW, tmp_path)["orders"]
        assert orders.table_rows == 400
        assert orders.column("ordered_at").min() == pd.Timestamp("2023-01-01")
        assert orders.quarantined["reason"].tolist() == [REASON.format("1970-01-01")]


def test_few_rows_are_set_aside_and_many_are_history() -> None:
    assert usual_span([days()], 1000, 730, 0.005) is None
    assert usual_span([days("1970-01-01", "1971-01-01")], 1000, 730, 0.005) == (days().min(), days().max())  # 2 of 402
    assert usual_span([days(*pd.date_range("1999-01-01", periods=3).astype(str))], 1000, 730, 0.005) is None
    assert usual_span([days("2021-06-01")], 1000, 730, 0.005) is None
    assert usual_span([days("2033-01-01")], 1000, 730, 0.0) == (days().min(), days().max())
    assert usual_span([days("1970-01-01", number=5)], 1000, 730, 0.5) is None


def test_a_row_is_believed_up_to_the_clock_skew_after_the_present(tmp_path: Path, settings: Settings) -> None:
    skew = timedelta(seconds=settings.quality.clock_skew_seconds)
    times = [NOW + skew - timedelta(seconds=1), NOW + skew]
    orders = pd.DataFrame({"order_id": ["a", "b"], "customer_id": "ann", "ordered_at": times, "amount": 5.0})
    customers = pd.DataFrame({"customer_id": ["ann"], "signed_up_at": [NOW - timedelta(days=9)]})
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    business = settings.model_copy(update={"columns": columns})
    checked = checked_tables({"customers": customers, "orders": orders}, business, NOW, tmp_path)["orders"]
    assert checked.used["order_id"].tolist() == ["a"]
    assert checked.quarantined["reason"].tolist() == ["ordered_at: lies in the future"]
