"""Contacts that came between a forecast and its outcome: who taught the churn model what, and how much.

Who got a retention contact within the horizon and stayed need not have stayed without it. Learned from as they are
(``keep``), such customers teach the risk *as the company treats its customers*: the campaign that the forecast shall
steer makes them look safe. Two options teach the risk without a contact:

- ``drop`` leaves contacted rows out. The rows that are left stand for all customers only if contacts were given without
  regard to what moves the risk, or if the features tell all of it and the trees are free to follow it.
- ``weight`` leaves them out, too, and gives every row that was not contacted the weight ``1 / (1 - p)``, with ``p`` the
  probability of a contact given the features at the date (inverse probability weighting: Horvitz and Thompson 1952;
  Robins, Hernan and Brumback 2000). So the rows that were spared stand also for those like them that were not.

What weighting assumes: the features tell whatever moves both contact and risk (nothing unmeasured), contacts did not
answer what the customer did within the horizon, and everyone had some chance to be spared (overlap). The first two
cannot be seen from data. The third can: where ``p`` is near 1 nobody was spared, and the data says nothing of such
customers without a contact; they are counted.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Settings
from features.labels.inactivity import CONTACTED, contact_column
from training.data.dataset import Dataset, learn_encoder, weight_column
from training.data.split import AsOfs
from training.metrics import CLIP, quantile_bins
from training.model.bundle import Bundle

PARTS = 5
STRENGTH = 0.1
MAX_CATEGORIES = 20
MAX_FIT_ROWS = 100_000
MIN_OF_EACH = 50
NEVER_SPARED = 0.95
MIN_PROBABILITY = 1e-6


def with_treatment_weights(
    data: Dataset,
    as_ofs: AsOfs,
    settings: Settings,
    until: pd.Timestamp | None = None,
    *,
    few: bool = False,
) -> Dataset:
    """Weigh how much each row of some as-of dates counts in learning, by ``churn.treatment``.

    Parameters
    ----------
    data
        Labelled rows.
    as_ofs
        Those that may be learned from; the contacts of others are not looked at, and their rows weigh nothing.
    settings
        Of the business.
    until
        No contact past this moment may be seen; None: all that is on record.
    few
        Whether a prior learns from them, for which few leavers and stayers are enough.

    Returns
    -------
    Dataset
        With the column ``training_weight``, one more for each other horizon, and the facts, see `treatment_facts`.
        As it came, but for the facts, for a value model and under ``keep``; and wholly as it came if nobody was
        contacted.

    Raises
    ------
    ConfigError
        Contacts shall be left out, but the business has no table of them.
    NotEnoughDataError
        Too few leavers or stayers were not contacted.
    """
    if data.task != "churn":
        return data
    option, churn = settings.churn.treatment, settings.churn
    chosen = data.frame[data.by].isin(list(as_ofs)).to_numpy()
    rows = data.frame[chosen]
    contacted = contacts_of(rows)
    if np.isnan(contacted).any():
        _require_keep(option)
        return data
    if not any(np.nansum(contacts_of(rows, contact_column(days, churn))) for days in churn.all_horizons):
        return data
    if option == "keep":
        return replace(data, treatment=treatment_facts("keep", contacted))
    frame, facts = data.frame, {}
    encoder = learn_encoder(rows, data.schema)
    x = encoder(rows).x if option == "weight" else np.empty((len(rows), 0))
    for days in churn.all_horizons:
        contacted = contacts_of(rows, contact_column(days, churn))
        if until is not None:
            contacted = np.where(rows["as_of"] + pd.Timedelta(days=days) <= until, contacted, np.nan)
        p = propensity(x, encoder.category_places, rows, contacted) if option == "weight" else np.zeros(len(rows))
        weight, column = np.zeros(len(chosen)), weight_column(days, churn.horizon_days)
        weight[chosen] = weights(p, contacted, churn.max_weight_quantile)
        frame = frame.assign(**{column: weight})
        if days == churn.horizon_days:
            facts = treatment_facts(option, contacted, weight[chosen])
        if days == churn.horizon_days and option == "weight":
            facts |= overlap(p, contacted, weight[chosen], np.delete(x, encoder.category_places, axis=1))
    treated = replace(data, frame=frame, treatment=facts)
    if not few:
        _require_both(treated.training_rows(as_ofs), settings)
    return treated


def without_contacted(rows: pd.DataFrame, days: int, settings: Settings) -> pd.DataFrame:
    """The rows whose outcome within a horizon is what is asked: under ``keep`` all, else those without a contact in it.

    Parameters
    ----------
    rows
        Labelled rows of churn whose outcome within the horizon is known.
    days
        The horizon.
    settings
        Of the business.

    Raises
    ------
    ConfigError
        Contacts shall be left out, but the business has no table of them.
    """
    if settings.churn.treatment == "keep" or rows.empty:
        return rows
    contacted = contacts_of(rows, contact_column(days, settings.churn))
    if np.isnan(contacted).all():
        _require_keep(settings.churn.treatment)
    return rows[contacted == 0]


def contacts_of(rows: pd.DataFrame, name: str = CONTACTED) -> np.ndarray:
    """1 where a customer was contacted within the horizon, 0 where not, NaN where nobody knows, shape (n,)."""
    return rows[name].to_numpy(np.float64, na_value=np.nan) if name in rows else np.full(len(rows), np.nan)


def propensity(x: np.ndarray, categories: list[int], rows: pd.DataFrame, contacted: np.ndarray) -> np.ndarray:
    """Probability of a contact within the horizon given features and as-of date, each learned from others' contacts.

    Customers are dealt into five parts by a hash of their id; the probability of each is that of a ridge logistic
    regression on the customers of the other four, so that nobody's own contact fits it. The date stands for the
    calendar of campaigns.

    Parameters
    ----------
    x
        Encoded features, shape (n, features).
    categories
        Places of the columns that hold categories.
    rows
        ``customer_id, as_of`` of the rows.
    contacted
        1 contacted, 0 not, NaN unknown, shape (n,).

    Returns
    -------
    ndarray
        Shape (n,), within (0, 1). The share of all if fewer than 50 rows were contacted, or fewer than 50 were not.
    """
    known = ~np.isnan(contacted)
    if min(np.bincount(contacted[known].astype(int), minlength=2)) < MIN_OF_EACH:
        return np.full(len(x), contacted[known].mean() if known.any() else 0.0)
    table = np.column_stack([x, pd.factorize(rows["as_of"])[0]])
    part = pd.util.hash_array(rows["customer_id"].to_numpy(object), hash_key="propensity_parts") % PARTS
    out, rng = np.full(len(x), contacted[known].mean()), np.random.default_rng(0)
    for number in np.unique(part):
        others = np.flatnonzero(known & (part != number))
        if len(np.unique(contacted[others])) < 2:
            continue
        sampled = np.sort(rng.choice(others, MAX_FIT_ROWS, replace=False)) if len(others) > MAX_FIT_ROWS else others
        model = _regression(table.shape[1], [*categories, table.shape[1] - 1])
        own = part == number
        model.fit(table[sampled], contacted[sampled])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
            out[own] = model.predict_proba(table[own])[:, 1]
    return np.clip(out, MIN_PROBABILITY, 1 - MIN_PROBABILITY)


def _regression(width: int, categories: list[int]) -> Pipeline:
    """Ridge logistic regression on numbers at signed log scale and categories one-hot."""
    numbers = [i for i in range(width) if i not in categories]
    scaled = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        FunctionTransformer(_signed_log),
        StandardScaler(),
    )
    hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False)
    both = ColumnTransformer([("numbers", scaled, numbers), ("categories", hot, categories)])
    return make_pipeline(both, LogisticRegression(C=STRENGTH, solver="newton-cholesky"))


def _signed_log(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.log1p(np.abs(x))


def weights(p: np.ndarray, contacted: np.ndarray, quantile: float) -> np.ndarray:
    """How much each row teaches: 0 if contacted (or unknown), else its stabilised weight, cut down and of mean 1.

    Stabilised weights ``(1 - share contacted) / (1 - p)`` above their quantile are cut down to it: a little bias for
    much less noise (Cole and Hernan 2008).

    Parameters
    ----------
    p
        Probability of a contact, shape (n,).
    contacted
        1 contacted, 0 not, NaN unknown, shape (n,).
    quantile
        Where the weights are cut.

    Examples
    --------
    >>> weights(np.array([0.5, 0.5, 0.0]), np.array([1.0, 0.0, 0.0]), 1.0).round(3).tolist()
    [0.0, 1.333, 0.667]
    """
    spared = contacted == 0
    out = np.zeros(len(p))
    if spared.any():
        raw = 1 / (1 - p[spared])
        capped = np.minimum(raw, np.quantile(raw, quantile))
        out[spared] = capped / capped.mean()
    return out


def effective_sample_size(weight: np.ndarray) -> float:
    """Of how many rows of equal weight these are worth, about (Kish 1965): ``sum(w)**2 / sum(w**2)``.

    >>> effective_sample_size(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    squares = float(np.sum(weight**2))
    return float(np.sum(weight) ** 2 / squares) if squares else 0.0


def imbalance(x: np.ndarray, weight: np.ndarray) -> float:
    """The largest gap of a column's mean between weighted rows and all rows, in standard deviations of all.

    Under 0.1 is usually called balanced. Missing values are left out.

    Parameters
    ----------
    x
        Numbers, shape (n, columns).
    weight
        Shape (n,).
    """
    known = ~np.isnan(x)
    values = np.where(known, x, 0.0)
    sd = np.sqrt(np.maximum(_means(values**2, known, None) - _means(values, known, None) ** 2, 0))
    gap = np.abs(_means(values, known, weight) - _means(values, known, None))
    return float(np.nanmax(np.divide(gap, sd, out=np.zeros_like(gap), where=sd > 0), initial=0.0))


def _means(values: np.ndarray, known: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    weight = np.ones(len(values)) if weight is None else weight
    mass = weight @ known
    return np.divide(weight @ values, mass, out=np.zeros(values.shape[1]), where=mass > 0)


def treatment_facts(option: str, contacted: np.ndarray, weight: np.ndarray | None = None) -> dict[str, Any]:
    """What was done, in numbers: ``option``, ``rows``, ``contacted_share`` and ``rows_that_teach``."""
    return {
        "option": option,
        "rows": len(contacted),
        "contacted_share": float(np.mean(contacted == 1)),
        "rows_that_teach": len(contacted) if weight is None else int(np.sum(weight > 0)),
    }


def overlap(p: np.ndarray, contacted: np.ndarray, weight: np.ndarray, x: np.ndarray) -> dict[str, Any]:
    """What the weights cost, and whether those who were spared can stand for all.

    Parameters
    ----------
    p, contacted, weight
        Probability of a contact, whether there was one, and how much the row teaches; shape (n,).
    x
        The features that are numbers, shape (n, columns).

    Returns
    -------
    dict
        ``max_weight``; ``effective_sample_size``; ``never_spared``, rows with p above 0.95, of whom without a contact
        the data says next to nothing; and the `imbalance` of the spared to all rows, before and after weighting.
    """
    return {
        "max_weight": float(weight.max()),
        "effective_sample_size": effective_sample_size(weight),
        "never_spared": int(np.sum(p > NEVER_SPARED)),
        "imbalance_before": imbalance(x, (contacted == 0).astype(float)),
        "imbalance_after": imbalance(x, weight),
    }


def params(info: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What MLflow shows of it in a run's table of parameters."""
    facts = info.get("treatment", {})
    names = ("contacted_share", "effective_sample_size")
    return {"treatment": settings.churn.treatment, **{name: facts[name] for name in names if name in facts}}


def report(judged: dict[str, Any], final: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What a run keeps of it: the option, and the facts of both models; none where nobody was known to be contacted."""
    option = {"option": settings.churn.treatment, "max_weight_quantile": settings.churn.max_weight_quantile}
    return {**option, "judged": judged.get("treatment"), "final": final.get("treatment")}


def untreated_weights(bundle: Bundle, rows: pd.DataFrame, settings: Settings) -> np.ndarray | None:
    """Weights under which the hold-out rows that were not contacted stand for all of them, shape (n,).

    None if nobody was contacted, or nobody knows.
    """
    contacted = contacts_of(rows)
    if np.isnan(contacted).any() or not contacted.any() or contacted.all():
        return None
    places = [i for i, name in enumerate(bundle.features) if name in bundle.categories]
    p = propensity(bundle.encode(rows), places, rows, contacted)
    return weights(p, contacted, settings.churn.max_weight_quantile)


def weighted_metrics(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """AUC, log loss, calibration error and means of churn probabilities over weighted rows.

    Parameters
    ----------
    y
        1 left, 0 stayed, shape (n,).
    p
        Probabilities of leaving, shape (n,).
    weight
        Not negative, shape (n,); rows of weight 0 do not count.

    Returns
    -------
    dict
        ``n`` (rows that count), ``churn_rate``, ``mean_predicted``, ``auc`` (NaN with one class only), ``log_loss``,
        ``expected_calibration_error``: as in `training.metrics`, with each row counted by its weight.
    """
    counted = weight > 0
    y, p, weight = y[counted], p[counted], weight[counted]
    means = {"churn_rate": y, "mean_predicted": p}
    averages = {name: float(np.average(values, weights=weight)) if len(y) else np.nan for name, values in means.items()}
    return {"n": float(len(y)), **averages, **{name: metric(y, p, weight) for name, metric in WEIGHTED.items()}}


def weighted_auc(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
    """As `training.metrics.auc`, with each row counted by its weight."""
    return float(roc_auc_score(y, p, sample_weight=weight)) if len(np.unique(y[weight > 0])) == 2 else np.nan


def weighted_log_loss(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
    """As `training.metrics.log_loss`, with each row counted by its weight."""
    if not weight.any():
        return np.nan
    return float(log_loss(y, np.clip(p, CLIP, 1 - CLIP), sample_weight=weight, labels=[0, 1]))


def weighted_calibration_error(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
    """As `training.metrics.expected_calibration_error`, with each row counted by its weight."""
    if not weight.any():
        return np.nan
    gaps = np.bincount(quantile_bins(p), weights=weight * (p - y))
    return float(np.abs(gaps).sum() / weight.sum())


WEIGHTED = {
    "auc": weighted_auc,
    "log_loss": weighted_log_loss,
    "expected_calibration_error": weighted_calibration_error,
}


def _require_keep(option: str) -> None:
    if option != "keep":
        raise ConfigError(
            f"churn.treatment is '{option}', but nobody knows who was contacted: it needs the table contacts "
            "(contact_id, customer_id, contacted_at, campaign). Map it and build the features again, or set "
            "churn.treatment to keep"
        )


def _require_both(rows: pd.DataFrame, settings: Settings) -> None:
    left, least = int(rows["label"].sum()), settings.minimum.labels_of_each_kind
    if min(left, len(rows) - left) < least:
        raise NotEnoughDataError(
            f"churn: of the rows without a retention contact within the horizon, {left} left and {len(rows) - left} "
            f"stayed, at least {least} of each are needed to learn from: set churn.treatment to keep, or narrow what "
            "counts as a retention contact under churn.contacts"
        )
