"""The recipe stops before anything is learned, where it must."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from training import run
from training.data.leakage import LeakError
from training.data.task_rows import feature_rows
from training.judge import gates
from training.judge.examination import Examination
from training.registry import ledger, model_registry, runs
from training.reproduce import reproduce


def leaky(workspace: Workspace) -> None:
    """Let a column know who will leave."""
    labels = pd.read_parquet(workspace.features / "labels.parquet")[["customer_id", "as_of", "churned"]]
    rows = feature_rows(workspace).merge(labels, on=["customer_id", "as_of"], how="left", validate="1:1")
    rows["gap_cv"] = rows.pop("churned").astype(float)
    rows.to_parquet(workspace.features / "rows.parquet", index=False)


def test_a_column_that_knows_the_label_stops_a_training_unless_it_is_accepted_by_name_and_reason(
    copied: Workspace, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaky(copied)
    with pytest.raises(LeakError, match="gap_cv"):
        run.train(settings, copied, "churn", "ada")
    with pytest.raises(ConfigError, match="say why"):
        run.train(settings, copied, "churn", "ada", accepted_leaks=["gap_cv"])

    class SearchedError(Exception):
        pass

    def search(*arguments: object) -> None:
        raise SearchedError

    monkeypatch.setattr(run, "search_and_fit", search)
    with pytest.raises(SearchedError):
        run.train(settings, copied, "churn", "ada", accepted_leaks=["gap_cv"], reason="an experiment")
    last = ledger.read(copied.ledger)[-1]
    assert (last.action, last.by, last.reason) == ("accept_leaks", "ada", "an experiment")


def test_a_registry_that_cannot_be_read_is_said_before_the_search(
    fresh: Workspace, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.mlruns.mkdir(parents=True, exist_ok=True)
    (fresh.mlruns / "mlflow.db").write_text("not a database")
    monkeypatch.setattr(run, "search_and_fit", lambda *arguments: pytest.fail("it was searched"))
    with pytest.raises(RegistryError, match="cannot be read"):
        run.train(few, fresh, "churn", "ada")


def test_an_experiment_that_was_deleted_is_restored_before_the_search(
    fresh: Workspace, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, experiment = runs.open_experiment(fresh, few.name)
    client.delete_experiment(experiment)

    class SearchedError(Exception):
        pass

    def search(*arguments: object) -> None:
        assert client.get_experiment(experiment).lifecycle_stage == "active"
        raise SearchedError

    monkeypatch.setattr(run, "search_and_fit", search)
    with pytest.raises(SearchedError):
        run.train(few, fresh, "churn", "ada")


def demanding(few: Settings) -> Settings:
    """Trees may learn from whatever there is, and no model is good enough."""
    least = {"customers": 20, "labels_of_each_kind": 5, "as_ofs": 2}
    return few.model_copy(
        update={
            "minimum": few.minimum.model_copy(update=least),
            "tuning": few.tuning.model_copy(update={"trials": 1, "folds": 1, "max_trees": 5}),
            "gates": few.gates.model_copy(update={"min_auc": 0.999}),
        }
    )


@pytest.mark.slow
def test_a_refused_candidate_leaves_a_prior_to_answer_until_a_model_that_learned_serves(
    fresh: Workspace, few: Settings
) -> None:
    settings = demanding(few)
    for first in (1, 3):  # a prior that answers already is made anew of today's data
        trained = run.train(settings, fresh, "churn", "ada")
        assert trained.version.label == f"churn/{first}" and not trained.decision.promote
        assert trained.stand_in is not None and trained.stand_in.version.label == f"churn/{first + 1}"
        _, serving = model_registry.named_champion_bundles(fresh, "churn")[0]
        assert serving.basis == "prior" and serving.info["why"].startswith(f"churn/{first} was refused: AUC")
    assert reproduce(fresh, "churn/4").identical
    actions = [(e.action, e.version) for e in ledger.read(fresh.ledger) if e.model == "churn"]
    assert actions == [("reject", "1"), ("promote", "2"), ("reject", "3"), ("promote", "4")]


@pytest.mark.slow
def test_where_priors_are_not_wanted_a_refused_candidate_leaves_nothing(fresh: Workspace, few: Settings) -> None:
    settings = demanding(few)
    stop = settings.model_copy(update={"minimum": settings.minimum.model_copy(update={"below": "stop"})})
    assert run.train(stop, fresh, "churn", "ada").stand_in is None
    assert model_registry.champion_bundles(fresh, "churn") is None


@pytest.mark.parametrize(
    ("basis", "below", "asked"), [("model", "prior", 1), ("prior", "prior", 0), ("model", "stop", 0)]
)
def test_a_candidate_in_doubt_is_held_against_a_prior_before_it_may_serve(
    basis: str, below: str, asked: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = gates.Check("beats_baseline_auc", 0.5, 0.6, "cannot tell", "")
    refused = gates.Decision(False, (doubt,), ())
    applied, fitted = [], []
    business = settings.model_copy(update={"minimum": settings.minimum.model_copy(update={"below": below})})
    examination = Examination(pd.DataFrame(), {}, {}, {}, pd.DataFrame(), "recency rule")
    monkeypatch.setattr(run, "examine", lambda *given: examination)
    monkeypatch.setattr(run, "examine_returns_at", lambda *given: {})
    monkeypatch.setattr(run, "judge", lambda *given: gates.Decision(True, (doubt,), ()))
    monkeypatch.setattr(run, "fit_prior_to_compare", lambda *given: fitted.append(given))
    monkeypatch.setattr(run, "lean_to_prior", lambda *given: refused)
    monkeypatch.setattr(run.model_registry, "champions_of_a_year", lambda *given: [])
    monkeypatch.setattr(run.record, "record", lambda *given: "churn/1")
    monkeypatch.setattr(
        run.model_registry, "apply_decision", lambda place, version, decision, by: applied.append(decision)
    )
    models = SimpleNamespace(
        plan=SimpleNamespace(holdout=(), train_for_holdout=()),
        judged=object(),
        final=SimpleNamespace(basis=basis, info={}),
    )
    data = SimpleNamespace(task="churn", at=lambda parts: pd.DataFrame())
    trained = run._judge_and_record(business, Workspace(Path("nowhere")), data, models, "ada", None)  # type: ignore[arg-type]
    assert len(fitted) == asked and applied == [trained.decision]
    assert trained.decision.promote == (not asked)

    def unfit(*given: object) -> None:
        raise DataError("nobody ordered")

    monkeypatch.setattr(run, "fit_prior_to_compare", unfit)
    alone = run._judge_and_record(business, Workspace(Path("nowhere")), data, models, "ada", None)  # type: ignore[arg-type]
    assert alone.decision.promote  # and that nothing stood beside it is said
    assert ("no prior could stand beside it: nobody ordered" in alone.decision.reasons) == bool(asked)
