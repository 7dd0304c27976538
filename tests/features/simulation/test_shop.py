import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from configs.errors import ConfigError
from features.simulation.shop import REASONS, SIGN_DAYS, Synthetic, generate, true_churn_probability, true_value

KEYS = {"customers": "customer_id", "orders": "order_id", "interactions": "interaction_id", "contacts": "contact_id"}


@pytest.fixture(scope="module")
def world() -> Synthetic:
    return generate(20_000, 9, seed=3)


@pytest.fixture(scope="module")
def orders(world: Synthetic) -> pd.DataFrame:
    """Orders beside the truth of who ordered; purchases only."""
    rows = world.tables["orders"].merge(world.truth, on="customer_id")
    return rows[rows["amount"] > 0]


def truth_of(**changed: object) -> pd.DataFrame:
    """One settled customer who orders every ten days for 30 and all but never turns."""
    row = {
        "customer_id": "a",
        "observed_from": pd.Timestamp("2024-01-01", tz="UTC"),
        "observed_until": pd.Timestamp("2025-01-01", tz="UTC"),
        "turned_at": pd.NaT,
        "left_at": pd.NaT,
        "reason": None,
        "order_rate_per_day": 0.1,
        "mean_amount": 30.0,
        "turning_probability_per_day": 1e-15,
    }
    truth = pd.DataFrame([row | changed])
    moments = ["observed_from", "observed_until", "turned_at", "left_at"]
    return truth.assign(**{at: pd.to_datetime(truth[at], utc=True).dt.as_unit("us") for at in moments})


def days_before_leaving(rows: pd.DataFrame, at: str) -> pd.Series:
    return (rows["left_at"] - rows[at]).dt.total_seconds() / 86_400


def outcomes(world: Synthetic, as_of: str, days: int) -> pd.DataFrame:
    """What happened in the horizon, one row a customer: silent or not, and net revenue."""
    start = pd.Timestamp(as_of, tz="UTC")
    rows = world.tables["orders"]
    rows = rows[rows["ordered_at"].between(start, start + pd.Timedelta(days=days), inclusive="left")]
    revenue = rows.groupby("customer_id")["amount"].sum().reindex(world.truth["customer_id"])
    return pd.DataFrame({"silent": revenue.isna().to_numpy(), "revenue": revenue.fillna(0).to_numpy()})


def calibration_error(probability: pd.Series, happened: pd.Series, bins: int = 10) -> float:
    pairs = pd.DataFrame({"p": probability.to_numpy(), "y": happened.to_numpy(float)})
    by_bin = pairs.groupby(np.minimum((pairs["p"] * bins).astype(int), bins - 1)).agg(["mean", "size"])
    gap = (by_bin["p", "mean"] - by_bin["y", "mean"]).abs()
    return float((gap * by_bin["p", "size"]).sum() / len(pairs))


def test_the_same_arguments_give_the_same_tables() -> None:
    one, two = generate(50, 6, seed=1), generate(50, 6, seed=1)
    assert_frame_equal(one.truth, two.truth)
    for name in KEYS:
        assert_frame_equal(one.tables[name], two.tables[name])


def test_another_seed_gives_other_orders() -> None:
    one, two = generate(50, 6, seed=1), generate(50, 6, seed=2)
    assert not one.tables["orders"]["amount"].head(30).equals(two.tables["orders"]["amount"].head(30))


@pytest.mark.slow
@pytest.mark.parametrize("name", KEYS)
def test_every_row_has_an_id_of_its_own_and_a_known_customer(world: Synthetic, name: str) -> None:
    table = world.tables[name]
    assert table[KEYS[name]].is_unique
    assert table["customer_id"].isin(world.truth["customer_id"]).all()
    assert table.drop(columns="redeemed_at", errors="ignore").notna().all(axis=None)


