from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.workspace import Workspace, files_fingerprint, fingerprint, replacing, write_text


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


def test_a_folder_is_replaced_only_when_the_body_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    with replacing(folder) as new:
        write_text(new / "orders", "first")
    with pytest.raises(RuntimeError), replacing(folder) as new:
        write_text(new / "orders", "second")
        raise RuntimeError
    assert (folder / "orders").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["tables"]


def test_replacing_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with replacing(tmp_path / "tables") as folder:
            write_text(folder / name, name)
    assert [p.name for p in (tmp_path / "tables").iterdir()] == ["new"]


def test_a_fingerprint_follows_content_not_order_of_keys(tmp_path: Path) -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    write_text(tmp_path / "a", "one")
    before = files_fingerprint([tmp_path / "a"])
    write_text(tmp_path / "a", "two")
    assert files_fingerprint([tmp_path / "a"]) != before
