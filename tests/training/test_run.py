"""The recipe stops before anything is learned, where it must."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from configs.errors import ConfigError, DataError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import FeatureSchema
from training import run
from training.data.leakage import LeakError
from training.data.task_rows import feature_rows
from training.fit.assembly import FittedModels
from training.judge import gates
from training.judge.examination import Examination
from training.model.proof import ledger
from training.registry import model_registry, runs
from training.reproduce import reproduce


def leaky(workspace: Workspace) -> None:
    """Let a column know who will leave."""
    labels = pd.read_parquet(workspace.features / "labels.parquet")[["customer_id", "as_of", "churned"]]
    rows = feature_rows(workspace).merge(labels, on=["customer_id", "as_of"], how="left", validate="1:1")
    rows["gap_cv"] = rows.pop("churned").astype(float)
    rows.to_parquet(workspace.features / "rows.parquet", index=False)


@pytest.mark.slow
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


@pytest.mark.slow
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
    trained = run._judge_and_record(
        business,
        Workspace(Path("nowhere")),
        data,  # type: ignore[arg-type]
        models,  # type: ignore[arg-type]
        "ada",
        None,  # type: ignore[arg-type]
        lambda: fitted.append(None),  # type: ignore[arg-type, func-returns-value]
    )
    assert len(fitted) == asked and applied == [trained.decision]
    assert trained.decision.promote == (not asked)

    def unfit(*given: object) -> None:
        raise DataError("nobody ordered")

    place = Workspace(Path("nowhere"))
    alone = run._judge_and_record(business, place, data, models, "ada", None, unfit)  # type: ignore[arg-type]
    assert alone.decision.promote  # and that nothing stood beside it is said
    assert ("no prior could stand beside it: nobody ordered" in alone.decision.reasons) == bool(asked)


@dataclass(frozen=True)
class Final:
    basis: str
    info: dict[str, str]


@pytest.mark.parametrize("is_in_doubt", [True, False])
def test_the_prior_that_a_refused_candidate_was_compared_with_answers_in_its_place_and_is_fitted_once(
    is_in_doubt: bool, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = gates.Check("beats_baseline_auc", 0.5, 0.6, "cannot tell", "")
    refused = gates.Decision(False, (), ("a prior did better",))
    plan = SimpleNamespace(holdout=(), train_for_holdout=())

    def fitted_models(basis: str) -> FittedModels:
        return FittedModels(plan, SimpleNamespace(loss=0.1), object(), Final(basis, {}))  # type: ignore[arg-type]

    def judged(data: object, models: FittedModels, *given: object) -> gates.Decision:
        is_prior = models.final.basis == "prior"
        return gates.Decision(True, () if is_prior else (doubt,), ()) if is_in_doubt or is_prior else refused

    fitted: list[FittedModels] = []
    compared: list[FittedModels] = []
    recorded: list[FittedModels] = []

    def fit_prior_to_compare(*given: object) -> FittedModels:
        fitted.append(fitted_models("prior"))
        return fitted[-1]

    def lean_to_prior(decision: object, data: object, models: object, examination: object, prior: FittedModels):
        compared.append(prior)
        return refused

    def record(settings: object, workspace: object, data: object, models: FittedModels, *given: object):
        recorded.append(models)
        return SimpleNamespace(label=f"churn/{len(recorded)}")

    data = SimpleNamespace(task="churn", by="as_of", at=lambda parts: pd.DataFrame(), schema=FeatureSchema(()))
    returned = {
        "labelled": data,
        "require_values": None,
        "shortage": ["customers"],
        "search_and_fit": fitted_models("model"),
        "examine": Examination(pd.DataFrame(), {}, {}, {}, pd.DataFrame(), "recency rule"),
        "examine_returns_at": {},
        "_may_stand_in": True,
    }
    for name, value in returned.items():
        monkeypatch.setattr(run, name, lambda *given, value=value: value)
    for name in ("require", "require_newest_features"):
        monkeypatch.setattr(run.quality_verdict, name, lambda place: None)
    for function in (judged, fit_prior_to_compare, lean_to_prior):
        monkeypatch.setattr(run, {"judged": "judge"}.get(function.__name__, function.__name__), function)
    beside = {"beside": "returns"}
    told = lambda models, *given: replace(models, final=Final("prior", models.final.info | beside))  # noqa: E731
    monkeypatch.setattr(run, "told_further", told)
    monkeypatch.setattr(run.record, "record", record)
    monkeypatch.setattr(run.model_registry, "champions_of_a_year", lambda *given: [])
    monkeypatch.setattr(run.model_registry, "apply_decision", lambda *given: None)
    business = settings.model_copy(update={"minimum": settings.minimum.model_copy(update={"below": "prior"})})
    trained = run.train(business, Workspace(tmp_path), "churn", "ada")
    assert trained.stand_in is not None and trained.stand_in.basis == "prior"
    assert len(fitted) == 1 and compared == (fitted if is_in_doubt else [])
    assert recorded[1].judged is fitted[0].judged
    assert recorded[1].final.info == {"why": "churn/1 was refused: a prior did better", **beside}


def test_a_champion_that_customers_judged_says_in_the_month_when_moments_can_that_it_is_to_be_trained_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"as_of": [pd.Timestamp("2024-04-01")]})
    learned = {"learned_until": pd.Timestamp("2024-05-30"), "trained_through": "2024-03-01", "basis": "model"}
    model = SimpleNamespace(**learned, info={"holdout": "share 0.2, seed 0"})
    monkeypatch.setattr(run.catalog, "champion", lambda *given: SimpleNamespace(version="1"))
    monkeypatch.setattr(run.model_registry, "bundles", lambda *given: (model, model))
    monkeypatch.setattr(run, "holdout", lambda *given: (rows, rows))
    result = run.examine_champion(settings, Workspace(tmp_path), "clv")
    assert result["basis"] == "model" and "model" not in result
    assert "moments from 2024-04-01 on can judge now" in result["unjudged"] and "staycast train" in result["unjudged"]
    later = SimpleNamespace(**learned, info={"holdout": None})
    twin = SimpleNamespace(**{**learned, "trained_through": "2024-02-01"}, info={"holdout": None})
    monkeypatch.setattr(run.model_registry, "bundles", lambda *given: (later, twin))
    with pytest.raises(RegistryError, match="more moments are held out"):
        run.examine_champion(settings, Workspace(tmp_path), "clv")
