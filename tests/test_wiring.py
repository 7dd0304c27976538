"""What joins the parts: an untouched hold-out, gates that are obeyed, reports of what was measured, fingerprints.

Each part has tests of its own; these fail when a line that joins two of them is broken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs import fingerprint as fingerprints
from configs.errors import ConfigError
from configs.settings import Settings
from configs.workspace import Workspace
from features.fingerprints import features_fingerprint
from features.store.online_rows import OnlineFeatures
from monitoring.fingerprints import reports_fingerprint
from monitoring.run import monitor
from monitoring.watch.drift import drift_table
from serving.answer.champion import Champions
from serving.bulk.fingerprints import scoring_fingerprint
from serving.bulk.run import score_newest
from training import run
from training.data.dataset import Dataset
from training.data.task_rows import feature_rows, holdout, labelled, plan_of
from training.fingerprints import training_fingerprint
from training.fit import assembly
from training.fit.assembly import forecast
from training.fit.boosters import Form, ScoredRows
from training.fit.recipe import search_and_fit
from training.judge.examination import measure_rows
from training.model import catalog
from training.model.bundle import Bundle, load
from training.model.proof import ledger
from training.registry import model_registry, runs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
IMPOSSIBLE = 0.9999


def with_section(settings: Settings, section: str, **changes: Any) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=changes)})


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def refused(lived: Workspace, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the lived workspace in which a second churn model was trained against gates that nobody passes."""
    place = Workspace(tmp_path_factory.mktemp("refused") / "workspace")
    shutil.copytree(lived.root, place.root)
    strict = with_section(settings, "gates", min_auc=IMPOSSIBLE)
    trained = run.train(strict, place, "churn", "ada")
    assert trained.version.label == "churn/2" and not trained.decision.promote
    return place


@pytest.mark.slow
def test_a_refused_model_does_not_serve_and_the_ledger_says_why(refused: Workspace) -> None:
    assert Champions.load(refused).labels == {"churn": "churn/1", "clv": "clv/1"}
    versions = {v.version: v for v in catalog.versions(refused, "churn")}
    assert versions["1"].aliases == ("champion",) and "champion" not in versions["2"].aliases
    assert versions["2"].tags["gates"] == "failed" and "AUC" in versions["2"].tags["gate_reasons"]
    last = ledger.read(refused.ledger)[-1]
    assert (last.action, last.model, last.version, last.previous, last.by) == ("reject", "churn", "2", "1", "ada")
    assert {c["name"]: c["passed"] for c in last.checks}["min_auc"] is False


@pytest.mark.slow
def test_a_refused_model_is_promoted_by_an_override_with_a_reason_alone(refused: Workspace) -> None:
    with pytest.raises(ConfigError, match="did not pass the gates"):
        model_registry.promote(refused, "churn", "2", "ada", "it looks fine")
    with pytest.raises(ConfigError, match="say why"):
        model_registry.promote(refused, "churn", "2", "ada", " ", override=True)
    assert catalog.champion(refused, "churn").version == "1"  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_candidate_is_held_against_the_champion_on_the_same_hold_out_rows(
    refused: Workspace, settings: Settings
) -> None:
    checks = {c["name"]: c for c in ledger.read(refused.ledger)[-1].checks}
    _, judged = model_registry.bundles(refused, "churn", "1")
    rows, _ = holdout(settings, refused, "churn")
    champion = measure_rows(forecast(judged, rows), "churn")
    slack = settings.gates.max_loss_to_champion
    assert checks["not_worse_than_champion"]["limit"] == pytest.approx(champion["log_loss"] * (1 + slack))
    recorded = runs.documents(refused, catalog.versions(refused, "churn")[0].run_id)
    candidate = recorded["evaluation"]["model"]
    assert checks["not_worse_than_champion"]["value"] == pytest.approx(candidate["log_loss"])
    final, judged = model_registry.bundles(refused, "churn", "2")
    assert candidate["log_loss"] == pytest.approx(measure_rows(forecast(judged, rows), "churn")["log_loss"])
    assert (
        candidate["log_loss"] > measure_rows(forecast(final, rows), "churn")["log_loss"]
    )  # which learned from these rows
    assert checks["beats_baseline_auc"]["limit"] == pytest.approx(recorded["evaluation"]["baseline"]["auc"])
    assert recorded["gates"]["promote"] is False


