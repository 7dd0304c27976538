from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features import ingest as module
from features.ingest import ingest
from features.quality import quality_gate, quality_report, quality_verdict
from features.quality.check import ValidatedTable, check_tables
from features.quality.quality_verdict import QualityError
from features.simulation.shop import generate

NOW = datetime(2024, 5, 8, tzinfo=UTC)
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return dict(generate(300, 4, 1).tables)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch):
    """Let ingest read these tables."""

    def give(tables: Tables) -> None:
        loader = type(
            "Loader",
            (),
            {"load": lambda options: tables, "source_fingerprint": lambda options: str(len(tables["orders"]))},
        )
        monkeypatch.setattr(module, "loader", lambda name: loader)

    return give


def test_a_good_load_passes_becomes_the_reference_and_goes_into_history(
    tables: Tables, give, settings: Settings, workspace: Workspace
) -> None:
    give(tables)
    assert quality_gate.reference_profile(workspace) is None
    first = ingest(settings, workspace, NOW)["verdict"]
    second = ingest(settings, workspace, NOW)["verdict"]
    assert (first["passed"], first["compared"]) == (True, False)
    assert (second["passed"], second["compared"]) == (True, True)
    quality_verdict.require(workspace)
    told = quality_gate.history(workspace)
    assert [r["at"] for r in told] == [NOW.isoformat(timespec="seconds")] * 2
    assert set(told[0]["tables"]) == set(tables)
    assert set(told[0]["tables"]["orders"]) == set(quality_report.DIMENSIONS)


def test_a_bad_load_stops_with_the_reason_and_leaves_the_reference(
    tables: Tables, give, settings: Settings, workspace: Workspace
) -> None:
    give(tables)
    ingest(settings, workspace, NOW)
    before = quality_gate.reference_profile(workspace)
    give({**tables, "orders": tables["orders"].assign(amount=tables["orders"]["amount"] * 100)})
    ingest(settings, workspace, NOW)
    with pytest.raises(QualityError, match=r"orders\.amount: a middle size of .*scale_moved.*--accept-quality"):
        quality_verdict.require(workspace)
    assert quality_gate.reference_profile(workspace) == before
    assert quality_gate.history(workspace)[-1]["stops"][0].startswith("orders.amount")


def test_the_report_defines_every_dimension_and_shows_history_as_a_line(
    tables: Tables, give, settings: Settings, workspace: Workspace
) -> None:
    give(tables)
    ingest(settings, workspace, NOW)
    give({**tables, "orders": tables["orders"].assign(channel="<new>")})
    ingest(settings, workspace, NOW)
    page = (workspace.quality_report / "quality.html").read_text("utf-8")
    assert all(name in page for name in quality_report.DIMENSIONS)
    assert page.count("<polyline") == len(tables)
    assert "unseen_values (stop)" in page
    assert "<new>" not in page
    told = json.loads((workspace.quality_report / "quality.json").read_text("utf-8"))
    assert told["verdict"]["passed"] is False and len(told["history"]) == 2


def test_a_share_under_its_threshold_names_the_column_and_the_reason(shop: Tables, settings: Settings) -> None:
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    raw = {**shop, "orders": shop["orders"].assign(customer_id=["nobody", *shop["orders"]["customer_id"][1:]])}
    checked: dict[str, ValidatedTable] = check_tables(raw, columns, NOW)
    low = [f for f in quality_gate.judge(checked, settings, None, NOW)[0].stops if f.table == "orders"]
    assert [(f.column, f.rule) for f in low] == [("*", "usable_rows"), ("customer_id", "consistency")]
    assert low[0].got == "only 85.7% of 7 rows can be used, most often (1 rows): customer_id: is no known customer"
    assert "85.71% (1 rows: customer_id: is no known customer)" in low[1].got


def test_a_workspace_without_a_verdict_is_let_pass(workspace: Workspace) -> None:
    quality_verdict.require(workspace)
