"""Customers where a business keeps no list of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import DataError
from configs.loads import TABLES
from configs.settings import Columns, Settings
from configs.workspace import Workspace
from features.ingest import checked_tables, ingest
from features.quality.check import check_table
from features.quality.first_events import customers_of
from features.tables import ORDERS

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LOG = pd.DataFrame(
    {
        "order_id": ["1", "2", "3", "4", "5", "6", "7"],
        "customer_id": ["ann", "bob", "ann", "app-9", "zoe", "cat", ""],
        "ordered_at": ["2024-02-01", "2024-01-05", "2024-01-03", "2024-01-01", "soon", "2024-03-01", "2024-01-01"],
        "amount": ["5", "7", "9", "3", "2", "1", "4"],
    }
)


@pytest.fixture
def log(tmp_path: Path, settings: Settings) -> Callable[..., Settings]:
    """Settings of a business that has nothing but these tables."""

    def make(**tables: pd.DataFrame) -> Settings:
        options = {}
        for name, frame in tables.items():
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
            options[name] = {"path": str(tmp_path / f"{name}.csv")}
        source = settings.source.model_copy(update={"loader": "files", "options": options, "customers_from": "orders"})
        return settings.model_copy(update={"source": source, "columns": Columns(attributes=(), sensitive=())})

    return make


def table(workspace: Workspace) -> dict[str, str]:
    rows = pd.read_parquet(workspace.loads.newest(TABLES) / "customers.parquet")
    return dict(zip(rows["customer_id"], rows["signed_up_at"].astype(str), strict=True))


def test_the_first_order_is_the_sign_up_and_the_report_says_of_how_many_orders_customers_were_made(
    log: Callable[..., Settings], workspace: Workspace
) -> None:
    report = ingest(log(orders=LOG), workspace, NOW)
    assert table(workspace) == {"ann": "2024-01-03", "bob": "2024-01-05", "app-9": "2024-01-01", "cat": "2024-03-01"}
    customers = next(t for t in report["tables"] if t["name"] == "customers")
    assert (customers["rows_read"], customers["rows_made"], customers["source_grain"]) == (5, 4, "order")


def test_a_table_in_chunks_gives_the_same_customers(log: Callable[..., Settings], tmp_path: Path) -> None:
    recorded = ["", "2024-01-06", "", "", "", "2024-03-02", ""]
    settings, tables = log(orders=LOG.assign(recorded_at=recorded)), []
    for name, rows in (("whole", 100), ("chunks", 2)):
        ingest(settings, Workspace(tmp_path / name), NOW, chunk_rows=rows)
        tables.append(pd.read_parquet(Workspace(tmp_path / name).loads.newest(TABLES) / "customers.parquet"))
    pd.testing.assert_frame_equal(*tables)
    assert dict(zip(tables[0]["customer_id"], tables[0]["recorded_at"].astype(str), strict=True)) == {
        "ann": "2024-01-03", "bob": "2024-01-06", "app-9": "2024-01-01", "cat": "2024-03-02",
    }  # fmt: skip


def test_a_person_who_ordered_under_an_alias_alone_is_one_customer_known_from_when_the_alias_was(
    log: Callable[..., Settings], workspace: Workspace
) -> None:
    identities = pd.DataFrame({"customer_id": ["dan"], "alias": ["app-9"], "seen_at": ["2024-04-01"]})
    settings = log(orders=LOG)
    raw = {"orders": LOG, "identities": identities}
    checked = checked_tables(raw, settings, NOW, workspace.state)
    rows = checked["customers"].used.set_index("customer_id")
    assert "app-9" not in rows.index
    assert rows.loc["dan", "recorded_at"] == pd.Timestamp("2024-04-01")


def test_other_tables_know_these_customers_and_nobody_else(log: Callable[..., Settings], workspace: Workspace) -> None:
    contacts = pd.DataFrame(
        {"interaction_id": ["a", "b"], "customer_id": ["ann", "nobody"], "occurred_at": "2024-02-01", "kind": "visit"}
    )
    ingest(log(orders=LOG, interactions=contacts), workspace, NOW)
    aside = pd.read_parquet(workspace.quarantine / "interactions.parquet")
    assert aside["reason"].tolist() == ["customer_id: is no known customer"]


def test_a_list_of_customers_beside_derived_ones_and_columns_that_they_cannot_have_are_refused(
    log: Callable[..., Settings], workspace: Workspace
) -> None:
    customers = pd.DataFrame({"customer_id": ["ann"], "signed_up_at": ["2024-01-01"]})
    with pytest.raises(DataError, match=r"remove source\.customers_from"):
        ingest(log(orders=LOG, customers=customers), workspace, NOW)
    settings = log(orders=LOG).model_copy(update={"columns": Columns(attributes=("region",), sensitive=())})
    with pytest.raises(DataError, match="region: customers derived from orders have no other columns"):
        ingest(settings, workspace, NOW)


def test_without_customers_the_error_names_the_key_that_derives_them(
    log: Callable[..., Settings], workspace: Workspace
) -> None:
    settings = log(orders=LOG)
    source = settings.source.model_copy(update={"customers_from": None})
    with pytest.raises(DataError, match=r"no table customers.*or set source\.customers_from to orders"):
        ingest(settings.model_copy(update={"source": source}), workspace, NOW)


def test_orders_that_are_not_changed_give_counts_that_add_up() -> None:
    checked = check_table(ORDERS, LOG, NOW, None)
    customers = customers_of(checked)
    assert customers.rows_used == checked.rows_used == 5


@pytest.mark.parametrize("merged_at_once", [0, 1_000_000])
def test_customers_of_many_parts_are_those_of_the_whole(
    merged_at_once: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.quality.first_events.MERGED_AT_ONCE", merged_at_once)
    whole = check_table(ORDERS, LOG, NOW)
    parted = check_table(ORDERS, LOG, NOW)
    monkeypatch.setattr(type(parted), "parts", lambda self, names: (self.used.loc[[n], list(names)] for n in range(5)))
    many = customers_of(parted)
    monkeypatch.undo()
    once = customers_of(whole)
    pd.testing.assert_frame_equal(many.used, once.used)
    assert many.source_rows is not None
    assert once.source_rows is not None
    assert many.source_rows.tolist() == once.source_rows.tolist() == [2, 1, 1, 1]
