from __future__ import annotations

import pytest

from configs.errors import RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from monitoring.run import monitor


def test_without_a_champion_there_is_nothing_to_watch(few: Settings, fresh: Workspace) -> None:
    with pytest.raises(RegistryError, match="run `staycast train`"):
        monitor(few, fresh)
    assert not fresh.reports.joinpath("churn").exists()
