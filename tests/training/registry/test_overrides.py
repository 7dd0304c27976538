from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.settings import Settings
from configs.workspace import Workspace
from features.quality import quality_gate, quality_verdict
from features.quality.anomalies import Finding
from features.quality.quality_gate import Verdict
from features.quality.quality_verdict import QualityError
from features.schema import Feature, FeatureSchema
from tests.judged import publish
from training.data.dataset import Dataset
from training.data.leakage import LeakError
from training.model.proof import ledger
from training.registry.overrides import accept_quality, check_leaks

PROFILE = {"end": None, "tables": {}}


def stopped(workspace: Workspace, got: str = "x") -> None:
    finding = Finding("orders", "amount", "scale_moved", "stop", got, "y", "z")
    at = datetime(2024, 1, 1, tzinfo=UTC).isoformat()
    verdict = Verdict(at, "s", {"orders": {"validity": 1.0}}, (finding,), True)
    publish(workspace, {**verdict.to_dict(), "fingerprint": verdict.fingerprint}, PROFILE)


def test_an_accepted_load_passes_becomes_the_reference_and_is_on_record(workspace: Workspace) -> None:
    stopped(workspace)
    with pytest.raises(QualityError):
        quality_verdict.require(workspace)
    accept_quality(workspace, "ada", "prices are told in cents from now on")
    quality_verdict.require(workspace)
    assert quality_gate.reference_profile(workspace) == PROFILE
    (record,) = ledger.read(workspace.ledger)
    assert (record.action, record.model, record.by) == ("accept_quality", "data", "ada")
    assert record.checks[0]["rule"] == "scale_moved"
    assert accept_quality(workspace, "ada", "again") is None


def test_an_acceptance_holds_for_one_load_only(workspace: Workspace) -> None:
    stopped(workspace)
    accept_quality(workspace, "ada", "known")
    stopped(workspace, "another thing")
    with pytest.raises(QualityError):
        quality_verdict.require(workspace)


def test_an_acceptance_without_a_reason_is_refused_and_changes_nothing(workspace: Workspace) -> None:
    stopped(workspace)
    with pytest.raises(ConfigError, match="say why with --reason"):
        accept_quality(workspace, "ada", " ")
    assert not Path(workspace.ledger).exists()
    with pytest.raises(QualityError):
        quality_verdict.require(workspace)


def test_nothing_is_recorded_of_a_load_that_passes(workspace: Workspace) -> None:
    assert accept_quality(workspace, "ada", "why not") is None
    assert ledger.read(workspace.ledger) == []


def data(leaking: bool) -> Dataset:
    rng = np.random.default_rng(1)
    label = (rng.random(600) < 0.3).astype(float)
    honest = {f"plain_{i}": rng.normal(size=600) for i in range(6)}
    status = label if leaking else rng.normal(size=600)
    as_ofs = pd.date_range("2024-01-01", periods=4, freq="MS", tz="UTC")[np.arange(600) % 4]
    schema = FeatureSchema(tuple(Feature(n, "orders", "float64", "") for n in (*honest, "status")))
    return Dataset("churn", pd.DataFrame({"as_of": as_ofs, **honest, "status": status, "label": label}), schema, "f00")


def test_a_leak_stops_training_unless_accepted_by_name_and_with_a_reason(
    settings: Settings, workspace: Workspace
) -> None:
    with pytest.raises(LeakError, match="status"):
        check_leaks(settings, workspace, data(leaking=True), "ada")
    with pytest.raises(ConfigError, match="did you mean 'status'"):
        check_leaks(settings, workspace, data(leaking=True), "ada", ["statsu"], "known at once")
    with pytest.raises(ConfigError, match="say why"):
        check_leaks(settings, workspace, data(leaking=True), "ada", ["status"])
    assert ledger.read(workspace.ledger) == []
    check_leaks(settings, workspace, data(leaking=True), "ada", ["status"], "known at once")
    (record,) = ledger.read(workspace.ledger)
    assert (record.action, record.model, record.version) == ("accept_leaks", "churn", "f00")
    assert ledger.champions(workspace.ledger, "churn") == []


def test_a_column_that_was_asked_about_once_is_answered_for_good_in_the_settings(
    settings: Settings, workspace: Workspace
) -> None:
    def known(*names: str) -> Settings:
        return settings.model_copy(update={"leaks": settings.leaks.model_copy(update={"known_before": names})})

    with pytest.raises(LeakError, match=r"Was it known before the customer left.*leaks.known_before: \[status\]"):
        check_leaks(settings, workspace, data(leaking=True), "ada")
    assert check_leaks(known("status"), workspace, data(leaking=True), "ada") == []
    with pytest.raises(ConfigError, match=r"leaks.known_before: there is no feature 'statsu'"):
        check_leaks(known("statsu"), workspace, data(leaking=True), "ada")


def test_honest_columns_leave_no_record(settings: Settings, workspace: Workspace) -> None:
    assert check_leaks(settings, workspace, data(leaking=False), "ada") == []
    assert not Path(workspace.ledger).exists()


def test_too_few_rows_to_look_at_what_columns_hold_are_asked_about_names_alone(
    settings: Settings, workspace: Workspace
) -> None:
    given = data(leaking=True)
    assert check_leaks(settings, workspace, given, "ada", by_values=False) == []
    named = FeatureSchema((*given.schema.features, Feature("future_value", "customers", "float64", "")))
    with pytest.raises(LeakError, match=r"1 suspicion that .*future_value: its name"):
        check_leaks(settings, workspace, replace(given, schema=named), "ada", by_values=False)
