from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import ibis.expr.types as ir
import pandas as pd
import pytest

from configs.settings import Settings
from features.engine import connect
from features.labels.inactivity import labels_as_of, matured

FEBRUARY = datetime(2024, 2, 1)
Opened = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]


def labels(
    opened: Opened, shop: dict[str, pd.DataFrame], settings: Settings, as_of: datetime, until: datetime, **clv: object
) -> pd.DataFrame:
    tables = opened(shop)
    churn = settings.churn.model_copy(update={"horizon_days": 30, "activity_days": 60})
    value = settings.clv.model_copy(update={"horizon_days": 30, **clv})
    return (
        labels_as_of(tables["customers"], tables["orders"], as_of, until, churn, value)
        .to_pandas()
        .set_index("customer_id")
    )


def test_value_within_steps_and_longer_horizons_is_that_of_a_main_horizon_so_long_and_known_once_it_has_passed(
    opened: Opened, shop, settings: Settings
) -> None:
    until, lengths = datetime(2024, 4, 1), (30, 45, 60)
    rows = labels(opened, shop, settings, FEBRUARY, until, horizon_days=45, longer_days=(60, 90), margin=0.5)
    for days, name in zip(lengths, ("clv_30", "clv", "clv_60"), strict=True):
        alone = labels(opened, shop, settings, FEBRUARY, until, horizon_days=days, longer_days=(), margin=0.5)
        assert rows[name].to_dict() == alone["clv"].to_dict(), name
    assert rows["clv_90"].isna().all()
    assert "clv_20" not in rows


def test_who_ordered_within_the_horizon_stayed_and_the_other_left(opened: Opened, shop, settings: Settings) -> None:
    rows = labels(opened, shop, settings, datetime(2024, 3, 1), datetime(2024, 4, 1))
    assert rows["active"].to_dict() == {"ann": True, "bob": True, "new": False}
    assert rows["churned"].dropna().to_dict() == {"ann": 0.0, "bob": 1.0}


def test_a_return_is_no_sign_of_staying_and_lowers_the_value(opened: Opened, shop, settings: Settings) -> None:
    rows = labels(opened, shop, settings, datetime(2024, 2, 21), datetime(2024, 4, 1))
    assert rows.loc["ann", "clv"] == -15 + 50
    orders = shop["orders"][shop["orders"]["order_id"] != "o7"]
    assert (
        labels(opened, {**shop, "orders": orders}, settings, datetime(2024, 2, 21), datetime(2024, 4, 1)).loc[
            "ann", "churned"
        ]
        == 1
    )


def test_value_is_net_revenue_times_margin_discounted_to_the_moment(opened: Opened, shop, settings: Settings) -> None:
    undiscounted = labels(opened, shop, settings, FEBRUARY, datetime(2024, 4, 1))
    assert undiscounted["clv"].to_dict() == {"ann": 25.0, "bob": 100.0, "new": 0.0}
    half = labels(opened, shop, settings, FEBRUARY, datetime(2024, 4, 1), margin=0.5, annual_discount_rate=0.1)
    days = (datetime(2024, 2, 15, 20) - FEBRUARY).total_seconds() / 86_400
    assert half.loc["bob", "clv"] == pytest.approx(50 * 1.1 ** (-days / 365.25), rel=1e-12)


def test_a_horizon_that_has_not_passed_gives_no_label(opened: Opened, shop, settings: Settings) -> None:
    early = labels(opened, shop, settings, datetime(2024, 3, 1), datetime(2024, 3, 30, 23, 59))
    assert early["churned"].isna().all()
    assert early["clv"].isna().all()
    assert early["active"].tolist() == [True, True, False]


def test_a_label_is_known_at_the_very_end_of_its_horizon() -> None:
    asked = connect().execute
    assert asked(matured(datetime(2024, 3, 1), 30, datetime(2024, 3, 31)))
    assert not asked(matured(datetime(2024, 3, 1), 30, datetime(2024, 3, 30, 23, 59, 59, 999_999)))


def recorded(shop: dict[str, pd.DataFrame], order_id: str, at: str) -> dict[str, pd.DataFrame]:
    """The shop, with one order written down only at a moment."""
    orders = shop["orders"]
    return {**shop, "orders": orders.assign(recorded_at=pd.Series(at, orders.index).where(orders.order_id == order_id))}


def test_an_order_recorded_after_the_end_of_the_data_counts_for_no_label(
    opened: Opened, shop, settings: Settings
) -> None:
    late = labels(opened, recorded(shop, "o7", "2024-04-02"), settings, datetime(2024, 3, 1), datetime(2024, 4, 1))
    assert (late.loc["ann", "churned"], late.loc["ann", "clv"]) == (1.0, 0.0)
    later = labels(opened, recorded(shop, "o7", "2024-04-02"), settings, datetime(2024, 3, 1), datetime(2024, 4, 2))
    assert (later.loc["ann", "churned"], later.loc["ann", "clv"]) == (0.0, 50.0)


def test_an_order_recorded_after_the_horizon_but_before_the_end_of_the_data_counts(
    opened: Opened, shop, settings: Settings
) -> None:
    late = recorded(shop, "o7", "2024-03-31 12:00")
    rows = labels(opened, late, settings, datetime(2024, 3, 1), datetime(2024, 4, 1))
    assert (rows.loc["ann", "churned"], rows.loc["ann", "clv"]) == (0.0, 50.0)


