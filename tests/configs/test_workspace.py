from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.workspace import Workspace


def test_a_workspace_holds_one_business(workspace: Workspace) -> None:
    workspace.claim("grocer")
    workspace.claim("grocer")
    with pytest.raises(ConfigError, match="holds the business 'grocer'"):
        workspace.claim("hotel")


def test_a_stage_is_reused_only_for_the_same_mark(workspace: Workspace) -> None:
    workspace.record("ingest", "one", {"rows": 3})
    assert workspace.done("ingest", "one") == {"rows": 3}
    assert workspace.done("ingest", "two") is None
    assert workspace.done("features", "one") is None


def test_the_record_of_a_stage_names_its_files_wherever_the_workspace_is_moved(tmp_path: Path) -> None:
    before = Workspace(tmp_path / 'an "old" place')
    result = {"folder": str(before.scores / "2024-01-01"), "pages": [str(before.reports / "a.html")], "said": "state/x"}
    before.record("score", "one", result)
    before.root.rename(tmp_path / "new")
    after = Workspace(tmp_path / "new")
    moved = {"folder": str(after.scores / "2024-01-01"), "pages": [str(after.reports / "a.html")], "said": "state/x"}
    assert after.done("score", "one") == moved == after.last("score")


@pytest.mark.parametrize("content", [b"", b'{"finger', b"\xff\xfe", b"[]", b'{"fingerprint": "one"}'])
def test_a_stage_whose_record_is_damaged_is_run_again(workspace: Workspace, content: bytes) -> None:
    workspace.record("score", "one", {"rows": 3})
    (workspace.state / "stages" / "score.json").write_bytes(content)
    assert workspace.done("score", "one") is None
    assert workspace.last("score") is None


@pytest.mark.parametrize("name", ["a?1", "b*", "c/?/d"])
def test_a_path_that_databases_read_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="give another folder"):
        Workspace(tmp_path / name).claim("shop")
    assert not any(tmp_path.iterdir())


def test_a_workspace_below_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file' is a file"):
        Workspace(tmp_path / "file" / "below").claim("shop")


def test_the_answers_that_a_result_tells_of_are_found_wherever_the_workspace_was_moved(tmp_path: Path) -> None:
    result = {"folder": str(Workspace(tmp_path / "old").scores / "2024-03-01")}
    assert Workspace(tmp_path / "new").scored(result) == tmp_path / "new" / "state" / "scores" / "2024-03-01"
