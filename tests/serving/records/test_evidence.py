from __future__ import annotations

import math
import struct

import numpy as np
import orjson
import pandas as pd
import pytest

from serving.records.evidence import Asker, Context, Evidence, dtypes_of, pack, rows_of, unpack

FRAME = pd.DataFrame(
    {
        "customer_id": ["c1", "c2"],
        "as_of": pd.to_datetime(["2024-03-01T00:00:00.123456", "1969-01-01T00:00:00.000001"], utc=True).astype(
            "datetime64[us, UTC]"
        ),
        "spend": [0.1 + 0.2, math.nan],
        "gap": [math.inf, -0.0],
        "region": np.array(["north", None], dtype=object),
        "orders": [3, 4],
        "is_new": [True, False],
        "tiny": [5e-324, math.nextafter(1.0, 2.0)],
    }
)
MODELS = {"churn": {"version": "3", "files": "ab"}, "clv": None}


def bits(frame: pd.DataFrame) -> list[bytes]:
    return [struct.pack("<d", v) for name in ("spend", "gap", "tiny") for v in frame[name]]


@pytest.mark.parametrize("row", [0, 1])
def test_feature_values_come_back_bit_by_bit_and_of_their_types(row: int) -> None:
    context = Context(dtypes_of(FRAME), MODELS, {"clv": "none yet"}, {"currency": "EUR"})
    evidence = Evidence(context, list(rows_of(FRAME))[row], 5)
    answer = {"prediction_id": "p", "reasons": ["Spent 12 €"], "churn": None}
    packed = pack(answer, Asker("crm", "crm", "retention"), evidence)
    record = unpack("p", {"stage": "new"}, packed, Context.load(context.content))
    expected = FRAME.iloc[[row]].reset_index(drop=True)
    pd.testing.assert_frame_equal(record.features, expected)
    assert bits(record.features) == bits(expected)
    assert record.answer == orjson.dumps(answer)
    assert record.asker == Asker("crm", "crm", "retention")
    assert (record.top_reasons, record.context) == (5, context)


def test_a_context_has_one_hash_whoever_makes_it_and_another_with_anything_else() -> None:
    columns = dtypes_of(FRAME)
    one = Context(columns, MODELS, {}, {"currency": "EUR"})
    assert (
        Context.load(one.content).hash == one.hash == Context(dict(columns), dict(MODELS), {}, dict(one.settings)).hash
    )
    others = [
        Context(dict(reversed(columns.items())), MODELS, {}, one.settings),
        Context(columns, {**MODELS, "churn": {"version": "3", "files": "ac"}}, {}, one.settings),
        Context(columns, MODELS, {"clv": "why"}, one.settings),
        Context(columns, MODELS, {}, {"currency": "USD"}),
    ]
    assert len({one.hash, *(other.hash for other in others)}) == 5


def test_without_evidence_the_answer_is_kept_alone() -> None:
    record = unpack("p", {}, pack({"a": 1}, Asker(), None), None)
    assert (record.answer, record.features, record.context, record.top_reasons) == (b'{"a":1}', None, None, None)
