"""How often the gates are wrong, on rows whose truth is known: a perfect model refused, a worse one let through.

    python bench/gates.py --draws 1000

A churn model knows the true probabilities, and its rule of thumb blurs them; or the rule knows them, and the model's
expected log loss is 2 % above it: blurred, too high throughout, or too bold. A value model knows the true mean of a
value that is nothing or lognormal, beside a blurred rule; or the rule knows it, and the model's absolute error is about
2 % above it. What a share refused or let through is off by chance: at 1,000 draws by .3 points at 1 %, .7 at 5 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import lognorm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from configs.settings import Settings, load
from training import metrics
from training.judge import gates, verdict
from training.judge.examination import Examination

RATES, SIZES, SIGMAS = (0.05, 0.2, 0.5), (100, 400, 1000, 2500, 5000), (0.6, 1.2)
KINDS = ("blurred", "too high", "too bold")
WORSE, SPREAD, BLUR = 1.02, 1.2, 0.4
BLUR_OF_TWO_PER_CENT = {0.6: 0.18, 1.2: 0.225}  # of values, by sigma: absolute error is that much larger
OUTCOMES_A_CUSTOMER_SET = (
    25  # draws of outcomes for each draw of customers: what chance makes is computed once for them
)


def decide(task: str, rows: pd.DataFrame, chance: tuple[float, float], settings: Settings) -> gates.Decision:
    """The gates' decision on rows of ``customer_id, label, forecast, baseline`` and, for values, ``low, high``."""
    names = {"churn": ("auc", "log_loss", "expected_calibration_error"), "clv": ("normalised_gini", "mae")}[task]
    figures = {
        column: {name: getattr(metrics, name)(rows["label"], rows[column]) for name in names}
        for column in ("forecast", "baseline")
    }
    whole = figures["forecast"] | {"n": float(len(rows))}
    rule = "recency rule" if task == "churn" else "past rate"
    examination = Examination(rows, whole, figures["baseline"], {}, pd.DataFrame(), rule)
    with patch.object(verdict, "calibration_error_by_chance", lambda *arguments, **options: chance):
        return verdict.judge_examined(task, examination, [], settings)


def churn_rows(rng: np.random.Generator, n: int, rate: float, kind: str) -> Iterator[pd.DataFrame]:
    """Draws of outcomes; `kind` is ``perfect``, or how the model is worse than a rule that is perfect."""
    level = _level_of(rate)
    z, noise = level + SPREAD * rng.normal(size=n), rng.normal(size=n)
    p = expit(z)
    if kind == "perfect":
        forecast, baseline = p, expit(z + BLUR * noise)
    else:
        direction = {"blurred": noise, "too high": np.ones(n), "too bold": z - level}[kind]
        scales = np.geomspace(0.02, 1.5, 400)
        losses = [_expected_loss(p, expit(z + by * direction)) / _expected_loss(p, p) for by in scales]
        forecast, baseline = expit(z + scales[int(np.argmax(np.asarray(losses) >= WORSE))] * direction), p
    for _ in range(OUTCOMES_A_CUSTOMER_SET):
        label = (rng.random(n) < p).astype(float)
        yield pd.DataFrame({"customer_id": np.arange(n), "label": label, "forecast": forecast, "baseline": baseline})


def value_rows(rng: np.random.Generator, n: int, sigma: float, kind: str) -> Iterator[pd.DataFrame]:
    """One draw of values; `kind` is ``perfect``, or ``blurred``: the model is worse than a rule that is perfect."""
    bought, scale = rng.uniform(0.3, 0.95, n), rng.lognormal(3, 0.6, n)
    fates = rng.lognormal(-(sigma**2) / 2, sigma, n)
    label, true = np.where(rng.random(n) < bought, scale * fates, 0.0), bought * scale
    of_buyers = np.clip((0.9 - 1 + bought) / bought, 0, 1)
    high = np.where(bought < 0.1, 0.0, scale * lognorm.ppf(of_buyers, sigma, scale=np.exp(-(sigma**2) / 2)))
    noise = rng.normal(size=n)
    blurred = true * np.exp((BLUR if kind == "perfect" else BLUR_OF_TWO_PER_CENT[sigma]) * noise)
    forecast, baseline = (true, blurred) if kind == "perfect" else (blurred, true)
    rank = pd.Series(forecast).rank(pct=True, ascending=False)
    tier = pd.cut(rank, [0, 0.05, 0.2, 0.5, 1], labels=["diamond", "gold", "silver", "bronze"]).astype(object)
    names = {"label": label, "forecast": forecast, "low": 0.0, "high": high, "tier": tier, "baseline": baseline}
    yield pd.DataFrame({"customer_id": np.arange(n), **names})


