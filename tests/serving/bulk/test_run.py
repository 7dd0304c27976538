from __future__ import annotations

import pytest

from configs.errors import NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from serving.bulk.run import score_newest


def test_without_features_nobody_is_scored(settings: Settings, workspace: Workspace) -> None:
    with pytest.raises(NotReadyError, match="run `staycast features` first"):
        score_newest(settings, workspace)
