from __future__ import annotations

from configs.settings import Settings
from configs.workspace import Workspace
from monitoring.fingerprints import reports_fingerprint


def test_reports_are_written_anew_when_the_rule_of_drift_changes(few: Settings, fresh: Workspace) -> None:
    stricter = few.monitoring.model_copy(update={"drift_effect": few.monitoring.drift_effect / 2})
    before = reports_fingerprint(few, fresh)
    assert reports_fingerprint(few, fresh) == before
    assert reports_fingerprint(few.model_copy(update={"monitoring": stricter}), fresh) != before
