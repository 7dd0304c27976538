"""The best forecast of leaving that the data of a made-up company allows: all that its tables tell, and no more.

`features.simulation.shop.true_churn_probability` knows each customer's own rate and whether the customer has turned. No
model can know that. This module averages it over what is hidden, given all that was recorded by the moment: Bayes' rule
with the very distributions that the customers were drawn from. No forecast from the same tables has a smaller expected
log loss, so it parts the gap between a model and the truth: what the data does not hold, and what the model missed.

Given the day of turning and the sign, a customer's orders, visits and complaints are independent Poisson processes
whose intensities are constant within five stretches: settled, the three of the sign, left. Gamma distributed rates
integrate out in closed form (as in Fader, Hardie and Lee 2005, Marketing Science 24(2)); what remains is a finite sum
over days and signs. An event that was recorded late counts as unseen until then: every day's intensity is multiplied by
the share of its events that is recorded in time.

Tables within this module have the shape (n, K) or (n, K, 5): customers, days of turning, stretches. Days are counted
from the first day of the data; the last day of turning stands for "not before the horizon ends".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gamma, roots_genlaguerre

from features.simulation import shop
from features.simulation.shop import REASONS, SETTLED, SIGN_DAYS, SIGNS, STRETCH_DAYS, Synthetic

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]

NODES = 48
CHUNK = 500
VISITS = ("login", "visit")
TICKETS_PER_DAY = 0.008
VISITING_SHAPE, VISITING_SCALE = 2.0, 0.05
RECORDING_SECONDS, LATE_DAYS = 600.0, (1.0, 5.0)


@dataclass(frozen=True)
class _Seen:
    """What was recorded of each customer, counts a day of shape (n, days), and what of it could be.

    ``orders`` are those of the customer's own accord, ``offers`` the campaigns whose offer a customer got and has not
    redeemed, shape (n, campaigns); ``recorded`` the share of a day's events that is recorded by now, shape (days,).
    """

    since: Days
    pace: Array
    orders: Array
    discounted: Array
    visits: Array
    complaints: Array
    tickets: Array
    redeemed: Array
    offers: Array
    campaigns: Days
    recorded: Array

    def part(self, rows: slice) -> _Seen:
        """The same of some customers."""
        common = ("campaigns", "recorded")
        return _Seen(**{name: table if name in common else table[rows] for name, table in vars(self).items()})


def churn_probability_given_history(made: Synthetic, as_of: str | pd.Timestamp, horizon_days: int) -> pd.Series:
    """Probability that a customer orders nothing in ``[as_of, as_of + horizon_days)``, given what was recorded.

    Of `made.truth` only ``observed_from`` is used, which follows from when a customer signed up. Orders and
    interactions count when they had been recorded by `as_of`, contacts when they had been made, redemptions when they
    had happened. Who will be contacted is not known; it is averaged over, as in `true_churn_probability`.

    Parameters
    ----------
    made
        From `features.simulation.shop.generate`.
    as_of
        A midnight, UTC, at most the end of the data.
    horizon_days
        1 to 3660.

    Returns
    -------
    Series
        Indexed as `made.truth`; NaN for who is not yet observed at `as_of`.

    Raises
    ------
    ConfigError
        An argument is out of its range.
    """
    known = shop.true_churn_probability(made.truth, as_of, horizon_days).notna().to_numpy()
    out = np.full(len(known), np.nan)
    if known.any():
        moment = pd.to_datetime(as_of, utc=True)
        first, today = shop._days(made.truth["observed_from"]).min(), shop._day(moment)
        seen = _history(made, known, moment, int(first))
        coming = shop._campaigns(today, today + horizon_days) - first
        weekdays = shop.WEEKDAYS[shop._weekday(np.arange(first, today + horizon_days))]
        parts = [seen.part(slice(at, at + CHUNK)) for at in range(0, int(known.sum()), CHUNK)]
        out[known] = np.concatenate([_averaged(part, weekdays, coming) for part in parts])
    return pd.Series(out, made.truth.index, name="churn_probability")


def _averaged(seen: _Seen, weekdays: Array, coming: Days) -> Array:
    """Probability of silence, averaged over when and how each customer turns; shape (n,)."""
    days, end = seen.orders.shape[1], len(weekdays)
    turning = np.arange(end + 1)
    present = np.arange(days) >= seen.since[:, None]
    steady = _in_stretches(present * seen.recorded, turning)
    busy = _in_stretches(present * seen.recorded * weekdays[:days], turning)
    ahead = _in_stretches(weekdays[None, days:], turning - days)[0]
    gone = turning + SIGN_DAYS
    past, later = (_unredeemed(seen.campaigns, gone, until) for until in (days, end))
    anyone = _unredeemed(coming, gone, end, shop.CONTACTED * shop.TREATED)
    common = _log_turning(seen.since, end) + seen.offers @ past + _log_alive(seen, turning, steady)
    no_offer = np.exp(seen.offers @ (later - past) + anyone.sum(axis=0))
    shape, rate = _own_rate(seen)
    weights, silences = [], []
    for reason in REASONS:
        pace = rate + busy @ _levels(reason, "orders")
        weights.append(common + np.log(SIGNS[reason].share) + _log_shown(seen, reason, turning, steady, busy, pace))
        silences.append(no_offer * (pace / (pace + ahead @ _levels(reason, "orders"))) ** shape)
    weight = np.stack(weights)
    weight = np.exp(weight - weight.max(axis=(0, 2), keepdims=True))
    return (weight * np.stack(silences)).sum(axis=(0, 2)) / weight.sum(axis=(0, 2))


def _own_rate(seen: _Seen) -> tuple[Array, Array]:
    """Gamma shape, and rate before any exposure, of each customer's order intensity; shapes (n, 1)."""
    shape = shop.ORDER_RATE_SHAPE + seen.orders.sum(axis=1, keepdims=True)
    return shape, shop.ORDER_RATE_SHAPE / shop.ORDERS_PER_DAY / seen.pace[:, None]


