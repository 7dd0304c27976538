"""The made-up subscription business: repeatable, checked by ingest, and its truth is what labels say."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.settings import load
from features.labels.by_kind import labels_at
from features.quality.check import check_tables
from features.simulation.subscriptions import SyntheticSubscriptions, generate


@pytest.fixture(scope="module")
def made() -> SyntheticSubscriptions:
    return generate(customers=300, months=14, seed=3)


def test_the_same_seed_gives_the_same_tables(made: SyntheticSubscriptions) -> None:
    again = generate(customers=300, months=14, seed=3)
    for name, table in made.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    assert not made.tables["subscriptions"].equals(generate(300, 14, seed=4).tables["subscriptions"])


def test_every_row_is_usable(made: SyntheticSubscriptions) -> None:
    columns = load("test_subscriptions").columns
    checked = check_tables(dict(made.tables), columns, pd.Timestamp("2025-01-01", tz="UTC").to_pydatetime(), "contract")
    assert {name: len(one.quarantined) for name, one in checked.items()} == dict.fromkeys(checked, 0)


@pytest.mark.parametrize("month", [datetime(2023, 6, 1), datetime(2024, 1, 1)])
def test_labels_say_who_left_in_truth(opened, made: SyntheticSubscriptions, month: datetime) -> None:
    settings, tables = load("test_subscriptions"), opened(made.tables)
    found = labels_at(tables, tables["customers"], month, datetime(2024, 3, 1), settings).to_pandas()
    told = found[found["active"]].set_index("customer_id")["churned"].sort_index()
    truth = made.truth[made.truth["month"] == month].set_index("customer_id")["left"].sort_index()
    assert told.index.tolist() == truth.index.tolist()
    assert (told == truth.astype(float)).all()


def test_as_many_left_as_their_probabilities_say(made: SyntheticSubscriptions) -> None:
    truth = made.truth
    spread = np.sqrt((truth["leaving"] * (1 - truth["leaving"])).sum())
    assert abs(truth["left"].sum() - truth["leaving"].sum()) < 4 * spread


@pytest.mark.parametrize("change", [{"customers": 0}, {"months": 0}, {"seed": -1}, {"start": "2024-01-02"}])
def test_an_argument_out_of_range_is_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="synthetic subscriptions"):
        generate(**{"customers": 1, "months": 1, "seed": 0, **change})
