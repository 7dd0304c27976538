"""A row that is backfilled or corrected later changes nothing that was asked as of before: features and labels."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.inactivity import labels_as_of
from features.schema import Feature, FeatureSchema
from features.store import feature_store

MOMENTS = [pd.Timestamp(f"2024-0{month}-01", tz="UTC") for month in (1, 2, 3)]
CUSTOMERS = ("ann", "bob")
KEYS = pd.DataFrame([(c, m) for m in MOMENTS for c in CUSTOMERS], columns=["customer_id", "as_of"])
FEW = examples(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])

correction = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from(CUSTOMERS),
        "as_of": st.sampled_from(MOMENTS),
        "late_seconds": st.integers(1, 10**7),
        "orders_total": st.floats(-1e6, 1e6),
        "region": st.sampled_from(["east", "west", None]),
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with six feature rows of two customers, registered with Feast."""
    workspace = Workspace(tmp_path_factory.mktemp("known_at"))
    workspace.features.mkdir(parents=True)
    told = (Feature("orders_total", "orders", "float64", ""), Feature("region", "customers", "string", ""))
    FeatureSchema(told).save(workspace.features)
    write(workspace.features, original())
    feature_store.apply(workspace)
    return workspace


def original() -> pd.DataFrame:
    return stamp(KEYS.assign(known_at=KEYS["as_of"], orders_total=[1.0, 2, 3, 4, 5, 6], region="north"))


def stamp(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype(dict.fromkeys(("as_of", "known_at"), "datetime64[us, UTC]")).astype({"region": object})


def write(folder: Path, rows: pd.DataFrame) -> None:
    rows.to_parquet(folder / "rows.parquet", index=False)


def with_corrections(rows: list[dict]) -> pd.DataFrame:
    late = pd.DataFrame(rows)
    late["known_at"] = late["as_of"] + pd.to_timedelta(late.pop("late_seconds"), unit="s")
    return pd.concat([original(), stamp(late)[original().columns]], ignore_index=True)


@FEW
@given(st.lists(correction, min_size=1, max_size=4))
def test_a_row_corrected_later_changes_no_past_training_row(place: Workspace, rows: list[dict]) -> None:
    write(place.features, original())
    before = feature_store.training_rows(place, KEYS, "churn")
    write(place.features, with_corrections(rows))
    after = feature_store.training_rows(place, KEYS, "churn")
    pd.testing.assert_frame_equal(after, before, check_exact=True)
    pd.testing.assert_frame_equal(
        before, original().drop(columns="known_at").sort_values(["as_of", "customer_id"], ignore_index=True)
    )


def test_the_answer_does_change_once_the_correction_was_known(place: Workspace) -> None:
    row = {"customer_id": "ann", "as_of": MOMENTS[0], "late_seconds": 3600, "orders_total": 99.0, "region": None}
    write(place.features, with_corrections([row]))
    asked = pd.DataFrame(
        {"customer_id": ["ann"] * 2, "as_of": [MOMENTS[0] + pd.Timedelta(minutes=m) for m in (59, 60)]}
    )
    assert feature_store.training_rows(place, asked, "churn")["orders_total"].tolist() == [1.0, 99.0]


order = st.tuples(
    st.sampled_from(["ann", "bob", "new"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 3, 31)),
    st.floats(-1e4, 1e4),
    st.integers(1, 10**7),
)


@pytest.mark.slow
@FEW
@given(st.lists(order, min_size=1, max_size=4))
def test_an_order_recorded_after_the_end_of_the_data_changes_no_label(
    opened: Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]],
    shop: dict[str, pd.DataFrame],
    settings: Settings,
    rows: list[tuple],
) -> None:
    until = datetime(2024, 4, 1)
    late = [
        {
            "order_id": f"x{i}",
            "customer_id": c,
            "ordered_at": t,
            "amount": a,
            "recorded_at": until + timedelta(seconds=s),
        }
        for i, (c, t, a, s) in enumerate(rows)
    ]
    more = {**shop, "orders": pd.concat([shop["orders"], pd.DataFrame(late)], ignore_index=True)}

    def told(raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
        tables = opened(raw)
        clv = settings.clv.model_copy(update={"horizon_days": 30})
        found = labels_as_of(
            tables["customers"], tables["orders"], datetime(2024, 3, 1), until, settings.churn, clv
        ).to_pandas()
        return found.sort_values("customer_id", ignore_index=True)

    pd.testing.assert_frame_equal(told(more), told(shop), check_exact=True)
