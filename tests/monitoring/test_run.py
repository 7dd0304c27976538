from __future__ import annotations

import pytest

from configs.errors import RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from monitoring.run import monitor, reports_fingerprint


def test_reports_are_written_anew_when_the_rule_of_drift_changes(few: Settings, fresh: Workspace) -> None:
    stricter = few.monitoring.model_copy(update={"drift_effect": few.monitoring.drift_effect / 2})
    before = reports_fingerprint(few, fresh)
    assert reports_fingerprint(few, fresh) == before
    assert reports_fingerprint(few.model_copy(update={"monitoring": stricter}), fresh) != before


def test_without_a_champion_there_is_nothing_to_watch(few: Settings, fresh: Workspace) -> None:
    with pytest.raises(RegistryError, match="run `staycast train`"):
        monitor(few, fresh)
    assert not fresh.reports.joinpath("churn").exists()
