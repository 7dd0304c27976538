"""Counts and sums over the answers of all customers, table by table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.settings import Settings
from serving.answer.champion import Champions
from training.model.profit_range import COVERAGE, CampaignTotal, ValueRange

COUNTED = ("band", "tier", "stage", "action")
CAMPAIGN_ROWS = 2000  # drawn at a time: bounds the memory, and the same customers give the same range
READ = ("as_of", "expected", "low", "high", "probability", "expected_profit", "contact", *COUNTED)


class Summary:
    """What is told of all answers together.

    Parameters
    ----------
    champions, settings
        Those of the answers.
    """

    def __init__(self, champions: Champions, settings: Settings) -> None:
        planned = settings.decisions.campaign.planned and champions.churn is not None
        total = CampaignTotal(_level_sd(champions), settings.decisions.campaign, settings.tuning.seed)
        interval = champions.clv.bundle.interval if champions.clv else None
        self.customers = 0
        self._total = total if planned else None
        self._coverage = interval.coverage if interval else None
        self._waiting: list[pa.Table] = []
        self._contacts, self._profit, self._lowest = 0, 0.0, np.inf
        self._expected: float | None = None
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}

    def add(self, rows: pa.Table) -> None:
        """Add answers, with the columns `READ` of `serving.bulk.batch.SCHEMA`."""
        self.customers += len(rows)
        expected = pc.sum(rows["expected"]).as_py()
        if expected is not None:
            self._expected = (self._expected or 0.0) + expected
        for name, counter in self._counts.items():
            found = rows[name].drop_null().value_counts().to_pylist()
            counter.update({each["values"]: each["counts"] for each in found})
        self._add_contacts(rows.filter(rows["contact"]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        counts = {f"{name}s": dict(counter.most_common()) for name, counter in self._counts.items()}
        totals = {"customers": self.customers, "expected_total": self._expected}
        return {**totals, **counts, "campaign": self._campaign(self._total) if self._total else None}

    def _add_contacts(self, rows: pa.Table) -> None:
        if not self._total or not len(rows):
            return
        self._contacts += len(rows)
        self._profit += pc.sum(rows["expected_profit"]).as_py()
        self._lowest = min(self._lowest, pc.min(rows["probability"]).as_py())
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= CAMPAIGN_ROWS:
            self._draw(self._total)

    def _draw(self, total: CampaignTotal) -> None:
        """Draw what the waiting contacts bring, a fixed number at a time, whatever the sizes of the tables were."""
        rows = pa.concat_tables(self._waiting)
        self._waiting = []
        for start in range(0, len(rows), CAMPAIGN_ROWS):
            some = rows.slice(start, CAMPAIGN_ROWS)
            p, value, low, high = (
                some[name].to_numpy(zero_copy_only=False) for name in ("probability", "expected", "low", "high")
            )
            values = None if self._coverage is None else ValueRange(low, high, self._coverage)
            total.add(p, np.nan_to_num(value), values)

    def _campaign(self, total: CampaignTotal) -> dict[str, Any]:
        if self._waiting:
            self._draw(total)
        low, high = total.range()
        return {
            "contacts": self._contacts,
            "expected_profit": self._profit,
            "low": low,
            "high": high,
            "coverage": COVERAGE,
            "lowest_probability": self._lowest if self._contacts else None,
        }


def _level_sd(champions: Champions) -> float:
    """How far the level of the probability missed; where a canary answers some, the larger of both."""
    beside = champions.releases.get("churn")
    answers = beside is not None and beside.release.kind == "canary"
    return max(champions.level_sd, beside.model.bundle.level_sd if beside and answers else 0.0)