def _log_turning(since: Days, end: int) -> Array:
    """Log prior of the day of turning, 0 to `end`: geometric from `since` on, its odds gamma distributed; (n, K)."""
    node, share = roots_genlaguerre(NODES, shop.TURNING_SHAPE - 1)
    odds = np.minimum(node * shop.TURNING_PER_DAY / shop.TURNING_SHAPE, 0.2) + 1e-9
    still = (1 - odds) ** np.arange(end + 1)[:, None]
    share = share / gamma(shop.TURNING_SHAPE)
    waited = np.arange(end + 1) - since[:, None]
    prior = np.where(waited < 0, 0.0, (still @ (share * odds))[np.maximum(waited, 0)])
    prior[:, -1] = (still @ share)[end - since]
    with np.errstate(divide="ignore"):
        return np.log(prior)


def _log_alive(seen: _Seen, turning: Days, steady: Array) -> Array:
    """Log likelihood of tickets, and of nothing at all after leaving; shape (n, K)."""
    events = seen.orders + seen.visits + seen.complaints + seen.tickets + seen.redeemed
    tickets = -TICKETS_PER_DAY * steady[:, :, :4].sum(axis=2)
    return np.where(_in_stretches(events, turning)[:, :, 4] > 0, -np.inf, tickets)


def _log_shown(seen: _Seen, reason: str, turning: Days, steady: Array, busy: Array, pace: Array) -> Array:
    """Log likelihood of orders, discounts, visits and complaints under a sign, up to a constant; shape (n, K)."""
    shape, _ = _own_rate(seen)
    orders, discounted, visits, complaints = (
        _in_stretches(n, turning) for n in (seen.orders, seen.discounted, seen.visits, seen.complaints)
    )
    visiting = 1 / VISITING_SCALE + busy @ _levels(reason, "visits")
    complaining = np.array([SETTLED.complaints_per_day, *[SIGNS[reason].complaints_per_day] * 3, 0.0])
    usual, odds = SETTLED.discounted, SIGNS[reason].discounted
    return np.asarray(
        orders[:, :, 1:4] @ np.log(SIGNS[reason].orders)
        - shape * np.log(pace)
        + visits[:, :, 1:4] @ np.log(SIGNS[reason].visits)
        - (VISITING_SHAPE + seen.visits.sum(axis=1, keepdims=True)) * np.log(visiting)
        + complaints[:, :, :4] @ np.log(complaining[:4])
        - steady @ complaining
        + discounted[:, :, 1:4].sum(axis=2) * np.log(odds / usual)
        + (orders - discounted)[:, :, 1:4].sum(axis=2) * np.log((1 - odds) / (1 - usual))
    )


def _levels(reason: str, column: str) -> Array:
    """Multiples of the settled intensity in the five stretches."""
    return np.array([1.0, *getattr(SIGNS[reason], column), 0.0])


