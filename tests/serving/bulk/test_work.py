from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.api.predictor import Asked, Predictor
from serving.bulk.parts import Parts
from serving.bulk.work import PartWriter, write_all
from tests.serving.bulk.scored import FrameCustomers


def test_a_part_that_fails_is_not_there_and_the_ones_before_it_are(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame, workspace: Workspace
) -> None:
    class Failing(FrameCustomers):
        asked = 0

        def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
            Failing.asked += 1
            if Failing.asked == 4:
                raise OSError("gone")
            return super().of_persons(persons)

        def ids(self) -> Iterator[str]:
            return super().ids()

    source = Failing(customers.head(60))
    parts = Parts.begin(workspace.scoring, "x", source.ids, 20, now)
    with pytest.raises(OSError, match="gone"):
        write_all(PartWriter(source, champions, settings, {}, parts, 2, chunk_rows=10))
    assert [parts.is_done(n) for n in parts.numbers] == [True, False, False]
    assert sorted(p.name for p in workspace.scoring.iterdir()) == ["000000.jsonl", "000000.parquet", "plan.json"]
    write_all(PartWriter(source, champions, settings, {}, parts, 2, chunk_rows=10))
    assert Failing.asked == 8
    found = pd.concat(pd.read_parquet(parts.stem(n).with_suffix(".parquet")) for n in parts.numbers)
    assert found["customer_id"].tolist() == sorted(customers["customer_id"].head(60))


def test_while_a_canary_runs_all_customers_get_in_bulk_the_answer_of_the_arm_that_they_get_online(
    running: Callable[..., Champions],
    reader: Any,
    settings: Settings,
    now: datetime,
    customers: pd.DataFrame,
    workspace: Workspace,
) -> None:
    champions = running(35.0)
    source = FrameCustomers(customers)
    parts = Parts.begin(workspace.scoring, "x", source.ids, 170, now)
    write_all(PartWriter(source, champions, settings, {}, parts, 2, chunk_rows=33))
    written = b"".join(parts.stem(n).with_suffix(".jsonl").read_bytes() for n in parts.numbers)
    bulk = {answer["customer_id"]: answer for answer in map(orjson.loads, written.splitlines())}
    (found,) = Predictor(reader, settings, lambda: now, lambda ids: set())([Asked([*bulk], 2, champions)])
    online = orjson.loads(orjson.dumps([dict(answer) for answer in found.answers]))
    assert len(bulk) == len(customers) == len(online)
    assert [{**a, "prediction_id": ""} for a in bulk.values()] == [{**a, "prediction_id": ""} for a in online]
    assert {a["arms"]["churn"] for a in online} == {"canary", "champion"}
    table = pd.concat(pd.read_parquet(parts.stem(n).with_suffix(".parquet")) for n in parts.numbers)
    assert table["churn_model"].tolist() == [a["model"]["churn"] for a in bulk.values()]
