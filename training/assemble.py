"""From folds and what the search found to whole models: fitted, calibrated, bounded, with their reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from configs.settings import Settings
from training.bundle import Bundle, Score
from training.dataset import Dataset, Encoder, learn_encoder
from training.horizons import learn_steps
from training.intervals import fit_interval
from training.models import Fitted, Scored, calibrate, fit, predict
from training.split import Fold, Moments
from training.tune import FoldData, Found, blocks_of

QUANTILES = 101
MAX_REFERENCE_ROWS = 20_000


def fold_data(data: Dataset, folds: Sequence[Fold]) -> list[FoldData]:
    """Encode the rows of each fold with what its training rows teach."""
    out = []
    for fold in folds:
        rows = data.at(fold.train)
        encoder = learn_encoder(rows, data.schema)
        valid = data.at([fold.valid])
        out.append(FoldData(encoder(rows), encoder(valid), encoder, blocks_of(valid["customer_id"].tolist())))
    return out


def out_of_time(folds: Sequence[FoldData], found: Found, seed: int) -> Scored:
    """Score the later rows of every fold with a model of its earlier ones."""
    parts = []
    for fold in folds:
        fitted = fit(found.form, fold.train, fold.encoder, found.params, seed=seed, trees=found.trees)
        parts.append(Scored(fitted.raw(fold.valid.x), fold.valid.y, np.zeros(len(fold.valid.y), dtype=int)))
    return sum(parts[1:], parts[0])


def learn(data: Dataset, moments: Moments, found: Found, seed: int) -> tuple[Fitted, Encoder]:
    """Fit what the search found on all rows of some moments."""
    rows = data.at(moments)
    encoder = learn_encoder(rows, data.schema)
    return fit(found.form, encoder(rows), encoder, found.params, seed=seed, trees=found.trees), encoder


def score_rows(fitted: Fitted, encoder: Encoder, rows: pd.DataFrame) -> Scored:
    """Raw scores of labelled rows; every moment is a fold of its own."""
    matrix = encoder(rows)
    return Scored(fitted.raw(matrix.x), matrix.y, pd.factorize(rows["as_of"])[0])


def assemble(
    fitted: Fitted,
    encoder: Encoder,
    later: Scored,
    data: Dataset,
    trained: Moments,
    until: pd.Timestamp | None,
    population: pd.DataFrame,
    settings: Settings,
) -> Bundle:
    """Make a whole model.

    Parameters
    ----------
    fitted, encoder
        The boosters, and what the columns of their matrix are.
    later
        Out-of-time scores on which calibration and interval are learned.
    data
        The labelled rows.
    trained
        The moments (or groups of customers) the boosters learned from; the newest gives the reference rows for drift.
    until
        No outcome past this moment may be seen; None: all that is labelled.
    population
        Feature rows of the customers whose predictions make the scale of percentiles and tiers.
    settings
        Of the business.
    """
    affine = calibrate(fitted.form, later, score_rows(fitted, encoder, data.at(trained)))
    expected = predict(fitted.form, later.raw, affine)
    interval = fit_interval(expected, later.y, settings.clv.coverage) if data.task == "clv" else None
    parts = zip(fitted.form.parts, fitted.boosters, affine, fitted.priors, strict=True)
    scores = tuple(Score(part.name, booster, own, prior) for part, booster, own, prior in parts)
    steps, left_out = learn_steps(data, trained, until, encoder, fitted, settings)
    bundle = Bundle(
        task=data.task,
        link=fitted.form.link,
        scores=scores,
        features=encoder.features,
        categories=encoder.categories,
        schema_hash=data.schema.hash,
        horizon_days=getattr(settings, data.task).horizon_days,
        trained_through=data.newest(trained)["as_of"].iloc[0].isoformat(),
        interval=interval,
        quantiles=(),
        reference=pd.DataFrame(),
        info=_info(fitted, data, settings) | ({"horizons_left_out": left_out} if left_out else {}),
        event="order" if settings.churn.kind == "inactivity" else "end",
        steps=steps,
    )
    return _with_reference(bundle, data.newest(trained), population, settings.tuning.seed)


def _with_reference(bundle: Bundle, rows: pd.DataFrame, population: pd.DataFrame, seed: int) -> Bundle:
    sample = rows.sample(min(len(rows), MAX_REFERENCE_ROWS), random_state=seed).sort_index()
    reference = sample[list(bundle.features)].reset_index(drop=True)
    reference = reference.assign(prediction=bundle.predict(bundle.encode(sample)))
    scale = np.quantile(bundle.predict(bundle.encode(population)), np.linspace(0, 1, QUANTILES))
    return Bundle(**{**vars(bundle), "quantiles": tuple(float(q) for q in scale), "reference": reference})


def _info(fitted: Fitted, data: Dataset, settings: Settings) -> dict[str, Any]:
    return {
        "business": settings.name,
        "form": fitted.form.name,
        "trees": fitted.trees,
        "data_fingerprint": data.fingerprint,
        "rows": len(data.frame),
        "outcome_days": settings.outcome_days(data.task),
        "holdout": holdout_rule(settings) if data.by == "part" else None,
    }


def holdout_rule(settings: Settings) -> str:
    """What decides who is held out where the data has no dates: models of one rule never saw its hold-out."""
    return f"share {settings.churn.holdout_share:g}, seed {settings.tuning.seed}"


def forecast(bundle: Bundle, rows: pd.DataFrame) -> pd.DataFrame:
    """Forecasts of labelled rows. ``customer_id, as_of, label, forecast`` and, for values, ``low, high``."""
    out = rows[["customer_id", "as_of", "label"]].assign(forecast=bundle.predict(bundle.encode(rows)))
    if bundle.interval is None:
        return out
    low, high = bundle.bounds(out["forecast"].to_numpy())
    return out.assign(low=low, high=high)
