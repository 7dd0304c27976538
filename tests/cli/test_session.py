"""A stage is run once for what it rests on, and its earlier result is no way around a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Group
from rich.text import Text

from cli.screens.tables import make_table
from cli.session import Session, open_session, show
from configs.errors import ConfigError, NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace


@pytest.fixture
def session(settings: Settings, workspace: Workspace) -> Session:
    return Session("test", settings, workspace, by="ada")


def test_a_stage_runs_once_for_each_fingerprint(session: Session) -> None:
    calls = []

    def body(on_progress: Any) -> dict[str, Any]:
        calls.append(on_progress("half", 1, 2))
        return {"calls": len(calls)}

    assert session.stage("ingest", "a", body) == session.stage("ingest", "a", body) == {"calls": 1}
    assert session.stage("ingest", "b", body) == {"calls": 2}
    assert session.workspace.done("ingest", "a") is None
    again = Session("test", session.settings, session.workspace, again=True)
    assert again.stage("ingest", "b", body) == {"calls": 3}


def test_a_stage_that_fails_is_not_recorded(session: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        session.stage("ingest", "a", lambda on_progress: {"share": 1 / 0})
    assert session.workspace.done("ingest", "a") is None


def test_an_earlier_result_is_not_given_where_the_gate_is_shut(session: Session) -> None:
    def shut() -> None:
        raise ConfigError("shut")

    session.stage("features", "a", lambda on_progress: {"rows": 1})
    with pytest.raises(ConfigError, match="shut"):
        session.stage("features", "a", lambda on_progress: {"rows": 2}, shut)


def test_who_decides_is_as_given_or_the_user_of_the_machine(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ben")
    assert session.who == "ada"
    assert Session("test", session.settings, session.workspace).who == "ben"


def test_a_session_begins_a_workspace_only_where_the_verb_may(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="no workspace at"):
        open_session(False, "test", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert open_session(True, "test", tmp_path / "new").settings.name == "synthetic"
    assert open_session(False, "test", tmp_path / "new", by="ada").who == "ada"


def test_a_result_is_json_for_programs_and_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show({"rows": 1}, True, lambda result: "never asked")
    assert json.loads(capsys.readouterr().out) == {"rows": 1}
    show({"auc": float("nan")}, True, lambda result: "never asked")
    assert json.loads(capsys.readouterr().out) == {"auc": None}
    show({"rows": 1}, False, lambda result: f"{result['rows']} row")
    assert capsys.readouterr().out == "1 row\n"


HOSTILE = "[/x] [red]no \x1b[31mred\x1b[0m \u202edcba :smile:"
SHOWN = "[/x] [red]no \\x1b[31mred\\x1b[0m \\u202edcba :smile:"


def test_a_table_of_hostile_values_shows_them_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    def screen(result: Any) -> Any:
        table = make_table(f"title {HOSTILE}", "what", f"head {HOSTILE}")
        table.add_row("x", HOSTILE)
        return Group(table, Text(HOSTILE), HOSTILE)

    show({}, False, screen)
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 3 and shown.count("[/x] [red]no \\x1b[31mred") == 5
    assert shown.isprintable() or set(filter(lambda sign: not sign.isprintable(), shown)) == {"\n"}


def test_a_stage_says_hostile_progress_as_it_is(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.stage("ingest", "a", lambda on_progress: {"x": on_progress(HOSTILE, 1, 2)})
    session.stage("ingest", "a", lambda on_progress: {})
    shown = capsys.readouterr().err
    assert "\u202e" not in shown and "\x1b[31m" not in shown and "reused" in shown


def test_a_damaged_ledger_beside_a_decision_cut_short_keeps_nobody_from_looking(
    copied: Workspace, settings: Settings
) -> None:
    copied.decision.write_text(json.dumps({"action": "promote", "model": "churn", "version": "1", "after": None}))
    copied.ledger.write_text(copied.ledger.read_text("utf-8")[:-20], "utf-8")
    assert open_session(False, "test", copied.root).workspace.root == copied.root
    assert copied.decision.is_file(), "whoever decides next is told, and finishes it"
