"""Contracts that contradict themselves are found, and when ends are written down is told from the rows, or asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from configs.settings import merged_with_default
from configs.workspace import Workspace
from features.engine import connect, read_tables
from features.ingest import ingest
from features.quality.check import check_table
from features.quality.contract_rows import announcement
from features.tables import TABLES
from features.windows import subscriptions_as_of

NOW = datetime(2023, 12, 1, tzinfo=UTC)
STRIPE = """id,customer,status,created,canceled_at,ended_at,cancel_at_period_end,current_period_end,trial_end,plan
a1,cus_A,active,1672531200,,,false,1702598400,,basic
d1,cus_D,incomplete_expired,1677628800,1677715200,1677715200,false,1680307200,,basic
c1,cus_C,canceled,1672531200,1683676800,1685577600,true,1685577600,,basic
f1,cus_F,active,1673740800,1700438400,,true,1702598400,,basic
t1,cus_T,trialing,1700438400,,,false,1702598400,1702598400,basic
"""


def contracts(*rows: dict[str, str]) -> pd.DataFrame:
    """Raw contracts, one customer each, from 2023-01-01 on."""
    return pd.DataFrame(
        [
            {"subscription_id": f"s{i}", "customer_id": "ann", "started_at": "2023-01-01", **r}
            for i, r in enumerate(rows)
        ]
    )


def used(*rows: dict[str, str]) -> pd.DataFrame:
    return check_table(TABLES["subscriptions"], contracts(*rows), NOW, {"ann"}).used


def test_a_contract_that_is_over_without_a_date_and_a_notice_in_the_future_go_to_quarantine() -> None:
    checked = check_table(
        TABLES["subscriptions"],
        contracts(
            {"status": "Canceled"},
            {"status": "canceled", "paid_until": "2023-03-01"},
            {"cancelled_at": "2024-03-01"},
            {"ended_at": "2024-03-01"},
        ),
        NOW,
        {"ann"},
    )
    assert checked.used["subscription_id"].tolist() == ["s1", "s3"]
    first, second = checked.quarantined["reason"]
    assert first.startswith("status: is one of a contract that is over") and "ended_at" in first
    assert second.startswith("cancelled_at: lies in the future")


LATER = {"cancelled_at": "2023-05-10", "ended_at": "2023-06-01"}
RUNNING = {"cancelled_at": "2023-11-20"}


def test_ends_are_announced_unless_cancelled_contracts_without_one_are_recent_and_others_ended_after_their_notice() -> (
    None
):
    now = NOW.replace(tzinfo=None)
    assert announcement(used(LATER, RUNNING), now, NOW) == "unannounced"
    assert announcement(used(LATER, {**RUNNING, "paid_until": "2023-12-15"}), now, NOW) == "unannounced"
    assert announcement(used(LATER, RUNNING, {**RUNNING, "ended_at": "2023-12-31"}), now, NOW) == "announced"
    assert announcement(used({**LATER, "ended_at": "2023-05-10"}, RUNNING), now, NOW) == "announced"
    assert announcement(used(RUNNING, {**RUNNING, "ended_at": "9999-12-31"}), now, NOW) == "announced"
    assert announcement(used(RUNNING).head(0), None, NOW) == "announced"


def test_a_contract_cancelled_long_ago_without_any_end_is_asked_about() -> None:
    with pytest.raises(DataError, match=r"1 contracts were cancelled, one of them on 2023-02-01.*22 days.*churn\.ends"):
        announcement(used(LATER, {"cancelled_at": "2023-02-01"}), None, NOW)
    for told in ({"renews_at": "2024-01-01"}, {"cancel_at_period_end": "false"}):
        announcement(used(LATER, {"cancelled_at": "2023-02-01", **told}), None, NOW)


def written(tmp_path: Path, chunk_rows: int = 1000, **settings: object) -> tuple[pd.DataFrame, dict[str, object]]:
    """Ingest an export of Stripe's shape: the contracts as of 2023-12-01 by customer, and the report."""
    (tmp_path / "subs.csv").write_text(STRIPE)
    names = [line.split(",")[1] for line in STRIPE.splitlines()[1:]]
    (tmp_path / "customers.csv").write_text("customer_id,signed_up_at\n" + "".join(f"{n},2022-12-01\n" for n in names))
    columns = {
        "subscription_id": "id",
        "customer_id": "customer",
        "started_at": "created",
        "cancelled_at": "canceled_at",
        "paid_until": "current_period_end",
        "trial_ends_at": "trial_end",
    }
    epoch = {"format": "epoch_seconds"}
    times = dict.fromkeys(("started_at", "cancelled_at", "ended_at", "paid_until", "trial_ends_at"), epoch)
    subscriptions = {"path": str(tmp_path / "subs.csv"), "columns": columns, "times": times}
    options = {"customers": {"path": str(tmp_path / "customers.csv")}, "subscriptions": subscriptions}
    business = merged_with_default(
        {
            "name": "stripe",
            "data_until": "2023-12-01",
            "source": {"loader": "files", "options": options},
            "churn": {"kind": "contract", **settings},
            "quality": {"accept_rules": ["isolated_dates"]},
        },
        "test",
    )
    workspace = Workspace(tmp_path / f"w{chunk_rows}")
    report = ingest(business, workspace, NOW, chunk_rows=chunk_rows)
    table = read_tables(connect(), workspace.tables)["subscriptions"]
    return subscriptions_as_of(table, datetime(2023, 12, 1)).to_pandas().set_index("customer_id"), report


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [1000, 2])
def test_an_export_of_stripe_is_read_as_it_is_meant(tmp_path: Path, chunk_rows: int) -> None:
    rows, report = written(tmp_path, chunk_rows)
    assert sorted(rows.index) == ["cus_A", "cus_C", "cus_F"]  # no trial, and not what never began
    assert rows["alive"].to_dict() == {"cus_A": True, "cus_C": False, "cus_F": True}
    assert rows["notice"].to_dict() == {"cus_A": False, "cus_C": False, "cus_F": True}
    assert rows.loc["cus_F", "end"] == pd.Timestamp("2023-12-15")
    assert rows["ends_unannounced"].eq(1).all()
    notes = " ".join(report["reading"])
    assert "1 contracts never began" in notes and "1 contracts are in a trial" in notes


def test_what_is_said_of_ends_outweighs_what_the_rows_tell(tmp_path: Path) -> None:
    rows, _ = written(tmp_path, ends="announced")
    assert "ends_unannounced" not in rows or rows["ends_unannounced"].isna().all()
    assert np.isclose(rows.loc["cus_F", "ends_in_days"], 14)
