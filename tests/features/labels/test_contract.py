"""Labels of contracts on customers whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError, DataError
from configs.settings import Settings
from features.labels.by_kind import Knowledge, end_of_known, first_event, require_amounts
from features.labels.eligibility import is_active
from features.quality.check import check_tables
from serving.answer.decide import contract_stages
from tests.feature_rows import LabelRows

label_rows = LabelRows()
AS_OF = datetime(2024, 7, 1)
Features = Callable[..., pd.DataFrame]
Company = Callable[..., dict[str, pd.DataFrame]]
Rows = tuple[tuple[object, ...], ...]
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="session")
def business(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"kind": "contract", "horizon_days": 30, "grace_days": 14})
    clv = settings.clv.model_copy(update={"horizon_days": 30})
    return settings.model_copy(update={"churn": churn, "clv": clv})


def labels(opened, raw: dict[str, pd.DataFrame], settings: Settings, as_of: datetime, until: datetime) -> pd.DataFrame:
    return label_rows(opened(raw), as_of, Knowledge(until), settings)


def test_who_ends_without_a_contract_following_within_the_grace_has_left(
    opened, business: Settings, contracts: Tables
) -> None:
    rows = labels(opened, contracts, business, AS_OF, datetime(2024, 8, 14))
    assert rows["active"].to_dict() == {"ann": True, "bob": True, "cat": False, "dan": True}
    # ann ends on 31 July, one day past the horizon; bob is renewed within the grace; dan is not
    assert rows["churned"].dropna().to_dict() == {"ann": 0.0, "bob": 0.0, "dan": 1.0}
    strict = business.model_copy(update={"churn": business.churn.model_copy(update={"grace_days": 2})})
    assert labels(opened, contracts, strict, AS_OF, datetime(2024, 8, 14)).loc["bob", "churned"] == 1.0


def test_one_of_two_contracts_that_ends_is_no_leaving(
    opened, business: Settings, company: Company, contract_rows: Rows
) -> None:
    both = company(*contract_rows, ("d2", "dan", "2024-01-01", None, None, None, "basic", 5.0))
    assert labels(opened, both, business, AS_OF, datetime(2024, 8, 14)).loc["dan", "churned"] == 0.0


@pytest.mark.slow
def test_a_chain_of_short_contracts_is_followed_to_its_end(opened, business: Settings, company: Company) -> None:
    weeks = [
        (f"w{i}", "eve", datetime(2024, 6, 24) + timedelta(weeks=i), datetime(2024, 7, 1) + timedelta(weeks=i), None)
        for i in range(3)
    ]
    chain = company(*[(*w, None, "week", 3.0) for w in weeks])
    assert labels(opened, chain, business, AS_OF, datetime(2024, 9, 1)).loc["eve", "churned"] == 1.0
    # the last one ends on 15 July: a horizon of 14 days ends before
    short = business.model_copy(update={"churn": business.churn.model_copy(update={"horizon_days": 14})})
    assert labels(opened, chain, short, AS_OF, datetime(2024, 9, 1)).loc["eve", "churned"] == 0.0


def test_a_contract_that_ends_on_the_day_is_there_and_leaves_and_one_that_begins_on_it_is_not_there_yet(
    opened, features: Features, business: Settings, company: Company
) -> None:
    raw = company(
        ("e", "ends", "2024-01-01", "2024-07-01", None, None, "basic", 10.0),
        ("b", "begins", "2024-07-01", None, None, None, "basic", 10.0),
    )
    raw["customers"]["signed_up_at"] = pd.Timestamp("2024-01-01", tz="UTC")
    label = labels(opened, raw, business, AS_OF, datetime(2024, 8, 14))
    assert label.loc[["ends", "begins"], "active"].tolist() == [True, False]
    assert label.loc["ends", "churned"] == 1.0 and np.isnan(label.loc["begins", "churned"])
    assert label.loc["ends", "clv"] == 0.0 and label.loc["begins", "clv"] > 0
    rows = features(raw, AS_OF).loc[["ends", "begins"]]
    assert is_active(rows, business.churn).tolist() == [True, False]
    assert contract_stages(rows, business.decisions.stages) == ["mature", "prospect"]


def test_a_label_is_unknown_until_horizon_and_grace_have_passed(opened, business: Settings, contracts: Tables) -> None:
    early = labels(opened, contracts, business, AS_OF, datetime(2024, 8, 13, 23))
    assert early["churned"].isna().all() and early["clv"].notna().all()
    earlier = labels(opened, contracts, business, AS_OF, datetime(2024, 7, 30, 23))
    assert earlier["clv"].isna().all()
    assert business.outcome_days("churn") == 44 and business.outcome_days("clv") == 30


@pytest.mark.slow
def test_a_contact_within_the_horizon_is_told_and_one_within_the_grace_after_it_is_not(
    opened, business, contracts: Tables
) -> None:
    contacts = pd.DataFrame(
        [("k1", "ann", "2024-07-30", "stay"), ("k2", "dan", "2024-07-31", "come back")],
        columns=["contact_id", "customer_id", "contacted_at", "campaign"],
    )
    rows = labels(opened, {**contracts, "contacts": contacts}, business, AS_OF, datetime(2024, 8, 14))
    assert rows["contacted"].to_dict() == {"ann": 1.0, "bob": 0.0, "cat": 0.0, "dan": 0.0}
    assert labels(opened, contracts, business, AS_OF, datetime(2024, 8, 14))["contacted"].isna().all()


def test_value_is_the_price_of_the_days_alive(opened, business: Settings, contracts: Tables) -> None:
    value = labels(opened, contracts, business, AS_OF, datetime(2024, 8, 14))["clv"]
    month = 30.4375
    assert value["ann"] == pytest.approx(12 * 30 / month)
    assert value["bob"] == pytest.approx((14 * 30 + 13 * 33) / month)
    assert value["cat"] == 0
    assert value["dan"] == pytest.approx(20 * 19 / month)


def test_value_is_discounted_as_a_sum_over_small_steps_says(opened, business: Settings, contracts: Tables) -> None:
    clv = business.clv.model_copy(update={"annual_discount_rate": 0.2, "margin": 0.5})
    value = labels(opened, contracts, business.model_copy(update={"clv": clv}), AS_OF, datetime(2024, 8, 14))["clv"]
    middles = (np.arange(19 * 1000) + 0.5) / 1000
    assert value["dan"] == pytest.approx(np.sum(1.2 ** (-middles / 365.25)) / 1000 * 0.5 * 20 / 30.4375, rel=1e-9)


def test_a_contract_without_a_price_makes_the_value_unknown_not_zero(
    opened, business: Settings, contracts: Tables
) -> None:
    raw = contracts
    unpriced = raw["subscriptions"].assign(
        price_per_month=raw["subscriptions"]["price_per_month"].where(lambda p: p != 20)
    )
    value = labels(opened, {**raw, "subscriptions": unpriced}, business, AS_OF, datetime(2024, 8, 14))["clv"]
    assert np.isnan(value["dan"]) and value["ann"] > 0
    none = opened({**raw, "subscriptions": raw["subscriptions"].drop(columns="price_per_month")})
    with pytest.raises(ConfigError, match=r"clv.forecast"):
        require_amounts(none, business)


@pytest.mark.slow
def test_with_orders_beside_contracts_value_is_what_was_ordered_beside_the_fees(
    opened, features: Features, business: Settings, contracts: Tables
) -> None:
    orders = pd.DataFrame(
        [("o1", "ann", "2024-06-20", 7.0), ("o2", "ann", "2024-07-05", 9.0)],
        columns=["order_id", "customer_id", "ordered_at", "amount"],
    ).astype({"ordered_at": "datetime64[us]"})
    mixed = {**contracts, "orders": orders}
    rows = labels(opened, mixed, business, AS_OF, datetime(2024, 8, 14))
    fees = labels(opened, contracts, business, AS_OF, datetime(2024, 8, 14))["clv"]
    assert (rows["clv"] - fees).round(9).to_dict() == {"ann": 9.0, "bob": 0.0, "cat": 0.0, "dan": 0.0}
    longer = business.model_copy(update={"clv": business.clv.model_copy(update={"horizon_days": 45})})
    apart, alone = (labels(opened, mixed, of, AS_OF, datetime(2024, 8, 15)) for of in (business, longer))
    told = business.model_copy(update={"clv": business.clv.model_copy(update={"longer_days": (45,)})})
    beside = labels(opened, mixed, told, AS_OF, datetime(2024, 8, 15))
    assert beside["clv_45"].to_dict() == alone["clv"].to_dict()
    assert beside["clv"].to_dict() == apart["clv"].to_dict()
    assert rows.loc["dan", "churned"] == 1.0
    ann = features(mixed, AS_OF).loc["ann"]
    assert (ann["orders_total"], ann["contracts_active"]) == (1, 1)


def test_the_data_reaches_to_its_newest_event_not_to_an_end_set_in_advance(
    opened, business: Settings, contracts: Tables
) -> None:
    tables = opened(contracts)
    open_ended = business.model_copy(update={"data_until": None})
    assert first_event(tables, open_ended) == datetime(2023, 7, 15)
    assert end_of_known(tables, open_ended) == datetime(2024, 7, 19)


def test_contracts_need_customers_and_subscriptions_and_nothing_else(settings: Settings, contracts: Tables) -> None:
    now = pd.Timestamp("2025-01-01", tz="UTC").to_pydatetime()
    raw = contracts
    declared = settings.columns.model_copy(update={"attributes": (), "sensitive": ()})
    assert list(check_tables(raw, declared, now, "contract")) == ["customers", "subscriptions"]
    with pytest.raises(DataError, match="no table orders"):
        check_tables(raw, declared, now, "inactivity")
