"""Answers for all customers at once: a parquet for tables, JSON lines for machines, the same answers as over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import DataError
from configs.files import replacing
from configs.loads import Pointer
from configs.settings import Settings
from configs.workspace import SCORE_LINES, SCORE_TABLE, Workspace
from features.people.identity import load_alias_map
from features.quality import quality_verdict
from serving.answer.campaign import value_range
from serving.answer.champion import Champions
from serving.answer.score import iso, score
from serving.records.prediction_log import to_record
from training.model.profit_range import COVERAGE, CampaignTotal

CHUNK_ROWS = 2000
_TIMESTAMP = pa.timestamp("us", tz="UTC")
_AMOUNTS = pa.struct(
    [("expected", pa.float64()), ("low", pa.float64()), ("high", pa.float64()), ("basis", pa.string())]
)
_REASON = pa.struct(
    [
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("category", pa.string()),
        ("effect", pa.float64()),
        ("direction", pa.string()),
        ("text", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("customer_id", pa.string()),
        ("aliases", pa.list_(pa.string())),
        ("as_of", _TIMESTAMP),
        ("scored_at", _TIMESTAMP),
        ("probability", pa.float64()),
        ("churn_percentile", pa.int64()),
        ("churn_by_horizon", pa.map_(pa.string(), pa.float64())),
        ("event_expected_at", _TIMESTAMP),
        ("band", pa.string()),
        ("expected", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("q10", pa.float64()),
        ("q50", pa.float64()),
        ("q90", pa.float64()),
        ("clv_by_horizon", pa.map_(pa.string(), _AMOUNTS)),
        ("clv_percentile", pa.int64()),
        ("tier", pa.string()),
        ("stage", pa.string()),
        ("action", pa.string()),
        ("reactivation", pa.float64()),
        ("expected_profit", pa.float64()),
        ("profit_low", pa.float64()),
        ("profit_high", pa.float64()),
        ("contact", pa.bool_()),
        ("reasons", pa.list_(_REASON)),
        ("clv_reasons", pa.list_(_REASON)),
        ("churn_model", pa.string()),
        ("clv_model", pa.string()),
        ("basis", pa.string()),
    ]
)


def score_all(
    frame: pd.DataFrame,
    champions: Champions,
    settings: Settings,
    workspace: Workspace,
    now: datetime,
    on_progress: Callable[[int, int], None] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> dict[str, Any]:
    """Answer for every row of a feature frame and write the answers into a folder of ``scores/``, see `folder_name`.

    A person has one row; the parquet file names all their aliases beside it.

    Parameters
    ----------
    frame
        Feature rows of one ``as_of``, one row a customer.
    champions, settings, now
        As for `serving.answer.score.score`.
    workspace
        Where the folder is written; one of the same moment and load is replaced, whole or not at all.
    on_progress
        Called with (customers done, customers in all) after every chunk.
    chunk_rows
        Rows scored at a time: bounds the memory.

    Returns
    -------
    dict
        What was written, as JSON can hold it: the folder, counts of customers by band, tier, stage and action,
        the sum of expected values (None without a value model), and of the campaign how many customers to contact, what
        that is expected to bring, with the range of what comes, and the lowest probability among them (None if no
        campaign is planned, or nothing tells who leaves); ``unserved``, why a model does not serve, by its name.

    Raises
    ------
    DataError
        The frame is empty, or holds more than one ``as_of``.
    QualityError
        The newest load is not good enough, and nobody accepted it.
    """
    quality_verdict.require(workspace)
    as_of = _single_as_of(frame)
    folder = workspace.scores / folder_name(as_of, workspace.loads.pointer())
    total = CampaignTotal(champions.level_sd, settings.decisions.campaign, settings.tuning.seed)
    summary = _Summary(total if settings.decisions.campaign.planned and champions.churn else None)
    chunks = (frame.iloc[start : start + chunk_rows] for start in range(0, len(frame), chunk_rows))
    with replacing(folder) as part:
        aliases = load_alias_map(workspace.tables).aliases()
        scored = (score(chunk, champions, settings, now, settings.serving.top_reasons) for chunk in chunks)
        for answers in _write(part, aliases, scored):
            summary.add(answers)
            if on_progress:
                on_progress(summary.customers, len(frame))
    return {
        "folder": str(folder),
        "as_of": iso(as_of),
        "scored_at": iso(now),
        "model": champions.labels,
        "unserved": dict(champions.unserved),
        **summary.to_dict(),
    }


def folder_name(as_of: datetime, loads: Pointer | None) -> str:
    """Name of a folder of answers: their moment and the current load, so that no other load replaces them.

    Names sort as the moments do, and those of one moment as the loads.

    >>> folder_name(datetime(2024, 3, 1, 17, 4, 6), Pointer("000012", "000012"))
    '2024-03-01T170406Z-000012'
    >>> folder_name(datetime(2024, 3, 1), None)
    '2024-03-01T000000Z'
    """
    load = f"-{loads.current}" if loads and loads.current else ""
    return f"{as_of:%Y-%m-%dT%H%M%SZ}{load}"


class _Summary:
    """Counts and sums of answers, added chunk by chunk."""

    def __init__(self, total: CampaignTotal | None) -> None:
        self.customers = 0
        self._total = total
        self._contacts: list[tuple[float, float]] = []
        self._expected: float | None = None
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in ("band", "tier", "stage", "action")}

    def add(self, answers: list[dict[str, Any]]) -> None:
        self.customers += len(answers)
        rows = [to_record(a) for a in answers]
        values = [r["expected"] for r in rows if r["expected"] is not None]
        if values:
            self._expected = (self._expected or 0.0) + sum(values)
        contacts = [a for a in answers if a["campaign"] and a["campaign"]["contact"]]
        self._contacts += [(a["campaign"]["expected_profit"], a["churn"]["probability"]) for a in contacts]
        if self._total and contacts:
            clv = [a["clv"] for a in contacts if a["clv"]]
            expected = [part["expected"] for part in clv] or np.zeros(len(contacts))
            self._total.add([a["churn"]["probability"] for a in contacts], expected, value_range(clv))
        for name, counter in self._counts.items():
            counter.update(r[name] for r in rows if r[name] is not None)

    def to_dict(self) -> dict[str, Any]:
        counts = {f"{name}s": dict(counter.most_common()) for name, counter in self._counts.items()}
        totals = {"customers": self.customers, "expected_total": self._expected}
        return {**totals, **counts, "campaign": self._campaign(self._total) if self._total else None}

    def _campaign(self, total: CampaignTotal) -> dict[str, Any]:
        low, high = total.range()
        return {
            "contacts": len(self._contacts),
            "expected_profit": sum(profit for profit, _ in self._contacts),
            "low": low,
            "high": high,
            "coverage": COVERAGE,
            "lowest_probability": min((probability for _, probability in self._contacts), default=None),
        }


def _single_as_of(frame: pd.DataFrame) -> datetime:
    as_ofs = frame["as_of"].unique()
    if len(as_ofs) != 1 or pd.isna(as_ofs[0]):
        raise DataError(
            f"scores are written for one as_of at a time, the feature frame holds {len(as_ofs)}: filter it first"
        )
    return pd.Timestamp(as_ofs[0]).to_pydatetime()


def _write(
    folder: Path, aliases: Mapping[str, list[str]], chunks: Iterator[list[dict[str, Any]]]
) -> Iterator[list[dict[str, Any]]]:
    """Write both files chunk by chunk, and pass every chunk on."""
    with pq.ParquetWriter(folder / SCORE_TABLE, SCHEMA) as table, (folder / SCORE_LINES).open("wb") as lines:
        for answers in chunks:
            rows = [{**_parquet_row(a), "aliases": aliases.get(a["customer_id"], [])} for a in answers]
            table.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
            lines.writelines(orjson.dumps(a, option=orjson.OPT_APPEND_NEWLINE) for a in answers)
            yield answers


def _profit(campaign: Mapping[str, Any] | None) -> dict[str, Any]:
    if campaign is None:
        return {}
    names = {"expected_profit": "expected_profit", "profit_low": "low", "profit_high": "high", "contact": "contact"}
    return {column: campaign[name] for column, name in names.items()}


def _parquet_row(answer: dict[str, Any]) -> dict[str, Any]:
    """The columns of `SCHEMA`; no time of the next event if it is not expected within the longest horizon."""
    churn = answer["churn"]
    expected = churn["expected"] if churn else None
    return {
        **to_record(answer),
        **_profit(answer["campaign"]),
        "basis": answer["basis"],
        "churn_by_horizon": list(churn["by_horizon"].items()) if churn else None,
        "event_expected_at": pd.Timestamp(expected["at"]) if expected and expected["at"] else None,
        "reactivation": answer["reactivation"]["probability"] if answer["reactivation"] else None,
        "churn_percentile": churn["percentile"] if churn else None,
        "clv_by_horizon": list(((answer["clv"] or {}).get("by_horizon") or {}).items()) or None,
        "clv_percentile": answer["clv"]["percentile"] if answer["clv"] else None,
        **{f"q{percent}": amount for percent, amount in _quantiles(answer).items()},
        "reasons": [_reason(reason) for reason in answer["reasons"]],
        "clv_reasons": [_reason(reason) for reason in answer["clv_reasons"]],
    }


def _reason(reason: Mapping[str, Any]) -> dict[str, Any]:
    """A reason with its value in one of two columns: a number, or a category."""
    value = reason["value"]
    is_text = isinstance(value, str)
    return {**reason, "value": None if is_text else value, "category": value if is_text else None}


def _quantiles(answer: dict[str, Any]) -> dict[str, float]:
    return (answer["clv"] or {}).get("quantiles") or {}
