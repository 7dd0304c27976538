"""Orders and their values together: the summary by hand, value, discount, and an interval that covers."""

import json

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError
from tests.data import DATA
from training.priors.order_model import OrderModel, summarise

AS_OF = pd.Timestamp("2024-03-01")


def simulate(n, seed, ahead=90):
    """Orders of customers whose rates, lives and order values are drawn from the models; the moment is day 300."""
    rng = np.random.default_rng(seed)
    begin, rate = rng.integers(0, 120, n), rng.gamma(0.8, 1 / 30, n)
    life, scale = rng.exponential(1 / rng.gamma(1.5, 1 / 200, n)), 1 / rng.gamma(4.0, 1 / 30, n)
    rows = []
    for i in range(n):
        end = min(life[i], 300 + ahead - begin[i])
        times = np.r_[0.0, rng.uniform(0, end, rng.poisson(rate[i] * end))]
        amounts = np.maximum(rng.gamma(3.0, scale[i], len(times)), 1e-6)
        rows += [(i, begin[i] + t, amount) for t, amount in zip(times, amounts, strict=True)]
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "amount"])
    return frame.assign(ordered_at=pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["day"], unit="D"))


MOMENT = pd.Timestamp("2024-01-01") + pd.Timedelta(days=300)


@pytest.fixture(scope="module")
def shop_fit():
    orders = simulate(1500, 0)
    summary = summarise(orders, MOMENT)
    came = orders[orders["ordered_at"] >= MOMENT].groupby("customer_id")["amount"].sum()
    return OrderModel.fit(summary), summary, came.reindex(summary.index, fill_value=0.0).to_numpy()


def test_the_summary_of_the_hand_made_shop(shop):
    result = summarise(shop["orders"], AS_OF)
    assert result.loc["ann"].tolist() == [3, 50, 59, 4, (10 + 20 + 30 + 40 - 15) / 4]
    assert result.loc["bob"].tolist() == [0, 0, 14, 1, 100]
    assert "new" not in result.index


def test_what_is_recorded_later_or_comes_at_the_moment_changes_no_summary(shop):
    orders = shop["orders"].assign(recorded_at=pd.NaT)
    late = orders.iloc[[5]].assign(
        order_id="late", ordered_at=pd.Timestamp("2024-02-25"), recorded_at=AS_OF + pd.Timedelta("1D")
    )
    at = orders.iloc[[5]].assign(order_id="at", ordered_at=AS_OF)
    pd.testing.assert_frame_equal(summarise(pd.concat([orders, late, at]), AS_OF), summarise(orders, AS_OF))


def test_ordering_rows_otherwise_changes_nothing_and_arguments_stay(shop):
    before = shop["orders"].copy()
    pd.testing.assert_frame_equal(summarise(before.sample(frac=1, random_state=0), AS_OF), summarise(before, AS_OF))
    pd.testing.assert_frame_equal(before, shop["orders"])


def test_value_meets_the_total_and_is_orders_times_worth(shop_fit):
    m, summary, came = shop_fit
    value = m.value(summary, 90)
    each = m.spend.expected(summary["orders"], summary["mean_amount"])
    np.testing.assert_allclose(value, m.expected_orders(summary, 90) * each)
    assert value.sum() == pytest.approx(came.sum(), rel=0.12)


def test_margin_scales_and_discount_lowers_value_by_less_than_the_whole_rate(shop_fit):
    m, summary, _ = shop_fit
    undiscounted, cheap = m.value(summary, 365), m.value(summary, 365, annual_discount_rate=0.1)
    np.testing.assert_allclose(m.value(summary, 365, margin=0.3), 0.3 * undiscounted)
    assert ((cheap < undiscounted) & (cheap > undiscounted / 1.1)).all()
    np.testing.assert_allclose(m.value(summary, 365, annual_discount_rate=1e-9), undiscounted, rtol=1e-6)


def test_ninety_of_a_hundred_values_lie_within_the_interval(shop_fit):
    m, summary, came = shop_fit
    low, middle, high = m.value_quantiles(summary, 90).T
    assert 0.88 <= np.mean((low <= came) & (came <= high)) <= 0.97
    assert ((low <= middle) & (middle <= high)).all()


def test_few_customers_make_a_wider_interval_for_the_same_one(shop_fit):
    _, summary, _ = shop_fit
    asked = pd.DataFrame(
        {"repeats": [3.0], "recency_days": [150.0], "age_days": [200.0], "orders": [4.0], "mean_amount": [30.0]}
    )
    few, many = OrderModel.fit(summary.head(8)), OrderModel.fit(summary)
    width = [float(np.diff(m.value_quantiles(asked, 365, (0.05, 0.95), draws=4000)[0])[0]) for m in (few, many)]
    assert width[0] > 1.15 * width[1]


def test_the_same_seed_gives_the_same_interval(shop_fit):
    m, summary, _ = shop_fit
    first, again = (m.value_quantiles(summary.head(20), 90, seed=5) for _ in range(2))
    assert (first == again).all()


def test_json_holds_the_model(shop_fit):
    assert OrderModel.from_dict(json.loads(json.dumps(shop_fit[0].to_dict()))) == shop_fit[0]


def test_without_amounts_orders_are_forecast_and_value_is_refused(shop):
    summary = summarise(shop["orders"].drop(columns="amount"), AS_OF)
    m = OrderModel.fit(summary)
    assert m.spend is None and (m.expected_orders(summary, 30) > 0).all()
    with pytest.raises(DataError, match="without amounts"):
        m.value(summary, 30)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="age_days"):
        OrderModel.fit(pd.DataFrame({"repeats": [1.0], "recency_days": [1.0]}))


def test_online_retail_fits_early_and_late_and_says_that_leaving_cannot_be_told():
    path = DATA / "online_retail.parquet"
    if not path.is_file():
        pytest.skip(f"online_retail.parquet is not in {DATA}")
    raw = pd.read_parquet(path, columns=["InvoiceNo", "CustomerID", "InvoiceDate", "Quantity", "UnitPrice"])
    raw = raw.dropna(subset=["CustomerID"])
    raw = raw.assign(amount=raw["Quantity"] * raw["UnitPrice"], ordered_at=pd.to_datetime(raw["InvoiceDate"]))
    orders = raw.groupby(["CustomerID", "InvoiceNo"], as_index=False).agg(
        ordered_at=("ordered_at", "min"), amount=("amount", "sum")
    )
    orders = orders.rename(columns={"CustomerID": "customer_id"})
    for as_of in ("2011-03-01", "2011-12-10"):
        summary = summarise(orders, pd.Timestamp(as_of))
        m = OrderModel.fit(summary)
        assert not m.purchases.dropout_identifiable
        assert m.purchases.agreeing_starts == 3 and m.spend.agreeing_starts == 3
        assert m.spend.q > 1.5
        assert (m.p_alive(summary) < 1).all()
        assert np.isfinite(m.value(summary, 90)).all()
