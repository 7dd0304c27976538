"""Boosters learned by several processes are those of one: equal where no split is decided by a count of rows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import ValidationError

from configs.errors import NotEnoughDataError
from configs.settings import Settings, Training
from training.data.dataset import Encoder, Matrix
from training.fit import distributed
from training.fit.boosters import CHURN, HYBRID, TWEEDIE, Fitted, Form, fit
from training.fit.search import loss
from training.priors.credibility import COLUMNS

ENCODER = Encoder((*COLUMNS, "gap", "region"), {"region": tuple("abcdefghijkl")})
PARAMS = {"learning_rate": 0.1, "num_leaves": 8, "feature_fraction": 0.7, "lambda_l2": 1.0, "bagging_fraction": 1.0}
UNCOUNTED = PARAMS | {
    "min_data_in_leaf": 0,
    "min_sum_hessian_in_leaf": 20.0,
    "max_cat_to_onehot": 99,
    "min_data_per_group": 1,
}
COUNTED = PARAMS | {"min_data_in_leaf": 50}
PROCESSES = Training(engine="processes", workers=2, scheduler=None)


def rows(n: int, seed: int, form: Form, weighted: bool = False) -> Matrix:
    rng = np.random.default_rng(seed)
    spend, days, gap = rng.lognormal(4, 1, n), rng.integers(30, 400, n), np.round(rng.gamma(2, 10, n), 1)
    region = rng.integers(0, 12, n).astype(float)
    region[rng.random(n) < 0.1] = np.nan
    left = rng.random(n) < 1 / (1 + np.exp(2 - gap / 10 - (region == 3)))
    value = np.where(left, -1.0, spend / days * rng.lognormal(3, 0.4, n))
    weight = rng.uniform(0.5, 2, n) if weighted else None
    return Matrix(np.column_stack([spend, days, gap, region]), left * 1.0 if form is CHURN else value, weight)


def learn(form: Form, train: Matrix, params: dict[str, object], where: Training | None) -> Fitted:
    trainer = distributed.make_trainer(where) if where else None
    trees = {part.name: 40 for part in form.parts}
    return fit(form, train, ENCODER, params, seed=1, trees=trees, trainer=trainer)


@pytest.mark.parametrize(
    ("form", "weighted"),
    [
        pytest.param(CHURN, False, id="churn"),
        pytest.param(CHURN, True, id="weighted", marks=pytest.mark.slow),
        pytest.param(HYBRID, False, id="hybrid", marks=pytest.mark.slow),
    ],
)
def test_two_processes_learn_the_forecasts_of_one_where_no_split_is_decided_by_a_count(
    form: Form, weighted: bool
) -> None:
    train, later = rows(3001, 1, form, weighted), rows(1000, 2, form)
    single, two = (learn(form, train, UNCOUNTED, where) for where in (None, PROCESSES))
    assert two.raw(later.x) == pytest.approx(single.raw(later.x), rel=1e-9)
    assert np.ptp(single.raw(later.x)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("form", [CHURN, TWEEDIE], ids=lambda f: f.name)
def test_with_counts_the_loss_on_later_rows_is_that_of_one_process_within_one_percent(form: Form) -> None:
    train, later = rows(6000, 1, form), rows(3000, 2, form)
    raw = [learn(form, train, COUNTED, where).raw(later.x)[:, 0] for where in (None, PROCESSES)]
    task, link = ("churn", lambda r: 1 / (1 + np.exp(-r))) if form is CHURN else ("clv", np.exp)
    single, two = (loss(task, later.y, link(r)) for r in raw)
    assert two == pytest.approx(single, rel=0.01)
    assert np.corrcoef(*raw)[0, 1] > 0.99


@pytest.mark.slow
def test_a_model_of_several_processes_comes_again_and_explains_what_it_forecasts() -> None:
    train, later = rows(2000, 1, CHURN), rows(200, 2, CHURN)
    first, second = (learn(CHURN, train, COUNTED | {"bagging_fraction": 0.8}, PROCESSES) for _ in range(2))
    texts = [f.boosters[0].model_to_string() for f in (first, second) if f.boosters[0]]
    assert texts[0] == texts[1]
    assert not re.search("machines|listen_port", texts[0].split("parameters:")[1])
    result = np.asarray(first.boosters[0].predict(later.x, pred_contrib=True)) if first.boosters[0] else np.zeros(0)
    assert result.sum(axis=1) == pytest.approx(first.raw(later.x)[:, 0], rel=1e-9)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Dask scheduler on this machine with two workers of one thread."""
    try:
        from distributed import LocalCluster
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("distributed is not installed: it belongs to the extra dask")
        pytest.skip("distributed is not installed")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local:
        yield local.scheduler_address


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_dask_workers_learn_what_processes_learn(cluster: str) -> None:
    train, later = rows(3001, 1, HYBRID), rows(1000, 2, HYBRID)
    dask = Training(engine="dask", workers=2, scheduler=cluster)
    other, own, single = (learn(HYBRID, train, UNCOUNTED, where).raw(later.x) for where in (dask, PROCESSES, None))
    assert np.array_equal(other, own)
    assert other == pytest.approx(single, rel=1e-9)


def test_every_row_is_dealt_to_one_process_with_its_weight_and_start() -> None:
    whole = distributed.Rows(np.arange(7.0)[:, None], np.arange(7.0), np.arange(7.0) + 1, -np.arange(7.0), ("a",), ())
    shares = distributed.deal_rows(whole, 3)
    assert [s.y.tolist() for s in shares] == [[0, 3, 6], [1, 4], [2, 5]]
    assert all((s.weight == s.y + 1).all() and (s.init == -s.y).all() and (s.x[:, 0] == s.y).all() for s in shares)
    with pytest.raises(NotEnoughDataError, match=r"7 rows .* 8 processes"):
        distributed.deal_rows(whole, 8)


def test_many_rows_are_binned_by_evenly_spaced_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "MAX_BINNING_ROWS", 3)
    whole = distributed.Rows(np.zeros((7, 1)), np.arange(7.0), None, None, ("a",), ())
    assert distributed.binning_rows(whole).y.tolist() == [0, 3, 6]


def test_free_ports_are_different() -> None:
    assert len(set(distributed.free_ports(20))) == 20


def test_the_engine_is_one_key_and_dask_needs_an_address(settings: Settings) -> None:
    assert distributed.make_trainer(settings.training) is None
    with pytest.raises(ValidationError, match="needs `scheduler`"):
        Training(engine="dask", workers=2, scheduler=None)
