"""Both arms of a release side by side: how many answers, how long, which scores, what came true. Pure.

Scores are compared by customer, each by its newest answer, as one customer asked for a hundred times is one customer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from serving.answer.arms import CHAMPION
from serving.answer.champion import NUMBERS
from serving.release.observations import quantile_ms
from training.model.proof.releases import Release

BINS = 10
FEWEST = 100  # customers of each arm, to tell whether their scores differ
QUANTILES = (0.1, 0.5, 0.9)
Z = float(stats.norm.ppf(0.975))
TOO_FEW = "too few answers to tell: {} of {} customers in the arm with fewer"
SAME = "no difference shown: PSI {:.3f}, and chance alone gives up to {:.3f}; mean {:+.4g} ({:+.4g} to {:+.4g})"
DIFFERS = "the scores differ: PSI {:.3f}, where chance alone gives up to {:.3f}; mean {:+.4g} ({:+.4g} to {:+.4g})"
PAIRED = (
    "of the same customers the shadow says {:+.4g} on average ({:+.4g} to {:+.4g}), {:.4g} off either way; PSI {:.3f}"
)
NOT_YET = "not known yet"
KNOWN = "of {:,} customers it is known: {:,} left ({:.1%}), {:.1%} were expected to"


def compare(
    release: Release,
    answers: pd.DataFrame,
    counts: Mapping[str, Mapping[str, int]],
    shadow: pd.DataFrame,
    outcomes: pd.DataFrame,
) -> dict[str, Any]:
    """What both arms of a release showed, as JSON can hold it.

    Parameters
    ----------
    release
        Which one.
    answers
        On record while it ran, oldest first: ``prediction_id, customer_id, scored_at, probability, expected,
        churn_model, clv_model``.
    counts
        By arm, as `serving.release.observations.Observations.counts` gives them.
    shadow
        ``prediction_id, champion, shadow``; empty of a canary.
    outcomes
        What was told of customers: ``customer_id, outcome`` (``left`` or ``kept``), ``happened_at``, UTC.

    Returns
    -------
    dict
        ``arms``: by name what each showed; ``psi``, ``psi_by_chance`` and ``difference`` (of the means of the scores,
        with its 95 % range) of the second arm against the champion, None where they cannot be told; ``verdict``, a
        sentence.
    """
    scored = _of_arms(release, answers, shadow)
    newest = {arm: frame.drop_duplicates("customer_id", keep="last") for arm, frame in scored.items()}
    edges = _edges(newest[CHAMPION]["score"].to_numpy())
    arms = {
        arm: {
            "model": release.label if arm == release.kind else f"{release.model}/{release.champion}",
            "answers": len(frame),
            "customers": len(newest[arm]),
            **_counted(counts.get(arm, {})),
            "scores": _scores(newest[arm]["score"].to_numpy(), edges),
            "outcomes": _outcomes(frame, outcomes, release.model),
        }
        for arm, frame in scored.items()
    }
    return {"arms": arms, **_compared(release, newest[CHAMPION], newest[release.kind], edges)}


def psi(one: np.ndarray, other: np.ndarray, edges: np.ndarray) -> float:
    """The population stability index of two samples over bins; half a count is added to each, so that none is empty.

    >>> round(psi(np.array([1.0, 1, 1, 3]), np.array([1.0, 3, 3, 3]), np.array([2.0])), 3)
    0.678
    """
    p, q = (_counts(values, edges) + 0.5 for values in (one, other))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def psi_by_chance(one: int, other: int, bins: int) -> float:
    """What the index of two samples of one distribution exceeds one time in twenty.

    It is (1/n + 1/m) times a chi-square of one degree of freedom less than bins (Yurdakul, 2018).
    """
    return float(stats.chi2.ppf(0.95, max(bins - 1, 1)) * (1 / one + 1 / other))


def _of_arms(release: Release, answers: pd.DataFrame, shadow: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By arm, the answers with their ``score``, oldest first."""
    known = answers.assign(score=answers[NUMBERS[release.model]]).dropna(subset="score")
    model = known[f"{release.model}_model"]
    own = known[model == f"{release.model}/{release.champion}"]
    if release.kind == "canary":
        return {CHAMPION: own, release.kind: known[model == release.label]}
    said = own.assign(shadow=own["prediction_id"].map(shadow.set_index("prediction_id")["shadow"])).dropna(
        subset="shadow"
    )
    return {CHAMPION: own, release.kind: said.assign(champion=said["score"], score=said["shadow"])}


