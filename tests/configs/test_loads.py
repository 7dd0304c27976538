from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from configs.files import write_text
from configs.loads import KEPT_FOR, PROFILE, QUARANTINE, REPORT, TABLES, VERDICT, Loads, Pointer
from configs.workspace import Workspace


def publish(loads: Loads, passed: bool = True, verdict: str = "v", orders: str = "") -> str:
    """A load with one table, judged so; its name."""
    with loads.staged() as load:
        (load / TABLES / "orders.parquet").write_text(orders)
        loads.publish(load, passed, verdict)
    return load.name


def orders(workspace: Workspace) -> str:
    return (workspace.tables / "orders.parquet").read_text()


def test_a_load_is_seen_by_nobody_before_it_is_published_and_then_whole(workspace: Workspace) -> None:
    publish(workspace.loads, orders="first")
    with workspace.loads.staged() as load:
        (load / TABLES / "orders.parquet").write_text("second")
        assert orders(workspace) == "first" and len(workspace.loads.all()) == 1
        workspace.loads.publish(load, True, "v")
        assert orders(workspace) == "second"


def test_a_load_that_is_not_published_leaves_nothing(workspace: Workspace) -> None:
    publish(workspace.loads, orders="first")
    with pytest.raises(RuntimeError), workspace.loads.staged():
        raise RuntimeError
    assert sorted(p.name for p in workspace.loads.folder.iterdir()) == ["000001", "pointer.json"]


def test_a_refused_load_is_shown_and_the_one_before_stays_current(workspace: Workspace) -> None:
    first = publish(workspace.loads, orders="first")
    second = publish(workspace.loads, passed=False, orders="second")
    assert workspace.loads.pointer() == Pointer(second, first)
    assert orders(workspace) == "first"
    assert workspace.quarantine == workspace.loads.folder / second / QUARANTINE
    assert workspace.quality_report == workspace.loads.folder / second / REPORT


def test_a_refused_first_load_is_used_by_nobody_until_it_is_accepted(workspace: Workspace) -> None:
    publish(workspace.loads, passed=False, verdict="bad", orders="first")
    assert not workspace.tables.exists()
    workspace.loads.accept("bad")
    assert orders(workspace) == "first"


def test_the_same_load_again_is_accepted_still_and_another_one_is_not(workspace: Workspace) -> None:
    publish(workspace.loads, passed=False, verdict="bad")
    workspace.loads.accept("bad")
    again = publish(workspace.loads, passed=False, verdict="bad")
    assert workspace.loads.pointer().current == again
    publish(workspace.loads, passed=False, verdict="worse")
    assert workspace.loads.pointer().current == again


def test_a_reader_keeps_the_load_it_opened_for_a_while_and_then_it_goes(workspace: Workspace) -> None:
    publish(workspace.loads, orders="first")
    opened = workspace.tables / "orders.parquet"
    publish(workspace.loads, orders="second")
    publish(workspace.loads, orders="third")
    assert opened.read_text() == "first"
    workspace.loads.sweep(datetime.now(UTC) + KEPT_FOR + timedelta(seconds=1))
    assert [load.name for load in workspace.loads.all()] == ["000003"] and orders(workspace) == "third"


def test_what_was_moved_to_its_place_and_never_published_goes_with_the_next_load(workspace: Workspace) -> None:
    publish(workspace.loads, orders="first")
    write_text(workspace.loads.folder / "000002" / TABLES / "orders.parquet", "killed before the pointer")
    assert orders(workspace) == "first"
    publish(workspace.loads, orders="third")
    assert orders(workspace) == "third"
    assert "killed before the pointer" not in {
        (p / TABLES / "orders.parquet").read_text() for p in workspace.loads.all()
    }


def test_a_full_disk_leaves_the_load_that_is_current(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(workspace.loads, orders="first")
    full = OSError(28, "No space left on device")
    for step in ("sync_tree", "write_text"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(f"configs.loads.{step}", lambda *arguments: (_ for _ in ()).throw(full))
            publish(workspace.loads, orders="second")
        assert orders(workspace) == "first"
    publish(workspace.loads, orders="third")
    assert orders(workspace) == "third"


@pytest.fixture
def before(workspace: Workspace) -> Workspace:
    """A workspace of before there were loads."""
    write_text(workspace.state / "tables" / "orders.parquet", "old")
    write_text(workspace.state / "quarantine" / "orders.parquet", "bad")
    write_text(workspace.state / "reports" / "quality" / "quality.json", "{}")
    write_text(workspace.state / "quality" / "verdict.json", json.dumps({"passed": False, "fingerprint": "bad"}))
    write_text(workspace.state / "quality" / "profile.json", json.dumps({"of": "refused"}))
    write_text(workspace.state / "quality" / "reference.json", json.dumps({"of": "accepted"}))
    return workspace


def test_a_workspace_of_before_there_were_loads_is_read_where_it_lies(before: Workspace) -> None:
    assert orders(before) == "old" and (before.quarantine / "orders.parquet").read_text() == "bad"
    assert json.loads(before.loads.newest(VERDICT).read_text())["fingerprint"] == "bad"
    assert json.loads(before.loads.current(PROFILE).read_text()) == {"of": "accepted"}


def test_a_workspace_of_before_stays_current_when_the_first_load_is_refused(before: Workspace) -> None:
    before.loads.adopt()
    publish(before.loads, passed=False, orders="new")
    assert orders(before) == "old" and json.loads(before.loads.current(PROFILE).read_text()) == {"of": "accepted"}
    assert not any((before.state / name).exists() for name in ("tables", "quarantine", "quality", "reports/quality"))


def test_adopting_what_was_before_can_be_broken_off_at_any_step(
    before: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("rename", "link"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, step, lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
            before.loads.adopt()
        assert orders(before) == "old"
    before.loads.adopt()
    assert orders(before) == "old" and before.tables.parent == before.loads.folder / "000001"
    before.loads.adopt()
    assert len(before.loads.all()) == 1


def test_an_acceptance_of_before_holds(before: Workspace) -> None:
    write_text(before.state / "quality" / "accepted", "bad")
    before.loads.adopt()
    assert before.loads.pointer() == Pointer("000001", "000001", "bad")


def test_nothing_is_adopted_where_nothing_is(workspace: Workspace) -> None:
    workspace.loads.adopt()
    assert workspace.loads.pointer() is None and not Path(workspace.loads.folder).exists()