@pytest.mark.slow
def test_a_run_says_what_was_trained_on_what_and_how_long(refused: Workspace) -> None:
    version = catalog.versions(refused, "churn")[0]
    recorded = runs.client(refused).get_run(version.run_id)
    trials = runs.documents(refused, version.run_id)["search"]["trials"]
    _, bundle = next(iter(model_registry.named_champion_bundles(refused, "churn")))
    assert recorded.info.run_name == f"churn {bundle.trained_through[:7]} {trials} trials"
    assert recorded.info.end_time - recorded.info.start_time > 1000
    (data_set,) = recorded.inputs.dataset_inputs
    assert data_set.dataset.digest == version.tags["data_fingerprint"] == recorded.data.tags["data_fingerprint"]
    profile = json.loads(data_set.dataset.profile)
    assert profile["num_rows"] > profile["num_customers"] > 0
    artifacts = {f.path for f in runs.client(refused).list_artifacts(version.run_id, "search")}
    assert artifacts == {"search/history.png", "search/importance.png", "search/contest.png"}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["churn", "clv"])
def test_the_judged_model_learns_nothing_from_the_hold_out_and_the_one_that_serves_all_of_it(
    lived: Workspace, settings: Settings, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = labelled(settings, lived, task)
    plan = plan_of(data, settings)
    changed = _with_other_outcomes(data, min(plan.holdout))
    calibrated_on = []

    def calibrate(form: Form, scored: ScoredRows, seen: ScoredRows) -> Any:
        calibrated_on.append(len(scored.y))
        return assembly_calibrate(form, scored, seen)

    assembly_calibrate = assembly.calibrate
    monkeypatch.setattr(assembly, "calibrate", calibrate)
    models = search_and_fit(settings, lived, changed, lambda name, done, of: None, Workspace(tmp_path))
    assert models.judged is not None
    version = catalog.champion(lived, task)
    assert version is not None
    assert _same_but_for_reference(models.judged, load(catalog.files(lived, version) / "judged"))
    assert not _same_but_for_reference(models.final, load(catalog.files(lived, version) / "bundle"))
    assert not set(_trees(models.final)) & set(_trees(models.judged))
    assert (task == "clv") == ("recent_level" in models.final.info)
    early, all_known = calibrated_on
    assert all_known == early + len(data.training_rows(plan.holdout))


def _with_other_outcomes(data: Dataset, begins: pd.Timestamp) -> Dataset:
    """The outcomes of the hold-out and of all that came after it exchanged among the customers of the same date."""
    frame, rng = data.frame.copy(), np.random.default_rng(1)
    outcomes = [c for c in frame if c == "label" or str(c).startswith("churned_")]
    late = frame["as_of"] >= begins
    frame.loc[late, outcomes] = frame.loc[late, outcomes].to_numpy()[rng.permutation(int(late.sum()))]
    return replace(data, frame=frame)


def _trees(bundle: Bundle) -> list[str]:
    return [s.booster.model_to_string() for s in bundle.scores if s.booster is not None]


def _same_but_for_reference(one: Bundle, other: Bundle) -> bool:
    return (
        _trees(one) == _trees(other)
        and [s.affine for s in one.scores] == [s.affine for s in other.scores]
        and (one.interval == other.interval)
    )


@pytest.mark.slow
def test_a_drifted_column_is_found_against_the_customers_that_the_model_learned_from(
    copied: Workspace, settings: Settings
) -> None:
    rows = feature_rows(copied)
    newest = rows["as_of"] == rows["as_of"].max()
    rows.loc[newest, "spend_total"] = rows.loc[newest, "spend_total"] * 10 + 500
    rows.to_parquet(copied.features / "rows.parquet", index=False)
    result = monitor(with_section(settings, "columns", sensitive=()), copied)
    for task in ("churn", "clv"):
        assert "spend_total" in result[task]["drift"]["drifted"]
        page = json.loads((copied.reports / task / "drift" / "drift.json").read_text("utf-8"))
        _, bundle = next(iter(model_registry.named_champion_bundles(copied, task)))
        assert page["rows"]["reference"] == len(bundle.reference)
        current = rows[newest] if task == "clv" else None
        if current is not None:
            frame = current[list(bundle.features)].assign(prediction=bundle.predict(bundle.encode(current)))
            names = ["prediction", *bundle.features]
            table = drift_table(bundle.reference, frame, names, settings.monitoring).set_index("column")
            shown = {c["column"]: c["effect"] for c in page["columns"]}
            assert shown == pytest.approx(table["effect"].to_dict(), nan_ok=True)
        html = (copied.reports / task / "drift" / "drift.html").read_text("utf-8")
        assert "spend_total" in html or "Spend total" in html


def test_fairness_is_of_the_customers_at_the_highest_risk(lived: Workspace, settings: Settings) -> None:
    rows, _ = holdout(settings, lived, "churn")
    _, judged = model_registry.bundles(lived, "churn", "1")
    scored = forecast(judged, rows)
    groups = pd.read_parquet(lived.tables / "customers.parquet", columns=["customer_id", "age_group"])
    scored = scored.merge(groups, on="customer_id", how="left")
    share = settings.monitoring.fairness_selection_share
    rank = scored.groupby("as_of")["forecast"].rank(ascending=False, method="first")
    size = scored.groupby("as_of")["forecast"].transform("size")
    expected = (rank <= (share * size).round()).groupby(scored["age_group"]).mean()
    page = json.loads((lived.reports / "churn" / "fairness" / "fairness.json").read_text("utf-8"))
    shown = {row["group"]: row["selection_rate"] for row in page["groups"] if row["column"] == "age_group"}
    for group, rate in expected.items():
        assert shown[group] == pytest.approx(rate, abs=0.03), group


def test_scores_are_those_of_the_champion_for_the_newest_rows(copied: Workspace, settings: Settings) -> None:
    shutil.rmtree(copied.scores)
    score_newest(settings, copied)
    scores = pd.concat(pd.read_parquet(p) for p in copied.scores.rglob("scores.parquet")).set_index("customer_id")
    newest = OnlineFeatures(copied).read(scores.index.tolist()).set_index("customer_id")
    for task, column in (("churn", "probability"), ("clv", "expected")):
        _, bundle = next(iter(model_registry.named_champion_bundles(copied, task)))
        served = scores[column].dropna()
        forecasts = bundle.predict(bundle.encode(newest.loc[served.index].reset_index()))
        assert served.to_numpy() == pytest.approx(forecasts, abs=1e-12)


STAGES: dict[str, Callable[[Settings, Workspace], str]] = {
    "features": features_fingerprint,
    "training": lambda settings, workspace: training_fingerprint(settings, workspace, "churn"),
    "serving": scoring_fingerprint,
    "monitoring": reports_fingerprint,
}
RESTS_ON = {
    "features": {"as_of": {"min_history_days": 11}, "churn": {"activity_days": 77}, "columns": {"attributes": ()}},
    "training": {
        "tuning": {"seed": 99},
        "gates": {"min_auc": 0.51},
        "minimum": {"customers": 9},
        "leaks": {"lead": 9.0},
    },
    "serving": {"serving": {"top_reasons": 1}, "churn": {"horizon_days": 31}},
    "monitoring": {"monitoring": {"drift_effect": 0.9}, "columns": {"sensitive": ()}},
}


def _all_but_one_file_of(changed: str, package: str, root: Path = fingerprints.ROOT) -> list[Path]:
    files = sorted((root / package).rglob("*.py"))
    return files[1:] if package == changed else files


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_run_anew_when_what_it_rests_on_has_changed(
    copied: Workspace, settings: Settings, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now(settings: Settings = settings) -> str:
        return STAGES[stage](settings, copied)

    first = now()
    assert now() == first
    for section, change in RESTS_ON[stage].items():
        assert now(with_section(settings, section, **change)) != first, section
    for package in ("configs", "features", stage):
        with monkeypatch.context() as patch:
            patch.setattr(fingerprints, "code_files", partial(_all_but_one_file_of, package))
            assert now() != first, package
    source = copied.tables / "orders.parquet" if stage == "features" else copied.features / "labels.parquet"
    before = source.read_bytes()
    pd.read_parquet(source).head(100).to_parquet(source, index=False)
    assert now() != first
    source.write_bytes(before)
    assert now() == first
    if stage in ("serving", "monitoring"):
        runs.client(copied).delete_registered_model_alias("churn", "champion")
        version = catalog.versions(copied, "churn")[0]
        other = runs.client(copied).create_model_version("churn", version.address, version.run_id).version
        runs.client(copied).set_registered_model_alias("churn", "champion", other)
        assert now() != first
