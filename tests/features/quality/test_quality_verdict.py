from __future__ import annotations

import pytest

from configs.workspace import Workspace
from features.quality import quality_gate
from features.quality.quality_verdict import QualityError, accept, is_accepted, latest_verdict, require
from tests.judged import publish

FINDING = {
    "table": "orders",
    "column": "amount",
    "rule": "nulls",
    "severity": "stop",
    "got": "40% empty",
    "expected": "under 5%",
    "todo": "ask the CRM",
}


def load(workspace: Workspace, passed: bool, fingerprint: str) -> None:
    """A load that was judged so."""
    content = {"passed": passed, "fingerprint": fingerprint, "findings": [] if passed else [FINDING]}
    publish(workspace, content, {"of": fingerprint})


def test_before_the_first_load_nothing_is_stopped(workspace: Workspace) -> None:
    assert latest_verdict(workspace) is None and not is_accepted(workspace)
    require(workspace)


def test_a_load_that_did_not_pass_stops_all_until_a_person_accepts_that_very_load(workspace: Workspace) -> None:
    load(workspace, True, "first")
    require(workspace)
    load(workspace, False, "second")
    with pytest.raises(QualityError, match=r"amount.*40% empty.*--accept-quality"):
        require(workspace)
    accept(workspace)
    require(workspace)
    assert quality_gate.reference_profile(workspace) == {"of": "second"}
    load(workspace, False, "third")
    with pytest.raises(QualityError):
        require(workspace)
