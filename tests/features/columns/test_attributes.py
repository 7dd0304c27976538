"""Attributes: numbers stay numbers, and no value of today stands in a moment of the past unless it never changes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import Columns, Settings, merged_with_default
from configs.workspace import Workspace
from features.build import features_as_of
from features.engine import connect, read_tables
from features.ingest import ingest
from features.schema import features_of, require_free_names
from features.sufficiency import check_source

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CUSTOMERS = """customer_id,signed_up_at,{name},postcode
ann,2023-01-01,3,01234
bob,2023-01-01,N/A,04711
cyd,2023-01-01,"1,5",80331
"""
ORDERS = """order_id,customer_id,ordered_at,amount
1,ann,2023-02-01,10
2,bob,2024-03-01,20
"""
CHANGES = """change_id,customer_id,changed_at,attribute,value,recorded_at
1,ann,2023-01-01,package,basic,
2,ann,2024-02-01,package,plus,
3,ann,2024-02-10,package,pro,2024-04-01
4,bob,2024-01-15,package,,
5,bob,2023-01-15,package,basic,
6,ann,2023-05-01,seats,3,
7,ann,2024-02-20,seats,12.5,
8,bob,2023-05-01,seats,many,
"""


def shop(folder: Path, name: str = "seats", changes: str = "", **columns: list[str]) -> Settings:
    """A shop's files, whose customers have one attribute of that name."""
    tables = {"customers": CUSTOMERS.format(name=name), "orders": ORDERS}
    tables |= {"attribute_changes": changes} if changes else {}
    options = {}
    for table, text in tables.items():
        (folder / f"{table}.csv").write_text(text)
        options[table] = {"path": str(folder / f"{table}.csv")}
    source = {"loader": "files", "options": options}
    return merged_with_default({"name": "shop", "source": source, "columns": columns}, "test")


def features(settings: Settings, folder: Path, as_of: datetime) -> pd.DataFrame:
    """The features by customer, from what an ingest keeps."""
    tables = read_tables(connect(), Workspace(folder / "w").tables)
    rows = features_as_of(tables, features_of(tables, settings.columns), as_of).to_pandas()
    return rows.set_index("customer_id").sort_index()


NAMES = [
    "as_of",
    "churned",
    "event_timestamp",
    "spend_total",
    "Spend_Total",
    "churned_60",
    "signed_up_at",
    "orders_30d",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_with_a_name_that_is_taken_is_refused_at_once(tmp_path: Path, name: str) -> None:
    settings = shop(tmp_path, attributes=[name], constant=[name])
    for verb in (lambda: check_source(settings), lambda: ingest(settings, Workspace(tmp_path / "w"), NOW)):
        with pytest.raises(DataError, match=rf"'{name}' has a name.*source\.options\.customers\.columns"):
            verb()


def test_all_names_that_clash_stand_in_one_message_and_case_does_not_tell_names_apart() -> None:
    with pytest.raises(DataError, match="'spend_total', 'as_of', 'Region', 'region' have names"):
        require_free_names(Columns(attributes=("Region", "spend_total"), sensitive=("region", "as_of")))
    require_free_names(Columns(attributes=("region", "plan"), sensitive=("orders_30d", "Größe")))


def test_a_constant_attribute_that_is_a_number_stays_one(tmp_path: Path) -> None:
    settings = shop(tmp_path, attributes=["seats", "postcode"], constant=["seats", "postcode"])
    report = ingest(settings, Workspace(tmp_path / "w"), NOW)
    rows = features(settings, tmp_path, datetime(2024, 3, 2))
    np.testing.assert_array_equal(rows["seats"], [3.0, np.nan, 1.5])
    assert rows["postcode"].tolist() == ["01234", "04711", "80331"]
    assert any("seats: numbers; 1 placeholders" in note for note in report["reading"])


def test_an_attribute_without_dates_is_kept_out_unless_it_is_declared_constant(tmp_path: Path) -> None:
    settings = shop(tmp_path, attributes=["seats", "postcode"], constant=["postcode"])
    report = ingest(settings, Workspace(tmp_path / "w"), NOW)
    rows = features(settings, tmp_path, datetime(2024, 3, 2))
    assert "seats" not in rows and "postcode" in rows
    (note,) = [n for n in report["reading"] if "columns.constant" in n]
    assert "seats" in note and "postcode" not in note and "attribute_changes" in note


def test_a_dated_attribute_has_the_value_that_was_known_at_each_moment(tmp_path: Path) -> None:
    settings = shop(tmp_path, "other", CHANGES, attributes=["package", "seats"], numbers=["seats"])
    report = ingest(settings, Workspace(tmp_path / "w"), NOW)
    assert not any("columns.constant" in note for note in report["reading"])
    packages = {
        datetime(2023, 6, 1): ["basic", "basic", None],
        datetime(2024, 2, 1): ["basic", None, None],  # a change at the moment itself is not known yet
        datetime(2024, 3, 1): ["plus", None, None],  # the next was recorded later
        datetime(2024, 5, 1): ["pro", None, None],
    }
    for as_of, expected in packages.items():
        assert features(settings, tmp_path, as_of)["package"].tolist() == expected
    seats = features(settings, tmp_path, datetime(2024, 3, 1))["seats"]
    np.testing.assert_array_equal(seats.astype(float), [12.5, np.nan, np.nan])
