from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from cli import record
from cli.session import Session
from configs.errors import ConfigError
from configs.settings import Settings
from configs.workspace import Workspace


def test_objections_are_kept_withdrawn_and_told(
    workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session("test", settings, workspace, as_json=True)

    def told(do: str, *ids: str) -> dict[str, Any]:
        record.objections(session, do, list(ids), "ada")
        return dict(json.loads(capsys.readouterr().out))

    assert told("add", "ann", "bob")["objecting"] == ["ann", "bob"]
    assert told("withdraw", "ann", "cid")["taken"] == [
        {"customer_id": "ann", "status": "accepted"},
        {"customer_id": "cid", "status": "known"},
    ]
    listed = told("list")
    assert listed["objecting"] == ["bob"] and [entry["objects"] for entry in listed["history"]] == [True, True, False]
    with pytest.raises(ConfigError, match="whose objection"):
        record.objections(session, "add", [], "ada")


def test_a_record_is_verified_and_one_that_is_not_whole_ends_with_1(
    workspace: Workspace, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session("test", settings, workspace, as_json=True)
    record.audit(session, "rotate-key", "")
    record.audit(session, "prune", "")
    record.audit(session, "verify", "")
    assert '"faults": []' in capsys.readouterr().out
    (workspace.state / "records" / "head.json").write_text("{}")
    with pytest.raises(typer.Exit):
        record.audit(session, "verify", "")
    with pytest.raises(ConfigError, match="nothing to move"):
        record.audit(session, "move", "")