def _in_stretches(per_day: Array, turning: Days) -> Array:
    """Sums of `per_day`, shape (n, days), over the five stretches, for every day of turning; shape (n, K, 5)."""
    days = per_day.shape[1]
    running = np.concatenate([np.zeros((len(per_day), 1)), np.cumsum(per_day, axis=1)], axis=1)
    begins = np.clip(turning[:, None] + STRETCH_DAYS * np.arange(4), 0, days)
    edges = np.concatenate([np.zeros((len(turning), 1), int), begins, np.full((len(turning), 1), days)], axis=1)
    return np.asarray(np.diff(running[:, edges], axis=2))


def _unredeemed(campaigns: Days, gone: Days, until: int, reach: float = 1.0) -> Array:
    """Log probability that an offer is not redeemed before `until` by who leaves on day `gone`; (campaigns, K)."""
    open_days = np.clip(np.minimum(gone, until) - campaigns[:, None] - 1, 0, shop.REDEEM_DAYS)
    return np.log1p(-reach * shop.REDEMPTION / shop.REDEEM_DAYS * open_days)


def _history(made: Synthetic, known: npt.NDArray[np.bool_], moment: pd.Timestamp, first: int) -> _Seen:
    """What the tables hold of some customers at the moment."""
    people = made.tables["customers"].set_index("customer_id").loc[made.truth.loc[known, "customer_id"]]
    since = shop._days(made.truth.loc[known, "observed_from"]) - first
    size = len(people), shop._day(moment) - first

    def who(rows: pd.DataFrame) -> Days:
        return np.asarray(people.index.get_indexer(pd.Index(rows["customer_id"])), dtype=np.int64)

    def counted(rows: pd.DataFrame, at: str) -> Array:
        day, row = shop._days(rows[at]) - first, who(rows)
        kept = (row >= 0) & (day >= since[row]) & (day < size[1])
        return np.bincount(row[kept] * size[1] + day[kept], minlength=size[0] * size[1]).reshape(size).astype(float)

    contacts = made.tables["contacts"].query("contacted_at < @moment")
    redeemed = contacts[contacts["redeemed_at"] < moment]
    orders = _own_orders(_recorded_by(made.tables["orders"], moment), redeemed)
    others = _recorded_by(made.tables["interactions"], moment)
    kinds = {kind: counted(others[others["kind"] == kind], "occurred_at") for kind in (*VISITS, "complaint", "ticket")}
    offered = contacts[(contacts["arm"] == "treated") & ~(contacts["redeemed_at"] < moment)]
    campaigns = shop._campaigns(first, first + size[1])
    offers = np.zeros((size[0], len(campaigns)))
    np.add.at(offers, (who(offered), np.searchsorted(campaigns, shop._days(offered["contacted_at"]))), 1)
    return _Seen(
        since=since,
        pace=np.array([shop.REGIONS[region][1] for region in people["region"]]),
        orders=counted(orders, "ordered_at"),
        discounted=counted(orders[orders["discount"] > 0], "ordered_at"),
        visits=kinds["login"] + kinds["visit"],
        complaints=kinds["complaint"],
        tickets=kinds["ticket"],
        redeemed=counted(redeemed, "redeemed_at"),
        offers=offers,
        campaigns=campaigns - first,
        recorded=_recorded_in_time(size[1]),
    )


def _own_orders(orders: pd.DataFrame, redeemed: pd.DataFrame) -> pd.DataFrame:
    """Purchases of the customers' own accord: without returns and without those that redeem an offer."""
    taken = pd.MultiIndex.from_frame(redeemed[["customer_id", "redeemed_at"]])
    bought = orders[orders["amount"] > 0]
    return bought[~pd.MultiIndex.from_frame(bought[["customer_id", "ordered_at"]]).isin(taken)]


def _recorded_by(rows: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    return rows[rows["recorded_at"] <= moment]


def _recorded_in_time(days: int) -> Array:
    """Share of the events of each of some days that is recorded when the last of them ends."""
    left = days - np.arange(days)[:, None] - (np.arange(24) + 0.5) / 24
    soon = -np.expm1(-left * 86_400 / RECORDING_SECONDS)
    low, high = LATE_DAYS
    late = np.clip((left - low) / (high - low), 0, 1)
    return ((1 - shop.LATE_SHARE) * soon + shop.LATE_SHARE * late) @ shop.HOURS