CONTACTS = [
    ("k1", "ann", "2024-02-29 23:59:59", "Type A 8", "treated"),  # before the moment
    ("k2", "bob", "2024-03-01 00:00:00", "Type A 8", "treated"),  # at the moment
    ("k3", "new", "2024-03-31 00:00:00", "Type A 8", "treated"),  # at the end of 30 days
]


def contacted(
    opened: Opened,
    shop: dict[str, pd.DataFrame],
    settings: Settings,
    rows: list[tuple[str, ...]],
    until: datetime = datetime(2024, 6, 1),
    counts: dict[str, object] | None = None,
    **more: object,
) -> pd.DataFrame:
    """Who was contacted, as of 2024-03-01, within 30 and 60 days."""
    names = ["contact_id", "customer_id", "contacted_at", "campaign", "arm"]
    table = pd.DataFrame(rows, columns=names).assign(**more)
    tables = opened({**shop, "contacts": table})
    changes = {
        "horizon_days": 30,
        "horizons_days": (30, 60),
        "contacts": settings.churn.contacts.model_copy(update=counts),
    }
    churn = settings.churn.model_copy(update=changes)
    arguments = (tables["customers"], tables["orders"], datetime(2024, 3, 1), until, churn, settings.clv)
    return labels_as_of(*arguments, tables["contacts"]).to_pandas().set_index("customer_id").sort_index()


def test_a_contact_counts_within_the_window_of_the_outcome_closed_at_the_moment_open_at_its_end(
    opened: Opened, shop, settings: Settings
) -> None:
    rows = contacted(opened, shop, settings, CONTACTS)
    assert rows["contacted"].to_dict() == {"ann": 0.0, "bob": 1.0, "new": 0.0}
    assert rows["contacted_60"].to_dict() == {"ann": 0.0, "bob": 1.0, "new": 1.0}


def test_contacts_change_no_outcome_and_whoever_has_none_was_not_contacted(
    opened: Opened, shop, settings: Settings
) -> None:
    two = contacted(opened, shop, settings, CONTACTS[1:])
    one = contacted(opened, shop, settings, CONTACTS[:1])
    names = ["active", "churned", "clv", "churned_60"]
    pd.testing.assert_frame_equal(one[names], two[names])
    assert one["contacted_60"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("arm", ["holdout", "Control"])
def test_an_arm_that_was_picked_but_left_alone_was_not_contacted(opened: Opened, shop, settings, arm: str) -> None:
    rows = [("k1", "ann", "2024-03-05", "spring", arm), ("k2", "bob", "2024-03-05", "spring", None)]
    assert contacted(opened, shop, settings, rows)["contacted"].to_dict() == {"ann": 0.0, "bob": 1.0, "new": 0.0}
    everybody = contacted(opened, shop, settings, rows, counts={"untreated_arms": ()})
    assert everybody["contacted"].to_dict() == {"ann": 1.0, "bob": 1.0, "new": 0.0}


def test_only_campaigns_that_are_asked_for_count(opened: Opened, shop, settings: Settings) -> None:
    rows = [
        ("k1", "ann", "2024-03-05", "win-back (mail)", "treated"),
        ("k2", "bob", "2024-03-05", "Type A 8", "treated"),
        ("k3", "new", "2024-03-05", "my Type A 8", "treated"),
    ]
    for patterns, named in (
        (("Type A*",), "bob"),
        (("win-back (mail)",), "ann"),
        (("*A 8",), "bob new"),
        (("Type",), ""),
    ):
        contacted_ids = contacted(opened, shop, settings, rows, counts={"campaigns": patterns})["contacted"]
        assert " ".join(contacted_ids[contacted_ids == 1].index) == named


def test_a_contact_recorded_after_the_end_of_the_data_is_not_known_of(opened: Opened, shop, settings: Settings) -> None:
    late = {"recorded_at": "2024-06-01 00:00:01"}
    assert contacted(opened, shop, settings, CONTACTS, **late)["contacted"].tolist() == [0.0, 0.0, 0.0]
    later = contacted(opened, shop, settings, CONTACTS, until=datetime(2024, 6, 2), **late)
    assert later["contacted"].tolist() == [0.0, 1.0, 0.0]


def test_nobody_knows_who_was_contacted_before_the_horizon_has_passed_or_without_a_table(
    opened: Opened, shop, settings: Settings
) -> None:
    early = contacted(opened, shop, settings, CONTACTS, until=datetime(2024, 4, 1))
    assert early["contacted"].notna().all() and early["contacted_60"].isna().all()
    without = labels(opened, shop, settings, datetime(2024, 3, 1), datetime(2024, 6, 1))
    assert without[["contacted", "contacted_60"]].isna().all(axis=None)


def test_of_who_had_lapsed_it_is_told_whether_they_returned(opened: Opened, shop, settings: Settings) -> None:
    tables = opened(shop)
    churn = settings.churn.model_copy(update={"horizon_days": 30, "horizons_days": (30, 60), "activity_days": 5})

    def rows(until: datetime) -> pd.DataFrame:
        moment = datetime(2024, 3, 1)
        made = labels_as_of(tables["customers"], tables["orders"], moment, until, churn, settings.clv)
        return made.to_pandas().set_index("customer_id")

    month, two_months = rows(datetime(2024, 4, 1)), rows(datetime(2024, 5, 1))
    assert month["returned_30"].dropna().to_dict() == {"ann": 1.0, "bob": 0.0}
    assert month["churned"].isna().all() and month["returned_60"].isna().all()
    assert two_months["returned_60"].dropna().to_dict() == {"ann": 1.0, "bob": 0.0}
    assert rows(datetime(2024, 3, 30))["returned_30"].isna().all()