@pytest.mark.parametrize(("customers", "months", "seed"), [(1, 1, 0), (1, 1, 1), (2, 120, 1)])
def test_the_smallest_worlds_have_all_tables_with_utc_microseconds(customers: int, months: int, seed: int) -> None:
    tables = generate(customers, months, seed).tables
    assert set(tables) == set(KEYS)
    for table in tables.values():
        moments = table.dtypes[[column for column in table if column.endswith("_at")]]
        assert (moments.astype(str) == "datetime64[us, UTC]").all()


def test_events_lie_within_the_data_and_not_before_signing_up(world: Synthetic) -> None:
    rows = world.tables["orders"].merge(world.tables["customers"], on="customer_id")
    assert rows["ordered_at"].between(pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-10-01", tz="UTC")).all()
    assert (rows["ordered_at"] >= rows["signed_up_at"]).all()
    assert (rows["recorded_at"] >= rows["ordered_at"]).all()


def test_customers_join_over_the_whole_span(world: Synthetic) -> None:
    joined = world.tables["customers"]["signed_up_at"].dt.tz_localize(None).dt.to_period("M")
    assert set(pd.period_range("2023-02", "2024-09", freq="M")) <= set(joined)


def test_a_few_rows_are_recorded_days_late(world: Synthetic) -> None:
    rows = world.tables["orders"]
    late = (rows["recorded_at"] - rows["ordered_at"] > pd.Timedelta(days=1)).mean()
    assert late == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize(
    ("table", "at"), [("orders", "ordered_at"), ("interactions", "occurred_at"), ("contacts", "redeemed_at")]
)
def test_who_has_left_does_nothing_more(world: Synthetic, table: str, at: str) -> None:
    rows = world.tables[table].merge(world.truth, on="customer_id")
    assert rows["left_at"].notna().any()
    assert not (rows[at] >= rows["left_at"]).any()


def test_a_return_comes_with_a_purchase_at_the_same_moment(world: Synthetic) -> None:
    rows = world.tables["orders"]
    returns, bought = rows[rows["amount"] < 0], rows[rows["amount"] > 0]
    assert len(returns) / len(bought) == pytest.approx(0.04, abs=0.01)
    assert len(returns.merge(bought, on=["customer_id", "ordered_at"])) >= len(returns)


def test_leaving_is_told_only_when_it_happened_within_the_data(world: Synthetic) -> None:
    truth = world.truth
    assert truth["left_at"].dropna().lt(pd.Timestamp("2024-10-01", tz="UTC")).all()
    assert (truth["left_at"] - truth["turned_at"]).dropna().eq(pd.Timedelta(days=SIGN_DAYS)).all()
    assert truth["reason"].isna().equals(truth["turned_at"].isna())
    assert set(truth["reason"].dropna()) == set(REASONS)


def test_quiet_leavers_order_ever_less_before_they_leave(orders: pd.DataFrame) -> None:
    """Expected 0.6, 0.35 and 0.15 of the own rate in the three stretches; stayers 1."""
    quiet = orders[orders["reason"] == "quiet"]
    leavers = quiet.loc[quiet["left_at"].notna()]
    stretch = (days_before_leaving(leavers, "ordered_at") // 20).loc[lambda s: s < 3].value_counts()
    assert stretch[2] > 1.3 * stretch[1] > 1.3**2 * stretch[0]


def test_complaining_leavers_complain_far_more_than_stayers(world: Synthetic) -> None:
    rows = world.tables["interactions"].query("kind == 'complaint'").merge(world.truth, on="customer_id")
    truth = world.truth
    leavers = truth[(truth["reason"] == "complaint") & truth["left_at"].notna()]
    signs = rows["customer_id"].isin(leavers["customer_id"]) & (days_before_leaving(rows, "occurred_at") <= SIGN_DAYS)
    stayers = truth[truth["turned_at"].isna()]
    observed = (stayers["observed_until"] - stayers["observed_from"]).dt.days.sum()
    assert signs.sum() / (len(leavers) * SIGN_DAYS) == pytest.approx(0.06, rel=0.1)
    assert rows["customer_id"].isin(stayers["customer_id"]).sum() / observed == pytest.approx(0.002, rel=0.1)


def test_discount_chasing_leavers_buy_mostly_at_a_discount(orders: pd.DataFrame) -> None:
    chasing = (orders["reason"] == "discount") & (orders["ordered_at"] >= orders["turned_at"])
    settled = orders["turned_at"].isna()
    assert (orders.loc[chasing, "discount"] > 0).mean() == pytest.approx(0.9, abs=0.03)
    assert (orders.loc[settled, "discount"] > 0).mean() < 0.3


def test_saturdays_and_evenings_are_busy(orders: pd.DataFrame) -> None:
    by_day = orders["ordered_at"].dt.dayofweek.value_counts()
    by_hour = orders["ordered_at"].dt.hour.value_counts().reindex(range(24), fill_value=0)
    assert by_day.idxmax() == 5
    assert by_hour.idxmax() in (17, 18)
    assert by_hour[3] == 0


def test_age_group_has_no_bearing_on_leaving(world: Synthetic) -> None:
    rows = world.tables["customers"].merge(world.truth, on="customer_id")
    shares = rows.groupby("age_group")["left_at"].agg(lambda at: at.notna().mean())
    sizes = rows.groupby("age_group").size()
    overall = rows["left_at"].notna().mean()
    assert ((shares - overall).abs() < 4 * np.sqrt(overall * (1 - overall) / sizes)).all()


def test_a_treated_contact_brings_a_few_more_orders_than_a_held_out_one(world: Synthetic) -> None:
    """The true effect: 0.15 orders within 14 days, for a customer who has not left."""
    contacts = world.tables["contacts"].merge(world.truth, on="customer_id")
    day = contacts["contacted_at"].dt.normalize()
    contacts = contacts[(contacts["left_at"].isna() | (contacts["left_at"] > day)) & (day < "2024-09-01")]
    assert contacts.loc[contacts["arm"] == "holdout", "redeemed_at"].isna().all()
    pairs = contacts[["contact_id", "contacted_at", "customer_id", "arm"]].merge(
        world.tables["orders"].query("amount > 0"), on="customer_id"
    )
    after = pairs["ordered_at"] - pairs["contacted_at"].dt.normalize()
    responses = pairs[after.between(pd.Timedelta(days=1), pd.Timedelta(days=15), inclusive="left")]
    counts = contacts["contact_id"].map(responses.groupby("contact_id").size()).fillna(0)
    treated, held_out = counts[contacts["arm"] == "treated"], counts[contacts["arm"] == "holdout"]
    assert treated.mean() - held_out.mean() == pytest.approx(0.15, abs=0.05)


@pytest.mark.parametrize(("as_of", "days"), [("2024-04-01", 30), ("2024-06-15", 90), ("2024-08-01", 45)])
def test_true_probabilities_and_values_are_calibrated_against_what_happened(
    world: Synthetic, as_of: str, days: int
) -> None:
    probability = true_churn_probability(world.truth, as_of, days)
    value = true_value(world.truth, as_of, days)
    seen = probability.notna()
    happened = outcomes(world, as_of, days)[seen.to_numpy()]
    assert calibration_error(probability[seen], happened["silent"]) < 0.015
    error = happened["revenue"].to_numpy() - value[seen].to_numpy()
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))


