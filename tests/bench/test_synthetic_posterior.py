import numpy as np
import pandas as pd
import pytest

from bench.synthetic_posterior import churn_probability_given_history
from configs.errors import ConfigError
from features.simulation.shop import Synthetic, generate, true_churn_probability

AS_OF = pd.Timestamp("2024-06-15", tz="UTC")


@pytest.fixture(scope="module")
def world() -> Synthetic:
    return generate(6000, 7, seed=5)


@pytest.fixture(scope="module")
def forecasts(world: Synthetic) -> pd.DataFrame:
    """What is known of each customer at the moment, what is true, and what came."""
    end = AS_OF + pd.Timedelta(days=30)
    orders = world.tables["orders"]
    came = orders.loc[orders["ordered_at"].between(AS_OF, end, inclusive="left"), "customer_id"]
    rows = world.truth.assign(
        best=churn_probability_given_history(world, AS_OF, 30),
        true=true_churn_probability(world.truth, AS_OF, 30),
        silent=~world.truth["customer_id"].isin(came),
    )
    return rows[rows["true"].notna()]


def log_loss(p: pd.Series, y: pd.Series) -> float:
    return float(-np.log(np.where(y, p, 1 - p).clip(1e-15)).mean())


def z_of_mean(values: pd.Series) -> float:
    return float(values.mean() / (values.std() / np.sqrt(len(values))))


def quiet_shop(**tables: pd.DataFrame) -> Synthetic:
    """One northern customer from the first day on, of whom nothing was ever recorded, unless told."""
    built = generate(1, 6, seed=1)
    truth = built.truth.assign(observed_from=pd.Timestamp("2024-01-01", tz="UTC").as_unit("us"))
    customers = built.tables["customers"].assign(region="south", signed_up_at=pd.Timestamp("2023-06-01", tz="UTC"))
    empty = {name: table.iloc[:0] for name, table in built.tables.items()}
    return Synthetic(empty | {"customers": customers} | tables, truth)


def orders_on(days: list[str], late: int = 0) -> pd.DataFrame:
    at = pd.to_datetime(days, utc=True).as_unit("us") + pd.Timedelta(hours=12)
    built = generate(1, 6, seed=1)
    common = {"customer_id": built.truth["customer_id"].iloc[0], "amount": 10.0, "discount": 0.0}
    return pd.DataFrame({"ordered_at": at, "recorded_at": at + pd.Timedelta(days=late)}).assign(**common)


def test_on_the_first_day_nothing_is_known_and_the_mean_over_all_customers_is_forecast() -> None:
    """A drawn population of fifty thousand has the same mean, by region."""
    many = generate(50_000, 1, seed=2)
    true = true_churn_probability(many.truth, "2024-01-01", 30)
    south = (many.tables["customers"]["region"] == "south") & true.notna()
    expected, error = true[south].mean(), true[south].std() / np.sqrt(south.sum())
    assert abs(churn_probability_given_history(quiet_shop(), "2024-01-01", 30)[0] - expected) < 4 * error


@pytest.mark.slow
def test_the_forecast_is_the_mean_truth_among_customers_with_like_forecasts(forecasts: pd.DataFrame) -> None:
    middle = forecasts[forecasts["best"].between(0.02, 0.98)]
    groups = (middle["true"] - middle["best"]).groupby(pd.qcut(middle["best"], 15), observed=True)
    assert groups.agg(z_of_mean).abs().max() < 4
    sure = forecasts[forecasts["best"] > 0.98]
    assert abs((sure["true"] - sure["best"]).mean()) < 0.005


@pytest.mark.parametrize("by", ["turned_at", "contacts", "region", "since"])
def test_it_is_right_on_average_in_every_group_that_the_data_tells(
    forecasts: pd.DataFrame, world: Synthetic, by: str
) -> None:
    """Groups by what had been recorded; turning is not recorded, so those who had turned are forecast too low."""
    gap = forecasts["true"] - forecasts["best"]
    if by == "turned_at":
        assert z_of_mean(gap[forecasts["turned_at"] <= AS_OF]) > 4
        return
    contacts = world.tables["contacts"].query("contacted_at < @AS_OF and arm == 'treated'")
    known = {
        "contacts": forecasts["customer_id"].isin(contacts.loc[contacts["contacted_at"] > "2024-06-01", "customer_id"]),
        "region": world.tables["customers"].loc[forecasts.index, "region"],
        "since": forecasts["observed_from"].dt.month,
    }
    assert gap.groupby(known[by]).agg(z_of_mean).abs().max() < 4


def test_its_loss_lies_between_that_of_the_truth_and_that_of_the_rate(forecasts: pd.DataFrame) -> None:
    rate = pd.Series(forecasts["silent"].mean(), forecasts.index)
    losses = [log_loss(p, forecasts["silent"]) for p in (forecasts["true"], forecasts["best"], rate)]
    assert losses == sorted(losses) and losses[0] < 0.95 * losses[1] < 0.95**2 * losses[2]


def test_what_was_recorded_after_the_moment_changes_nothing(world: Synthetic, forecasts: pd.DataFrame) -> None:
    cut = {name: world.tables[name].query("recorded_at <= @AS_OF") for name in ("orders", "interactions")}
    contacts = world.tables["contacts"].query("contacted_at < @AS_OF")
    contacts = contacts.assign(redeemed_at=contacts["redeemed_at"].where(contacts["redeemed_at"] < AS_OF))
    again = churn_probability_given_history(
        Synthetic(world.tables | cut | {"contacts": contacts}, world.truth), AS_OF, 30
    )
    assert np.array_equal(again[forecasts.index], forecasts["best"])


def test_a_longer_silence_after_regular_orders_raises_it() -> None:
    regular = quiet_shop(orders=orders_on([f"2024-01-{day:02d}" for day in range(2, 30, 3)]))
    forecasts = [
        churn_probability_given_history(regular, day, 30)[0] for day in ("2024-02-01", "2024-02-15", "2024-04-15")
    ]
    assert forecasts == sorted(forecasts) and forecasts[0] < 0.1 < 0.95 < forecasts[2]


def test_an_order_that_is_recorded_late_counts_only_from_then_on() -> None:
    early, late, never = (
        churn_probability_given_history(shop, "2024-02-01", 30)[0]
        for shop in (
            quiet_shop(orders=orders_on(["2024-01-30"])),
            quiet_shop(orders=orders_on(["2024-01-30"], 4)),
            quiet_shop(),
        )
    )
    assert early < late == never


def test_a_longer_horizon_never_raises_it(world: Synthetic, forecasts: pd.DataFrame) -> None:
    few = Synthetic(world.tables, world.truth.head(200))
    shorter, longer = (churn_probability_given_history(few, AS_OF, days).dropna() for days in (30, 31))
    assert len(shorter) > 50 and (longer <= shorter).all()


def test_who_has_not_joined_has_no_forecast(world: Synthetic, forecasts: pd.DataFrame) -> None:
    best = churn_probability_given_history(world, AS_OF, 30)
    assert best.index.equals(world.truth.index)
    assert best.isna().equals(true_churn_probability(world.truth, AS_OF, 30).isna())


def test_a_moment_after_the_data_is_refused(world: Synthetic) -> None:
    with pytest.raises(ConfigError, match="after the end"):
        churn_probability_given_history(world, "2026-01-01", 30)