def _edges(values: np.ndarray) -> np.ndarray:
    """Bounds between bins that hold equally many of these values; fewer where values are the same."""
    return np.unique(np.quantile(values, np.arange(1, BINS) / BINS)) if len(values) else np.array([])


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).astype(float)


def _counted(counts: Mapping[str, int]) -> dict[str, Any]:
    calls = counts.get("calls", 0)
    times = {f"p{round(100 * share)}": quantile_ms(counts, share) for share in (0.5, 0.95, 0.99)}
    latency = {"calls": calls, "customers_per_call": counts.get("customers", 0) / calls, **times} if calls else None
    return {"errors": counts.get("errors", 0), "dropped": counts.get("dropped", 0), "latency_ms": latency}


def _scores(values: np.ndarray, edges: np.ndarray) -> dict[str, Any] | None:
    if not len(values):
        return None
    at = np.quantile(values, QUANTILES).tolist()
    shares = (_counts(values, edges) / len(values)).tolist()
    quantiles = {f"p{round(100 * share)}": value for share, value in zip(QUANTILES, at, strict=True)}
    return {"mean": float(values.mean()), **quantiles, "bounds": edges.tolist(), "shares": shares}


def _compared(release: Release, one: pd.DataFrame, other: pd.DataFrame, edges: np.ndarray) -> dict[str, Any]:
    """How the scores of the second arm differ from those of the champion, and a sentence on it."""
    fewer = min(len(one), len(other))
    if fewer < FEWEST:
        verdict = TOO_FEW.format(fewer, FEWEST)
        return {"psi": None, "psi_by_chance": None, "difference": None, "verdict": verdict}
    if release.kind == "shadow":
        differences = (other["score"] - other["champion"]).to_numpy()
        index, by_chance = psi(other["champion"].to_numpy(), other["score"].to_numpy(), edges), None
        mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))
        off = float(np.abs(differences).mean())
        verdict = PAIRED.format(mean, mean - Z * error, mean + Z * error, off, index)
    else:
        a, b = one["score"].to_numpy(), other["score"].to_numpy()
        index, by_chance = psi(a, b, edges), psi_by_chance(len(a), len(b), len(edges) + 1)
        mean, error = float(b.mean() - a.mean()), math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        text = DIFFERS if index > by_chance or abs(mean) > Z * error else SAME
        verdict = text.format(index, by_chance, mean, mean - Z * error, mean + Z * error)
    difference = {"mean": mean, "low": mean - Z * error, "high": mean + Z * error}
    return {"psi": index, "psi_by_chance": by_chance, "difference": difference, "verdict": verdict}


def _outcomes(answers: pd.DataFrame, outcomes: pd.DataFrame, task: str) -> dict[str, Any]:
    """What is known of customers since their first answer in this arm: the newest that was told of each."""
    first = answers.drop_duplicates("customer_id").set_index("customer_id")[["scored_at", "probability"]]
    known = outcomes[outcomes["customer_id"].isin(first.index)].drop_duplicates("customer_id", keep="last")
    found = known.join(first, on="customer_id") if len(known) else known
    found = found[found["happened_at"] >= found["scored_at"]] if len(found) else found
    if found.empty:
        return {"known": 0, "left": 0, "expected": None, "text": NOT_YET}
    left = int((found["outcome"] == "left").sum())
    expected = float(found["probability"].mean())
    if task == "clv" or math.isnan(expected):
        return {"known": len(found), "left": left, "expected": None, "text": f"{left:,} of {len(found):,} left"}
    return {
        "known": len(found),
        "left": left,
        "expected": expected,
        "text": KNOWN.format(len(found), left, left / len(found), expected),
    }
