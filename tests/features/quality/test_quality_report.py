"""Five shares say how good a table is: each counts the rows that it is about."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.settings import Settings
from features.quality import quality_report
from features.quality.check import check_tables

NOW = datetime(2024, 5, 8, tzinfo=UTC)
Tables = dict[str, pd.DataFrame]


def dimensions(shop: Tables, settings: Settings, **orders: object) -> dict[str, float]:
    raw = {**shop, "orders": shop["orders"].assign(**orders)}
    return quality_report.dimensions(
        check_tables(raw, settings.columns.model_copy(update={"attributes": (), "sensitive": ()}), NOW), settings
    )["orders"]


def changed(shop: Tables, column: str, value: object) -> pd.Series:
    """A column whose first value of seven is another."""
    values = shop["orders"][column].astype(object).copy()
    values.iloc[0] = value
    return values


@pytest.mark.parametrize(
    ("column", "value", "dimension"),
    [
        ("customer_id", None, "completeness"),
        ("amount", "many", "validity"),
        ("discount", -1.0, "validity"),
        ("ordered_at", pd.Timestamp("2999-01-01"), "validity"),
        ("order_id", "o2", "uniqueness"),
        ("customer_id", "nobody", "consistency"),
    ],
)
def test_each_dimension_counts_its_own_rows(
    shop: Tables, settings: Settings, column: str, value: object, dimension: str
) -> None:
    found = dimensions(shop, settings, **{column: changed(shop, column, value)})
    others = {name: share for name, share in found.items() if name not in (dimension, "completeness")}
    assert found[dimension] == pytest.approx(6 / 7)
    assert set(others.values()) == {1.0}


def test_a_row_recorded_before_it_happened_is_not_consistent(shop: Tables, settings: Settings) -> None:
    early = shop["orders"]["ordered_at"] - pd.to_timedelta([1, 0, 0, 0, 0, 0, 0], unit="D")
    assert dimensions(shop, settings, recorded_at=early)["consistency"] == pytest.approx(6 / 7)


def test_freshness_is_the_limit_over_the_age(shop: Tables, settings: Settings) -> None:
    late = settings.model_copy(update={"data_until": datetime(2024, 3, 5, 10, tzinfo=UTC) + pd.Timedelta(days=90)})
    assert dimensions(shop, late)["freshness"] == pytest.approx(45 / 90)
    assert dimensions(shop, settings)["freshness"] == 1.0
