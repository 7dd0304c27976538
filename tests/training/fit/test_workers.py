"""One search by several processes: exactly its trials, one result, and nobody waits for the dead."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
import optuna
import pandas as pd
import pytest
import sqlalchemy
from optuna.trial import TrialState
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.settings import Settings, Tuning
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import Encoder, Matrix, learn_encoder
from training.fingerprints import training_fingerprint
from training.fit import workers
from training.fit.folds import FoldData
from training.fit.search import SearchResult, search

N = 8
SCHEMA = FeatureSchema((Feature("gap", "orders", "float64", ""), Feature("spend", "orders", "float64", "")))


@pytest.fixture(scope="module")
def folds() -> list[FoldData]:
    rng = np.random.default_rng(0)

    def matrix(n: int) -> tuple[Matrix, Encoder]:
        rows = pd.DataFrame({"gap": rng.gamma(2, 10, n), "spend": rng.lognormal(4, 1, n)})
        rows["label"] = (rng.random(n) < 1 / (1 + np.exp(2 - rows["gap"] / 10))).astype(float)
        encoder = learn_encoder(rows, SCHEMA)
        return encoder(rows), encoder

    (train, encoder), (valid, _) = matrix(600), matrix(300)
    return [FoldData(train, valid, encoder, np.arange(300) % 50) for _ in range(2)]


@pytest.fixture
def tuning(settings: Settings) -> Tuning:
    return settings.tuning.model_copy(update={"trials": N, "timeout_seconds": 200, "max_trees": 20})


@pytest.fixture
def shared(server: sqlalchemy.URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty database of a real PostgreSQL server, its password in an environment variable."""
    monkeypatch.setenv("SEARCH_PASSWORD", quote(str(server.password), safe=""))
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("create database search")
    yield f"postgresql+psycopg://shop:${{SEARCH_PASSWORD}}@127.0.0.1:{server.port}/search"
    with engine.connect() as connection:
        connection.exec_driver_sql("drop database search with (force)")
    engine.dispose()


def in_states(result: SearchResult, *states: TrialState) -> int:
    return sum(t.state in states for t in result.study.trials)


def test_one_process_finds_the_same_on_a_storage_that_is_told(
    folds: list[FoldData], tuning: Tuning, workspace: Workspace, tmp_path: Path
) -> None:
    other_storage = tuning.model_copy(update={"storage": f"sqlite:///{tmp_path / 'elsewhere.db'}"})
    own, result = (search("churn", folds, t, workspace, "mark") for t in (tuning, other_storage))
    assert [t.params for t in own.study.trials] == [t.params for t in result.study.trials]
    assert [t.value for t in own.study.trials] == [t.value for t in result.study.trials]
    assert (own.params, own.trees, own.loss) == (result.params, result.trees, result.loss)


@pytest.mark.slow
def test_two_processes_on_this_machine_end_with_exactly_the_trials(
    folds: list[FoldData], tuning: Tuning, workspace: Workspace
) -> None:
    counted: list[int] = []
    two = tuning.model_copy(update={"workers": 2})
    result = search("churn", folds, two, workspace, "mark", lambda done, of: counted.append(done))
    assert in_states(result, *workers.ENDED) == N == counted[-1]
    assert counted == sorted(counted)
    again = search("churn", folds, two, workspace, "mark")
    assert (again.params, again.trees, again.loss) == (result.params, result.trees, result.loss)


@pytest.mark.slow
def test_two_machines_on_one_postgresql_end_with_exactly_the_trials_and_one_result(
    folds: list[FoldData], tuning: Tuning, shared: str, tmp_path: Path
) -> None:
    answer = tuning.model_copy(update={"storage": shared})
    places = [Workspace(tmp_path / name) for name in ("here", "there")]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        both = list(pool.map(search, *zip(*[("churn", folds, answer, place, "mark") for place in places], strict=True)))
    assert [in_states(result, *workers.ENDED) for result in both] == [N, N]
    assert in_states(both[0], TrialState.RUNNING, TrialState.WAITING) == 0
    assert (both[0].params, both[0].trees, both[0].loss) == (both[1].params, both[1].trees, both[1].loss)
    assert not any(place.tuning.exists() for place in places)


