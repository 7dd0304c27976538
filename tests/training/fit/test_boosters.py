"""The boosters, their search and the bundle they end in, on made-up rows whose truth is known."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import NotEnoughDataError, RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset, Matrix, learn_encoder, require_enough
from training.data.split import plan_as_ofs
from training.fit.assembly import assemble, fold_data, learn, score_rows, validation_scores
from training.fit.boosters import (
    CHURN,
    LOGNORMAL,
    SEED_STEP,
    TWEEDIE,
    TWO_PART,
    ZILN,
    ScoredRows,
    calibrate,
    fit,
    lifted,
    predict,
)
from training.fit.search import FIRST_TRIAL, search
from training.metrics import auc, expected_calibration_error, total_error
from training.model import bundle as bundles
from training.model.calibration import Affine
from training.model.proof import manifest

SCHEMA = FeatureSchema(
    (
        Feature("gap", "orders", "float64", ""),
        Feature("spend", "orders", "float64", ""),
        Feature("same", "orders", "float64", ""),
        Feature("region", "customers", "string", ""),
    )
)


def rows(n: int, seed: int, task: str) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "gap": rng.gamma(2, 10, n),
            "spend": rng.lognormal(4, 1, n),
            "same": 1.0,
            "region": rng.choice(["north", "south", None], n),
        }
    )
    leaves = 1 / (1 + np.exp(-(frame["gap"] / 10 - 3 + (frame["region"] == "north"))))
    left = rng.random(n) < leaves
    value = np.where(left, 0, frame["spend"] * rng.lognormal(-0.1, 0.4, n))
    if task == "clv":
        return frame.assign(label=value, truth=0)
    longer = left & (rng.random(n) < 0.7)
    return frame.assign(
        label=left.astype(float),
        truth=leaves,
        churned_60=longer.astype(float),
        churned_90=(longer & (rng.random(n) < 0.7)).astype(float),
    )


@pytest.fixture(scope="module", params=["churn", "clv"])
def data(request: pytest.FixtureRequest) -> Dataset:
    as_ofs = pd.date_range("2024-01-01", periods=9, freq="MS", tz="UTC").astype("datetime64[us, UTC]")
    parts = [
        rows(300, i, request.param).assign(as_of=m, customer_id=[f"c{k}" for k in range(300)])
        for i, m in enumerate(as_ofs)
    ]
    return Dataset(request.param, pd.concat(parts, ignore_index=True), SCHEMA, "made up")


@pytest.fixture(scope="module")
def trained(data: Dataset, tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> bundles.Bundle:
    place = Workspace(tmp_path_factory.mktemp("search"))
    parts = plan_as_ofs(data.as_ofs, 30, 1, 2)
    folds = fold_data(data, parts.folds, settings)
    result = search(data.task, folds, settings.tuning, place, "mark")
    fitted, encoder = learn(data, parts.final, result, settings)
    later = validation_scores(folds, result, 0)
    return assemble(fitted, encoder, later, data, parts.final, None, data.at(parts.holdout), settings)


@pytest.mark.parametrize("form", [TWEEDIE, TWO_PART, LOGNORMAL, ZILN], ids=lambda f: f.name)
def test_a_level_that_is_lifted_multiplies_every_forecast(form) -> None:
    raw, affine = np.random.default_rng(0).normal(size=(50, len(form.parts))), (Affine(0.8, 0.1),) * len(form.parts)
    ratio = predict(form, raw, lifted(form, affine, 0.3)) / predict(form, raw, affine)
    assert ratio == pytest.approx(np.exp(0.3))
    assert lifted(form, affine, 0.0) == affine


def test_the_model_that_is_assembled_is_lifted_and_its_interval_keeps_to_the_forecast(settings: Settings) -> None:
    dates = [pd.Timestamp(f"2024-0{month}-01", tz="UTC") for month in (1, 2, 3)]
    parts = [rows(300, i, "clv").assign(as_of=date, customer_id=np.arange(300)) for i, date in enumerate(dates)]
    data = Dataset("clv", pd.concat(parts, ignore_index=True), SCHEMA, "made up")
    early, asked = data.at(data.as_ofs[:2]), data.at(data.as_ofs[2:])
    encoder = learn_encoder(early, SCHEMA)
    fitted = fit(TWEEDIE, encoder(early), encoder, FIRST_TRIAL, seed=0, trees={"value": 20})
    arguments = (fitted, encoder, score_rows(fitted, encoder, asked), data, data.as_ofs[:2], None, asked, settings)
    plain, moved = assemble(*arguments), assemble(*arguments, lambda forecast: (0.5, {"share": 1.0}))
    x = plain.encode(asked)
    expected, higher = plain.predict(x), moved.predict(x)
    assert higher == pytest.approx(np.exp(0.5) * expected)
    widths = [np.median(b.bounds(value, x)[1] / value) for b, value in ((plain, expected), (moved, higher))]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert moved.info["recent_level"] == {"share": 1.0} and "recent_level" not in plain.info


@pytest.mark.parametrize("form", [CHURN, TWEEDIE, TWO_PART, LOGNORMAL, ZILN], ids=lambda f: f.name)
def test_a_form_learns_what_moves_its_target(form) -> None:
    task = "churn" if form is CHURN else "clv"
    train, later = rows(20_000, 1, task), rows(20_000, 2, task)
    encoder = learn_encoder(train, SCHEMA)
    trees = {p.name: 60 for p in form.parts}
    fitted = fit(form, encoder(train), encoder, FIRST_TRIAL, seed=0, trees=trees)
    raw, y = fitted.raw(encoder(later).x), encoder(later).y
    own = ScoredRows(fitted.raw(encoder(train).x), encoder(train).y, np.zeros(len(train), dtype=int))
    forecast = predict(form, raw, calibrate(form, ScoredRows(raw, y, np.zeros(len(y), dtype=int)), own))
    if task == "churn":
        assert auc(later["label"], forecast) > auc(later["label"], later["truth"]) - 0.02
    else:
        assert abs(total_error(later["label"], forecast)) < 0.05
        assert np.corrcoef(forecast, later["label"])[0, 1] > 0.5


def test_the_same_seed_gives_the_same_booster_and_another_seed_another() -> None:
    train = rows(500, 1, "churn")
    encoder = learn_encoder(train, SCHEMA)
    built = [fit(CHURN, encoder(train), encoder, FIRST_TRIAL, seed=s, trees={"churn": 10}) for s in (1, 1, 2)]
    texts = [m.boosters[0].model_to_string() for m in built]
    assert texts[0] == texts[1] != texts[2]


def test_boosters_of_several_seeds_are_averaged_and_other_members_of_the_average_forecast_otherwise() -> None:
    train = rows(500, 1, "churn")
    encoder = learn_encoder(train, SCHEMA)
    x, trees = encoder(train).x, {"churn": 10}
    seeds = [SEED_STEP * n + 1 for n in range(3)]
    single = [fit(CHURN, encoder(train), encoder, FIRST_TRIAL, seed=s, trees=trees) for s in seeds]
    raw = np.hstack([fitted.raw(x) for fitted in single])
    several = fit(CHURN, encoder(train), encoder, {**FIRST_TRIAL, "seeds": 3}, seed=1, trees=trees)
    np.testing.assert_allclose(several.raw(x)[:, 0], raw.mean(axis=1), atol=1e-12)
    assert np.ptp(raw, axis=1).max() > 0.01 and several.trees["churn"] == sum(f.trees["churn"] for f in single)


def test_a_model_can_learn_a_small_batch_by_heart() -> None:
    x = np.arange(40.0)[:, None]
    y = (np.arange(40) % 2).astype(float)
    encoder = learn_encoder(pd.DataFrame({"gap": x[:, 0], "spend": 1.0, "same": 1.0, "region": None}), SCHEMA)
    params = {"learning_rate": 0.5, "num_leaves": 40, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    fitted = fit(CHURN, Matrix(x, y), encoder, params, seed=0, trees={"churn": 50})
    assert auc(y, fitted.raw(x)[:, 0]) == 1


def test_the_encoder_keeps_what_varies_and_reads_the_unknown_as_missing() -> None:
    encoder = learn_encoder(rows(100, 0, "churn"), SCHEMA)
    assert encoder.features == ("gap", "spend", "region")
    assert encoder.categories == {"region": ("north", "south")}
    asked = pd.DataFrame({"gap": [1.0], "spend": [1.0], "region": ["moon"], "label": [0.0]})
    assert np.isnan(encoder(asked).x[0, 2])


def test_explanations_sum_to_what_is_served(trained: bundles.Bundle, data: Dataset) -> None:
    matrix = trained.encode(data.frame.head(300))
    result = trained.explain(matrix)
    assert result.base + result.effects.sum(axis=1) == pytest.approx(trained.predict(matrix), rel=1e-12)


def test_a_longer_silence_is_never_likelier_and_every_horizon_is_calibrated(
    trained: bundles.Bundle, data: Dataset
) -> None:
    if data.task == "clv":
        assert trained.steps == ()
        return
    later = rows(4000, 99, "churn")
    matrix = trained.encode(later)
    left = trained.by_horizon(trained.survival(matrix, trained.predict(matrix)))
    assert list(left) == [30, 60, 90]
    assert (np.diff(np.column_stack(list(left.values())), axis=1) <= 0).all()
    assert np.array_equal(left[30], trained.predict(matrix))
    for days, name in ((60, "churned_60"), (90, "churned_90")):
        assert expected_calibration_error(later[name], left[days]) < 0.04


def test_one_row_is_scored_as_it_is_among_many(trained: bundles.Bundle, data: Dataset) -> None:
    matrix = trained.encode(data.frame.head(200))
    alone = np.concatenate([trained.predict(row[None, :]) for row in matrix[:20]])
    assert np.array_equal(alone, trained.predict(matrix)[:20])


def test_the_order_of_columns_and_a_further_one_change_nothing(trained: bundles.Bundle, data: Dataset) -> None:
    frame = data.frame.head(50)
    mixed = frame[frame.columns[::-1]].assign(further="x")
    assert np.array_equal(trained.predict(trained.encode(frame)), trained.predict(trained.encode(mixed)))


def test_a_bundle_read_back_is_the_one_that_was_saved(trained: bundles.Bundle, data: Dataset, tmp_path: Path) -> None:
    back = bundles.load(trained.save(tmp_path / "bundle"))
    matrix = trained.encode(data.frame)
    assert np.array_equal(back.predict(matrix), trained.predict(matrix))
    assert np.array_equal([s.score(matrix) for s in back.steps], [s.score(matrix) for s in trained.steps])
    without_arrays = {"scores": (), "steps": (), "reference": None}
    assert dataclasses.replace(back, **without_arrays) == dataclasses.replace(trained, **without_arrays)
    assert not list(tmp_path.rglob("*.pkl"))
    assert {p.suffix for p in (tmp_path / "bundle").iterdir()} == {".txt", ".json", ".parquet"}


def test_an_altered_or_missing_file_is_refused(trained: bundles.Bundle, tmp_path: Path) -> None:
    folder = trained.save(tmp_path / "bundle")
    text = next(folder.glob("*.txt"))
    text.write_text(text.read_text().replace("learning_rate: ", "learning_rate: 1"))
    with pytest.raises(RegistryError, match="was altered"):
        bundles.load(folder)
    text.unlink()
    with pytest.raises(RegistryError, match="is missing"):
        bundles.load(folder)
    (folder / "bundle.json").write_text(json.dumps({"format": 99}))
    manifest.seal(folder)
    with pytest.raises(RegistryError, match="format 99"):
        bundles.load(folder)


def test_a_column_the_model_needs_is_named_when_it_lacks(trained: bundles.Bundle, data: Dataset) -> None:
    with pytest.raises(RegistryError, match="'gap'"):
        trained.encode(data.frame.drop(columns="gap"))


def test_percentiles_rise_with_the_prediction(trained: bundles.Bundle) -> None:
    scale = np.asarray(trained.quantiles)
    result = trained.percentile(np.array([scale[0] - 1, np.median(scale), scale[-1] + 1]))
    assert result.tolist()[0] == 0
    assert result.tolist()[2] == 100
    assert 45 <= result[1] <= 55


def test_a_search_that_was_cut_off_goes_on_where_it_stood(settings: Settings, workspace: Workspace) -> None:
    as_ofs = pd.date_range("2024-01-01", periods=4, freq="MS", tz="UTC")
    frame = pd.concat([rows(200, i, "churn").assign(as_of=m, customer_id="c") for i, m in enumerate(as_ofs)])
    data = Dataset("churn", frame, SCHEMA, "made up")
    folds = fold_data(data, plan_as_ofs(data.as_ofs, 30, 1, 1).folds, settings)
    short = settings.tuning.model_copy(update={"trials": 2})
    search("churn", folds, short, workspace, "mark")
    counted: list[int] = []
    longer = search(
        "churn",
        folds,
        settings.tuning.model_copy(update={"trials": 5}),
        workspace,
        "mark",
        lambda d, _: counted.append(d),
    )
    assert counted[0] == 2
    assert len(longer.study.trials) == 5
    again = search("churn", folds, settings.tuning.model_copy(update={"trials": 5}), workspace, "mark")
    assert (again.params, again.loss) == (longer.params, longer.loss)


def test_too_little_to_learn_from_says_the_minimum_and_what_was_found(data: Dataset, settings: Settings) -> None:
    require_enough(data, settings.minimum)
    for change, said in (
        ({"customers": 301}, "300 customers at the newest labelled moment, 301 are needed"),
        ({"as_ofs": 10}, "9 labelled moments, 10 are needed"),
        ({"labels_of_each_kind": 9999}, "9,999 are needed"),
    ):
        with pytest.raises(NotEnoughDataError, match=said):
            require_enough(data, settings.minimum.model_copy(update=change))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:mlflow", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_mlflow_answers_what_is_served(trained: bundles.Bundle, data: Dataset, workspace: Workspace) -> None:
    from training.registry import model_registry, runs

    with runs.open_run(workspace, "test", "run", datetime.now(UTC)) as run:
        number = run.register(trained, trained, {"gates": "passed"}, "Of a test.")
    import mlflow

    result = mlflow.pyfunc.load_model(f"models:/{trained.task}/{number}").predict(data.frame.head(20))
    served = trained.predict(trained.encode(data.frame.head(20)))
    assert result.iloc[:, 0].to_numpy() == pytest.approx(served, abs=0)
    assert not list(workspace.mlruns.rglob("*.pkl"))
    reread, judged = model_registry.bundles(workspace, trained.task, number)
    assert reread.features == judged.features == trained.features


def test_weights_of_the_rows_learned_from_hold_in_the_level_of_a_probability() -> None:
    """Contacted rows leave less and are weighted away: the level is that of who was left alone, .50 and not .35."""
    rng = np.random.default_rng(0)
    n = 40_000
    contacted = rng.random(n) < 0.5
    left = (rng.random(n) < np.where(contacted, 0.2, 0.5)).astype(float)
    weight, score = np.where(contacted, 1e-9, 1.0), rng.normal(size=(n, 1)) * 0.01
    later = ScoredRows(score, left, np.zeros(n, dtype=int))
    levels = []
    for weights in (weight, None):
        trained = ScoredRows(score, left, np.zeros(n, dtype=int), weights)
        levels.append(float(predict(CHURN, score, calibrate(CHURN, later, trained)).mean()))
    assert levels == [pytest.approx(0.5, abs=0.01), pytest.approx(0.35, abs=0.01)]