def test_true_probabilities_are_calibrated_for_those_who_show_a_sign(world: Synthetic) -> None:
    as_of = pd.Timestamp("2024-06-01", tz="UTC")
    probability = true_churn_probability(world.truth, as_of, 30)
    truth, happened = world.truth, outcomes(world, "2024-06-01", 30)
    for reason in REASONS:
        signs = (truth["reason"] == reason) & (truth["turned_at"] < as_of) & ~(truth["left_at"] <= as_of)
        expected, size = probability[signs].mean(), signs.sum()
        assert abs(happened.loc[signs, "silent"].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / size)


def test_a_settled_customer_keeps_silent_for_a_week_with_probability_exp_minus_seven_rates() -> None:
    assert true_churn_probability(truth_of(), "2024-01-29", 7)[0] == pytest.approx(np.exp(-0.7))


def test_a_quiet_customer_orders_at_six_tenths_in_the_first_week_of_the_sign() -> None:
    turned = truth_of(turned_at=pd.Timestamp("2024-01-29", tz="UTC"), reason="quiet")
    assert true_churn_probability(turned, "2024-01-29", 7)[0] == pytest.approx(np.exp(-0.7))
    assert true_churn_probability(turned, "2024-01-30", 7)[0] == pytest.approx(np.exp(-0.6 * 0.7))


