"""A verb takes the options of every verb, those it names, and its own."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from cli.options import verb
from cli.session import Session


def test_a_verb_gets_a_session_made_of_its_options(tmp_path: Path) -> None:
    app, seen = typer.Typer(), []
    app.callback()(lambda: None)

    @verb(app, "again", "by", creates=True)
    def look(s: Session, number: int = 1) -> None:
        """Look."""
        seen.append((s, number))

    run = CliRunner().invoke
    place = str(tmp_path / "place")
    assert run(app, ["look", "-c", "test", "-w", place, "--again", "--by", "ada", "--number", "3"]).exit_code == 0
    ((s, number),) = seen
    assert (s.config, s.workspace.root, s.again, s.who, number) == ("test", Path(place), True, "ada", 3)
    assert run(app, ["look", "-c", "test", "-w", place, "--reason", "x"]).exit_code == 2
    assert "--accept-leaks" not in run(app, ["look", "--help"]).output