def measure(task: str, n: int, case: float, kind: str, draws: int, settings: Settings) -> SimpleNamespace:
    """Shares of draws: ``refused``; ``leans``: not refused, but of a loss above the rule's; ``in_doubt``.

    Who is in doubt, the gates say; ``ratio`` is the mean of the losses over the rule's.
    """
    rng, ratios = np.random.default_rng([n, int(100 * case), len(kind)]), []
    refused, leans, in_doubt = 0, 0, 0
    chance, done = (0.0, 0.0), 0
    loss = "log_loss" if task == "churn" else "mae"
    while done < draws:
        for number, rows in enumerate((churn_rows if task == "churn" else value_rows)(rng, n, case, kind)):
            if task == "churn" and number == 0:
                chance = metrics.calibration_error_by_chance(rows["forecast"], rows["customer_id"], draws=1000)
            decision = decide(task, rows, chance, settings)
            against_rule = [c for c in decision.checks if c.name == f"beats_baseline_{loss}"]
            failed = not decision.promote
            refused += failed
            leans += not failed and any(c.verdict == "cannot tell" and c.value > c.limit for c in against_rule)
            in_doubt += gates.is_in_doubt(decision)
            ratios += [c.value / c.limit for c in against_rule]
            done += 1
    return SimpleNamespace(
        refused=refused / done, leans=leans / done, in_doubt=in_doubt / done, ratio=float(np.mean(ratios))
    )


def _level_of(rate: float) -> float:
    """The mean of log-odds of spread `SPREAD` whose mean probability is a rate."""
    z = SPREAD * np.random.default_rng(0).normal(size=100_000)
    low, high = -12.0, 12.0
    for _ in range(50):
        low, high = ((low + high) / 2, high) if expit((low + high) / 2 + z).mean() < rate else (low, (low + high) / 2)
    return (low + high) / 2


def _expected_loss(p: np.ndarray, forecast: np.ndarray) -> float:
    return float(-(p * np.log(forecast) + (1 - p) * np.log1p(-forecast)).mean())


def tables(draws: int, settings: Settings) -> str:
    """Both tables of docs/gates.md, and how often a perfect model is in doubt at the fewest rows."""
    lines = ["| a perfect model is refused | " + " | ".join(f"{n:,} rows" for n in SIZES) + " |"]
    lines += ["| --- |" + " --- |" * len(SIZES)]
    doubts = []
    cases = [("churn", rate, f"churn, {rate:.0%} leave") for rate in RATES]
    cases += [("clv", sigma, f"value, lognormal of {sigma}") for sigma in SIGMAS]
    for task, case, name in cases:
        found = [measure(task, n, case, "perfect", draws, settings) for n in SIZES]
        lines.append(f"| {name} | " + " | ".join(f"{100 * f.refused:.1f} %" for f in found) + " |")
        doubts.append(f"{name} {100 * found[0].in_doubt:.1f} %")
    lines += [
        "",
        f"a perfect model is in doubt at {SIZES[0]} rows: {', '.join(doubts)}",
        "",
        "| 2 % worse than a perfect rule, 5,000 rows | refused | let through | let through with a worse figure |",
    ]
    lines += ["| --- | --- | --- | --- |"]
    worse = [(t, c, k, f"{name}, {k}") for t, c, name in cases for k in (KINDS if t == "churn" else KINDS[:1])]
    for task, case, kind, name in worse:
        f = measure(task, 5000, case, kind, draws, settings)
        lines.append(f"| {name} | {100 * f.refused:.1f} % | {100 * (1 - f.refused):.1f} % | {100 * f.leans:.1f} % |")
        print(name, f, file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="of each case")
    print(tables(parser.parse_args().draws, load("completejourney")))


if __name__ == "__main__":
    main()
