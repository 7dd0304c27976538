from __future__ import annotations

import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.bulk import fingerprints
from training.model.proof import ledger


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


def test_all_are_scored_anew_when_a_canary_begins_grows_or_ends_and_not_for_a_shadow(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "champion_versions", lambda place, tasks: {"churn": "3", "clv": "4"})

    def after(action: str, percent: float | None = None) -> str:
        words = {"model": "churn", "version": "4", "previous": "3", "by": "ada", "reason": "r"}
        ledger.append(workspace.ledger, ledger.Entry(action=action, percent=percent, **words))
        return fingerprints.scoring_fingerprint(settings, workspace)

    before = fingerprints.scoring_fingerprint(settings, workspace)
    assert after("shadow") == before
    begun, grown = after("canary", 5.0), after("canary", 20.0)
    assert len({before, begun, grown}) == 3 and after("canary", 20.0) == grown and after("stop") == before
