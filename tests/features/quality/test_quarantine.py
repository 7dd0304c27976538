"""Of a rejected row is kept what its table asks for, for as long as is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from cli.session import Session
from configs.settings import Settings
from configs.workspace import Workspace
from features.ingest import ingest
from features.quality.quarantine import expire

NOW = datetime.now(UTC)


@pytest.fixture
def loaded(tmp_path: Path, workspace: Workspace, settings: Settings, shop: dict[str, pd.DataFrame]) -> Workspace:
    """A load with a rejected order, of an export that holds more of a person than is asked for."""
    orders = shop["orders"].astype({"amount": object}).assign(street="Elm St", phone="0171 2345678")
    orders.loc[0, "amount"] = "Mr O'Brien, Elm St"
    options = {}
    for name, frame in {"customers": shop["customers"], "orders": orders}.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        options[name] = {"path": str(tmp_path / f"{name}.csv")}
    source = settings.source.model_copy(update={"loader": "files", "options": options})
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    ingest(settings.model_copy(update={"source": source, "columns": columns}), workspace, NOW)
    return workspace


def test_a_rejected_row_is_kept_without_what_its_table_does_not_ask_for(loaded: Workspace) -> None:
    kept = pd.read_parquet(loaded.quarantine / "orders.parquet")
    assert kept["order_id"].tolist() == ["o1"] and kept["reason"].tolist() == [
        "amount: 'Mr O’Brien, Elm St' is not a number"
    ]
    assert not {"street", "phone"} & set(kept)


def test_the_report_for_people_and_the_one_for_programs_hold_no_word_of_a_person(loaded: Workspace) -> None:
    for name in ("quality.json", "quality.html"):
        text = (loaded.quality_report / name).read_text("utf-8")
        assert "amount" in text and not [word for word in ("Brien", "Elm", "0171") if word in text]
    assert "Brien" not in (loaded.quality_report.parent / "verdict.json").read_text("utf-8")


def test_quarantine_goes_after_the_days_that_are_said_and_nothing_else_does(
    loaded: Workspace, settings: Settings
) -> None:
    assert expire(loaded, 90, NOW + timedelta(days=89)) == 0
    assert expire(loaded, 90, NOW + timedelta(days=91)) == 2
    assert list(loaded.quarantine.glob("*")) == [] and loaded.quality_report.is_dir()
    assert (loaded.quality_report.parent / "tables" / "orders.parquet").is_file()


def test_any_stage_removes_what_is_too_old(loaded: Workspace, settings: Settings, make_old: Callable[[], None]) -> None:
    make_old()
    Session("test", settings, loaded).stage("monitor", "a", lambda on_progress: {})
    assert list(loaded.quarantine.glob("*")) == []


@pytest.fixture
def make_old(loaded: Workspace) -> Callable[[], None]:
    """Let the load be judged a year ago."""

    def make() -> None:
        path = loaded.quality_report.parent / "verdict.json"
        at = (NOW - timedelta(days=365)).isoformat()
        path.write_text(json.dumps(json.loads(path.read_text()) | {"at": at}))

    return make
