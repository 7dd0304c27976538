from __future__ import annotations

import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.bulk import fingerprints


def test_all_are_scored_anew_when_a_decision_or_a_champion_changes_and_not_when_the_port_does(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = {"churn": "3", "clv": "4"}
    monkeypatch.setattr(fingerprints, "champion_versions", lambda place, tasks: champions)

    def changed(section: str, **update: object) -> Settings:
        return settings.model_copy(update={section: getattr(settings, section).model_copy(update=update)})

    before = fingerprints.scoring_fingerprint(settings, workspace)
    assert fingerprints.scoring_fingerprint(changed("serving", port=3001), workspace) == before
    bands = settings.decisions.bands.model_copy(update={"watch": 0.05})
    assert fingerprints.scoring_fingerprint(changed("decisions", bands=bands), workspace) != before
    assert fingerprints.scoring_fingerprint(settings.model_copy(update={"currency": "UAH"}), workspace) != before
    champions["clv"] = "5"
    assert fingerprints.scoring_fingerprint(settings, workspace) != before
