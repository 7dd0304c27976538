from __future__ import annotations

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