def test_a_campaign_ahead_lowers_the_probability_by_its_odds() -> None:
    """From the 12th on, five of the fourteen days on which an offer of the 10th is redeemed are over by the 15th."""
    ahead = true_churn_probability(truth_of(), "2024-03-04", 28)[0]
    assert ahead == pytest.approx(np.exp(-2.8) * (1 - 0.3 * 0.5 * 0.15))
    behind = true_churn_probability(truth_of(), "2024-03-15", 28)[0]
    assert behind == pytest.approx(np.exp(-2.8) * (1 - 0.3 * 0.5 * 0.15 * 10 / 14) * (1 - 0.3 * 0.5 * 0.15 * 1 / 14))


def test_a_settled_customer_is_worth_rate_times_net_amount() -> None:
    """Net of 20 % discount on every fifth order and of a return of 65 % on every 25th."""
    assert true_value(truth_of(), "2024-01-29", 7)[0] == pytest.approx(0.7 * 30 * (1 - 0.2 * 0.2 - 0.04 * 0.65))


def test_turning_for_sure_tomorrow_is_the_mean_over_the_signs() -> None:
    sure = truth_of(turning_probability_per_day=1.0)
    shares = {"quiet": (0.5, 0.6), "complaint": (0.25, 1.0), "discount": (0.25, 1.0)}
    expected = sum(share * np.exp(-0.7 * orders) for share, orders in shares.values())
    assert true_churn_probability(sure, "2024-01-29", 7)[0] == pytest.approx(expected)


def test_who_has_left_is_silent_for_sure_and_worth_nothing() -> None:
    left = truth_of(
        turned_at=pd.Timestamp("2024-02-01", tz="UTC"), left_at=pd.Timestamp("2024-04-01", tz="UTC"), reason="quiet"
    )
    assert true_churn_probability(left, "2024-04-01", 90)[0] == 1
    assert true_value(left, "2024-04-01", 90)[0] == 0


def test_nothing_is_said_about_customers_who_have_not_joined() -> None:
    later = truth_of(observed_from=pd.Timestamp("2024-06-02", tz="UTC"))
    assert np.isnan(true_churn_probability(later, "2024-06-01", 30)[0])
    assert np.isnan(true_value(later, "2024-06-01", 30)[0])


def test_a_longer_horizon_never_raises_the_probability_of_silence(world: Synthetic) -> None:
    truth = world.truth.head(500)
    shorter, longer = (true_churn_probability(truth, "2024-05-01", days).dropna() for days in (30, 31))
    assert (longer <= shorter).all()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"customers": 0}, "customers"),
        ({"customers": 2.5}, "customers"),
        ({"months": 0}, "months"),
        ({"months": 121}, "months"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"start": "someday"}, "start"),
        ({"start": None}, "start"),
        ({"start": "2024-01-01 06:00"}, "start"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        generate(**({"customers": 5, "months": 1, "seed": 0} | changed))


@pytest.mark.parametrize(
    ("as_of", "days", "named"),
    [("2024-05-01", 0, "horizon_days"), ("2024-05-01 12:00", 30, "as_of"), ("2026-01-01", 30, "after the end")],
)
def test_an_as_of_or_horizon_that_has_no_truth_is_refused(as_of: str, days: int, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        true_churn_probability(truth_of(), as_of, days)
