"""Answers for all customers at once: a parquet for tables, JSON lines for machines, the same answers as over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.files import replacing_file
from serving.records.prediction_log import to_record

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


def answers_table(answers: Sequence[dict[str, Any]], aliases: Mapping[str, list[str]]) -> pa.Table:
    """Answers as rows of `SCHEMA`, one an answer, with the aliases of each customer."""
    rows = [{**_parquet_row(a), "aliases": aliases.get(a["customer_id"], [])} for a in answers]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_answers(
    stem: Path, chunks: Iterable[list[dict[str, Any]]], aliases: Mapping[str, list[str]]
) -> Iterator[int]:
    """Write answers as ``.parquet`` and ``.jsonl``, and tell after each chunk how many it held.

    Both are on disk and have their names when the iteration ends, the parquet last: where it is, both are whole.
    """
    table, lines = stem.with_suffix(".parquet"), stem.with_suffix(".jsonl")
    with (
        replacing_file(table) as table_part,
        replacing_file(lines) as lines_part,
        pq.ParquetWriter(table_part, SCHEMA) as writer,
        lines_part.open("wb") as file,
    ):
        for answers in chunks:
            writer.write_table(answers_table(answers, aliases))
            file.writelines(orjson.dumps(a, option=orjson.OPT_APPEND_NEWLINE) for a in answers)
            yield len(answers)


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
