from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
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
