"""A simulated subscription business: repeatable, checked by ingest, and its truth is what labels say."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.settings import load
from features.labels.by_kind import Knowledge, labels_at
from features.quality.check import check_tables
from features.simulation.subscriptions import SyntheticSubscriptions, generate


@pytest.fixture(scope="module")
def simulated() -> SyntheticSubscriptions:
    return generate(customers=300, months=14, seed=3)


def test_the_same_seed_gives_the_same_tables(simulated: SyntheticSubscriptions) -> None:
    again = generate(customers=300, months=14, seed=3)
    for name, table in simulated.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    assert not simulated.tables["subscriptions"].equals(generate(300, 14, seed=4).tables["subscriptions"])


def test_every_row_is_usable(simulated: SyntheticSubscriptions) -> None:
    columns = load("test_subscriptions").columns
    checked = check_tables(
        dict(simulated.tables), columns, pd.Timestamp("2025-01-01", tz="UTC").to_pydatetime(), "contract"
    )
    assert {name: len(one.quarantined) for name, one in checked.items()} == dict.fromkeys(checked, 0)


@pytest.mark.slow
@pytest.mark.parametrize("month", [datetime(2023, 6, 1), datetime(2024, 1, 1)])
def test_labels_say_who_left_in_truth(opened, simulated: SyntheticSubscriptions, month: datetime) -> None:
    settings, tables = load("test_subscriptions"), opened(simulated.tables)
    labels = labels_at(tables, tables["customers"], month, Knowledge(datetime(2024, 3, 1)), settings).to_pandas()
    outcomes = labels[labels["active"]].set_index("customer_id")["churned"].sort_index()
    truth = simulated.truth[simulated.truth["month"] == month].set_index("customer_id")["left"].sort_index()
    assert outcomes.index.tolist() == truth.index.tolist()
    assert (outcomes == truth.astype(float)).all()


def test_as_many_left_as_their_probabilities_say(simulated: SyntheticSubscriptions) -> None:
    truth = simulated.truth
    spread = np.sqrt((truth["leaving"] * (1 - truth["leaving"])).sum())
    assert abs(truth["left"].sum() - truth["leaving"].sum()) < 4 * spread


@pytest.mark.parametrize("change", [{"customers": 0}, {"months": 0}, {"seed": -1}, {"start": "2024-01-02"}])
def test_an_argument_out_of_range_is_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="synthetic subscriptions"):
        generate(**{"customers": 1, "months": 1, "seed": 0, **change})