@pytest.mark.slow
def test_a_process_killed_in_the_middle_of_a_trial_does_not_hold_up_the_others(
    folds: list[FoldData], tuning: Tuning, shared: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = tuning.model_copy(update={"storage": shared})
    endless = quick.model_copy(update={"max_trees": 10**7, "early_stopping_trees": 10**7})
    victim = multiprocessing.get_context("spawn").Process(
        target=search, args=("churn", folds, endless, workspace, "mark"), daemon=True
    )
    victim.start()
    storage = workers.open_storage(quick, workspace)
    until = time.monotonic() + 200
    while not any(s.n_trials and _running(storage) for s in optuna.get_all_study_summaries(storage)):
        assert time.monotonic() < until and victim.is_alive()
        time.sleep(0.1)
    time.sleep(3)  # it has said once that it is alive
    victim.kill()
    victim.join()
    monkeypatch.setattr(workers, "ALIVE_SECONDS", 1)
    monkeypatch.setattr(workers, "SILENT_SECONDS", 3)
    result = search("churn", folds, quick, workspace, "mark")
    assert in_states(result, *workers.ENDED) == N
    assert in_states(result, TrialState.FAIL) == 1
    assert in_states(result, TrialState.RUNNING) == 0


def _running(storage: optuna.storages.RDBStorage) -> bool:
    study = optuna.load_study(study_name="churn-mark", storage=storage)
    return any(t.state == TrialState.RUNNING for t in study.get_trials(deepcopy=False))


def test_a_trial_beyond_the_last_place_is_given_back(tuning: Tuning, workspace: Workspace) -> None:
    study = optuna.create_study(storage=workers.open_storage(tuning, workspace))
    with pytest.warns(UserWarning, match="Heartbeat"):
        others = [study.ask() for _ in range(2)]
    ran: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        ran.append(trial.number)
        return 0.0

    workers._run_one(study, objective, 2, shared=True)
    assert ran == []
    for other in others:
        study.tell(other, 1.0)
    workers.run_trials(study, objective, 3, time.time() + 60, True, lambda done, of: None)
    assert ran == [3]
    assert workers.count_ended(study) == 3


def test_who_was_thought_dead_and_finishes_late_goes_on(tuning: Tuning, workspace: Workspace) -> None:
    study = optuna.create_study(storage=workers.open_storage(tuning, workspace))
    late: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        if not late:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        late.append(trial.number)
        trial.report(0.0, 0)
        return 0.0

    workers.run_trials(study, objective, 2, time.time() + 60, True, lambda done, of: None)
    assert late == [0, 1, 2]
    assert workers.count_ended(study) == 2


def test_no_trial_begins_after_the_time_is_up(tuning: Tuning, workspace: Workspace) -> None:
    study = optuna.create_study(storage=workers.open_storage(tuning, workspace))
    workers.run_trials(study, lambda _: 0.0, 5, time.time() - 1, False, lambda done, of: None)
    assert workers.count_ended(study) == 0


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("postgresql+psycopg://u:${STAYCAST_UNSET}@127.0.0.1/x", "STAYCAST_UNSET is not set"),
        ("no address", "is no database address"),
        ("postgresql+nodriver://127.0.0.1/x", "nodriver"),
        ("postgresql+psycopg://u:${SEARCH_TRY}@127.0.0.1:1/x", "cannot use the database"),
    ],
)
def test_a_storage_that_cannot_be_used_says_why_without_its_password(
    storage: str, said: str, tuning: Tuning, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_TRY", "hidden1234")
    with pytest.raises(ConfigError, match=said) as refused:
        workers.open_storage(tuning.model_copy(update={"storage": storage}), workspace)
    assert "hidden1234" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:hidden@h/x", "postgresql+psycopg://h/x?password=hidden"])
def test_a_password_in_the_settings_is_refused(url: str, tuning: Tuning) -> None:
    with pytest.raises(ValidationError, match="holds a password"):
        Tuning(**{**tuning.model_dump(), "storage": url})


def test_where_and_by_how_many_a_search_runs_does_not_make_it_another(settings: Settings, workspace: Workspace) -> None:
    def fingerprint(**changes: object) -> str:
        return training_fingerprint(
            settings.model_copy(update={"tuning": settings.tuning.model_copy(update=changes)}), workspace, "churn"
        )

    assert fingerprint() == fingerprint(workers=4) == fingerprint(storage="sqlite:///x.db") != fingerprint(trials=99)
    assert settings.tuning.model_copy(update={"workers": 4, "storage": "sqlite:///x.db"}).alone == settings.tuning
