"""Seeded customers whose truth is known: who leaves, when, why, and how likely that was.

A model that learns from these tables can be judged against the best answer there is, not only against what
happened to happen. The world is simple enough to be computed exactly, day by day (all days are UTC days):

- A customer has an own order rate (gamma over customers) and an own mean amount (log-normal over customers),
  as in the BG/NBD and Pareto/NBD families (Fader, Hardie, Lee 2005, Marketing Science 24(2)).
- A **settled** customer orders as a Poisson process whose intensity is the rate times the weight of the weekday.
  Every midnight the customer *turns* with an own small probability (geometric; its odds vary over customers).
- A customer who has **turned** leaves `SIGN_DAYS` days later and shows one sign until then: goes quiet, complains
  or buys at a discount only. The intensity is constant within each of three stretches of the sign.
- Who has **left** orders nothing more.
- On the 10th of each month a campaign picks customers by a coin and splits them by a second coin. A treated
  customer who has not left redeems with probability `REDEMPTION`: one more order, within `REDEEM_DAYS` days.
  Nothing else depends on contacts, so this is the whole true effect of a treatment.
- A return is brought back together with the next purchase, at the same time; so a return alone never makes a
  customer look alive.

Region acts on the order rate. Age group acts on nothing: any difference found between age groups is chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.errors import ConfigError

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]
Rows = Days | np.int64
Given = Callable[[Days, Rows, Rows], Array]

STRETCH_DAYS = 20
SIGN_DAYS = 3 * STRETCH_DAYS
NEVER = np.int64(10**6)


@dataclass(frozen=True)
class Sign:
    """How a customer behaves between turning and leaving.

    Parameters
    ----------
    share
        Share of turning customers who show this sign.
    orders
        Order intensity in each stretch, as a multiple of the settled one; at most 1.
    visits
        The same for logins and visits.
    complaints_per_day
        Intensity of complaints.
    discounted
        Share of orders bought at a discount.
    """

    share: float
    orders: tuple[float, float, float]
    visits: tuple[float, float, float]
    complaints_per_day: float
    discounted: float


SETTLED = Sign(0.0, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), complaints_per_day=0.002, discounted=0.2)
SIGNS = {
    "quiet": Sign(0.5, (0.6, 0.35, 0.15), (0.6, 0.3, 0.1), complaints_per_day=0.002, discounted=0.2),
    "complaint": Sign(0.25, (1.0, 0.7, 0.4), (1.0, 0.9, 0.7), complaints_per_day=0.06, discounted=0.2),
    "discount": Sign(0.25, (1.0, 0.9, 0.7), (1.0, 1.0, 0.9), complaints_per_day=0.002, discounted=0.9),
}
REASONS = tuple(SIGNS)

ORDERS_PER_DAY = 0.08
ORDER_RATE_SHAPE = 1.6
TURNING_PER_DAY = 1 / 500
TURNING_SHAPE = 1.5
EXISTING_SHARE = 0.4

WEEKDAYS = np.array([0.85, 0.85, 0.9, 0.95, 1.15, 1.35, 0.95])
HOURS = np.array([1, 1, 0, 0, 0, 1, 2, 4, 6, 8, 9, 10, 11, 10, 9, 9, 10, 13, 14, 12, 9, 6, 4, 2]) / 151

AMOUNT_SIGMA = 0.6
DISCOUNT_LOW, DISCOUNT_HIGH = 0.1, 0.3
RETURN_SHARE = 0.04
RETURN_LOW, RETURN_HIGH = 0.3, 1.0
LATE_SHARE = 0.02

CAMPAIGN_DAY = 10
CONTACTED = 0.3
TREATED = 0.5
REDEMPTION = 0.15
REDEEM_DAYS = 14
COUPON = 0.1
CONTACT_COST = 1.5

REGIONS = {"east": (0.3, 0.9), "north": (0.3, 1.2), "south": (0.25, 1.0), "west": (0.15, 0.9)}
AGE_GROUPS = {"18-29": 0.2, "30-44": 0.3, "45-59": 0.25, "60-74": 0.17, "75+": 0.08}
CHANNELS = {"app": 0.25, "store": 0.45, "web": 0.3}
CATEGORIES = {"drinks": 0.2, "fresh": 0.35, "home": 0.15, "pantry": 0.3}

_DAY = 86_400_000_000
_RETURNED = RETURN_SHARE * (RETURN_LOW + RETURN_HIGH) / 2
_DISCOUNT = (DISCOUNT_LOW + DISCOUNT_HIGH) / 2


@dataclass(frozen=True)
class Synthetic:
    """Tables as a company would have them, and the truth that no company has.

    Parameters
    ----------
    tables
        ``customers`` (one row a customer), ``orders`` (one row an order or a return), ``interactions`` (one row
        a contact by the customer), ``contacts`` (one row a contact by the company).
    truth
        One row a customer: ``customer_id``; ``observed_from`` and ``observed_until``, between which the customer's
        days are drawn (from the midnight after signing up, or from the start of the data); ``turned_at``, when the
        sign began (NaT: not by the end); ``left_at`` (NaT: still here at the end); ``reason``: quiet, complaint or
        discount, None for who has not turned; ``order_rate_per_day`` of the settled customer, on average over a
        week; ``mean_amount`` of an order before discount and returns; ``turning_probability_per_day``.
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame


def generate(customers: int, months: int, seed: int, start: str | pd.Timestamp = "2024-01-01") -> Synthetic:
    """Draw a company's tables, and the truth behind them.

    Parameters
    ----------
    customers
        How many; 1 to 5,000,000.
    months
        Length of the data; 1 to 120. It ends where this many months after `start` begin (exclusive).
    seed
        Not negative. The same arguments give the same tables.
    start
        A midnight, UTC.

    Returns
    -------
    Synthetic
        Ids count upwards in time within each table. Rows may be recorded after the end of the data, as in life.

    Raises
    ------
    ConfigError
        An argument is out of its range.
    """
    begin = _midnight(start, "start")
    _in_range(customers, "customers", 1, 5_000_000)
    _in_range(months, "months", 1, 120)
    _in_range(seed, "seed", 0, 2**63 - 1)
    span = _day(begin), _day(begin + pd.DateOffset(months=months))
    rng = np.random.default_rng(seed)
    population = _draw_population(rng, customers, *span)
    contacts = _contacts(rng, population)
    tables = {
        "customers": population[["customer_id", "signed_up_at", "region", "age_group"]].copy(),
        "orders": _orders(rng, population, contacts),
        "interactions": _interactions(rng, population),
        "contacts": contacts.drop(columns="who"),
    }
    return Synthetic(tables, _truth(population))


def true_churn_probability(truth: pd.DataFrame, as_of: str | pd.Timestamp, horizon_days: int) -> pd.Series:
    """Probability that a customer orders nothing in ``[as_of, as_of + horizon_days)``, given the true state.

    The state is what only the generator knows: settled, turned (when, with which sign) or left, and the customer's
    own rate and odds of turning. Who was contacted is not part of it; contacts, past and to come, are averaged over.
    With ``w`` the weekday weights, ``f`` the sign's intensity by age, and ``k`` the day of turning, the probability
    for one ``k`` is ``exp(-rate * sum_j w[j] f(j - k))`` times, for each campaign, one minus the probability that
    its order falls into the horizon. For a settled customer this is averaged over the sign and over
    ``P(k) = p (1 - p)^k``, with ``(1 - p)^horizon`` left for not turning at all. The sums are finite: no sampling
    and no approximation.

    Parameters
    ----------
    truth
        From `generate`.
    as_of
        A midnight, UTC, at most the end of the data.
    horizon_days
        1 to 3660; may reach past the end of the data.

    Returns
    -------
    Series
        Indexed as `truth`; 1 for who has left, NaN for who is not yet observed at `as_of`.

    Raises
    ------
    ConfigError
        An argument is out of its range.
    """
    outlook = _outlook(truth, as_of, horizon_days)

    def silent(who: Days, row: Rows, sign: Rows) -> Array:
        organic = np.exp(-outlook.rate[who] * outlook.exposure[sign, row])
        return organic * outlook.unredeemed[outlook.reached[who], row]

    return pd.Series(outlook.average(silent), truth.index, name="churn_probability")


def true_value(truth: pd.DataFrame, as_of: str | pd.Timestamp, horizon_days: int) -> pd.Series:
    """Expected net revenue in ``[as_of, as_of + horizon_days)``, given the true state.

    Discounts and returns are subtracted; nothing is discounted for time. Exact in the sense of
    `true_churn_probability`, up to the rounding of amounts to cents. Arguments and errors are the same.

    Returns
    -------
    Series
        Indexed as `truth`; 0 for who has left, NaN for who is not yet observed at `as_of`.
    """
    outlook = _outlook(truth, as_of, horizon_days)

    def revenue(who: Days, row: Rows, sign: Rows) -> Array:
        orders = outlook.rate[who] * outlook.net_exposure[sign, row] + outlook.net_redeemed[outlook.reached[who], row]
        return outlook.amount[who] * orders

    return pd.Series(outlook.average(revenue), truth.index, name="value")


@dataclass(frozen=True)
class _Outlook:
    """What lies ahead of each customer, tabled by the day of turning.

    Row ``k + SIGN_DAYS`` of a table is for turning on day ``k`` after as_of: row 0 for who has left, the last row
    for who does not turn within the horizon.
    """

    horizon: int
    rate: Array
    amount: Array
    turning: Array
    turned: Days
    sign: Days
    observed: npt.NDArray[np.bool_]
    reached: Days
    exposure: Array
    net_exposure: Array
    unredeemed: Array
    net_redeemed: Array

    def average(self, given: Given) -> Array:
        """Mean of `given(customers, row, sign)` over when and how each customer turns."""
        out = np.full(len(self.rate), np.nan)
        known = np.flatnonzero(self.observed & (self.turned < 0))
        out[known] = given(known, np.maximum(self.turned[known] + SIGN_DAYS, 0), self.sign[known])
        settled = np.flatnonzero(self.observed & (self.turned >= 0))
        out[settled] = self._over_turning(settled, given)
        return out

    def _over_turning(self, who: Days, given: Given) -> Array:
        turning, still, total = self.turning[who], np.ones(len(who)), np.zeros(len(who))
        for day in range(self.horizon):
            for sign, reason in enumerate(REASONS):
                at = given(who, np.int64(day + SIGN_DAYS), np.int64(sign))
                total += still * turning * SIGNS[reason].share * at
            still = still * (1 - turning)
        return total + still * given(who, np.int64(self.horizon + SIGN_DAYS), np.int64(0))


def _outlook(truth: pd.DataFrame, as_of: str | pd.Timestamp, horizon_days: int) -> _Outlook:
    _in_range(horizon_days, "horizon_days", 1, 3660)
    today = _day(_midnight(as_of, "as_of"))
    since, until = _days(truth["observed_from"]), _days(truth["observed_until"])
    if len(truth) and today > until.max():
        raise ConfigError(
            f"as_of {as_of} lies after the end of the synthetic data, {truth['observed_until'].max():%Y-%m-%d}: "
            "what customers have done by then is not drawn; take an earlier as_of or generate more months"
        )
    ages = np.arange(horizon_days) - np.arange(-SIGN_DAYS, horizon_days + 1)[:, None]
    weekdays = WEEKDAYS[_weekday(today + np.arange(horizon_days))]
    weighted = np.stack([_by_age(r, "orders")[_age_row(ages)] * weekdays for r in REASONS])
    price = np.stack([_price(r)[_age_row(ages)] for r in REASONS])
    past, coming = _campaigns(today - REDEEM_DAYS, today), _campaigns(today, today + horizon_days)
    redeemed = [_redeemed(coming - today, ages), _redeemed(np.append(past, coming) - today, ages)]
    return _Outlook(
        horizon=horizon_days,
        rate=truth["order_rate_per_day"].to_numpy(),
        amount=truth["mean_amount"].to_numpy(),
        turning=truth["turning_probability_per_day"].to_numpy(),
        turned=_days(truth["turned_at"]) - today,
        sign=pd.Categorical(truth["reason"], REASONS).codes.astype(np.int64),
        observed=since <= today,
        reached=np.asarray((past[:, None] >= since).any(axis=0), dtype=np.int64),
        exposure=weighted.sum(axis=2),
        net_exposure=(weighted * (price - _RETURNED)).sum(axis=2),
        unredeemed=np.stack([(1 - share).prod(axis=0) for share in redeemed]),
        net_redeemed=np.stack([share.sum(axis=0) for share in redeemed]) * (1 - COUPON - _RETURNED),
    )


def _redeemed(campaigns: Days, ages: Days) -> Array:
    """Probability that a campaign's order falls into the horizon; rows: campaigns, columns: days of turning."""
    day = campaigns[:, None] + np.arange(1, REDEEM_DAYS + 1)
    inside = (day >= 0) & (day < ages.shape[1])
    here = ages[:, np.where(inside, day, 0)] < SIGN_DAYS
    return CONTACTED * TREATED * REDEMPTION / REDEEM_DAYS * (here & inside).sum(axis=2).T


def _by_age(reason: str, column: str) -> Array:
    """Multiples of the settled intensity, by row of `_age_row`: settled, the days of the sign, left."""
    return np.concatenate([[1.0], np.repeat(getattr(SIGNS[reason], column), STRETCH_DAYS), [0.0]])


def _price(reason: str) -> Array:
    """Mean share of the full price that is paid, by row of `_age_row`."""
    discounted = np.concatenate([[SETTLED.discounted], np.full(SIGN_DAYS + 1, SIGNS[reason].discounted)])
    return 1 - discounted * _DISCOUNT


def _age_row(age: Days) -> Days:
    """Row for days since turning: 0 before it, `SIGN_DAYS` + 1 from leaving on."""
    return np.clip(age, -1, SIGN_DAYS) + 1


def _draw_population(rng: np.random.Generator, customers: int, first: int, end: int) -> pd.DataFrame:
    """One row a customer: what the company sees of them, and what drives them."""
    existing = rng.random(customers) < EXISTING_SHARE
    signed_up = np.where(existing, rng.integers(first - 365, first, customers), rng.integers(first, end, customers))
    since = np.where(existing, first, signed_up + 1)
    turning = np.minimum(rng.gamma(TURNING_SHAPE, TURNING_PER_DAY / TURNING_SHAPE, customers), 0.2) + 1e-9
    turned = since + np.minimum(rng.geometric(turning) - 1, NEVER)
    region = _choice(rng, {name: share for name, (share, _) in REGIONS.items()}, customers)
    pace = np.array([REGIONS[name][1] for name in REGIONS])[pd.Categorical(region, list(REGIONS)).codes]
    return pd.DataFrame(
        {
            "customer_id": _ids("c", customers),
            "signed_up_at": _times_of_day(rng, signed_up),
            "region": region,
            "age_group": _choice(rng, AGE_GROUPS, customers),
            "joined": ~existing,
            "since": since,
            "until": end,
            "turned": turned,
            "left": turned + SIGN_DAYS,
            "sign": rng.choice(len(REASONS), customers, p=[SIGNS[r].share for r in REASONS]),
            "turning": turning,
            "rate": pace * rng.gamma(ORDER_RATE_SHAPE, ORDERS_PER_DAY / ORDER_RATE_SHAPE, customers),
            "amount": 35 * rng.lognormal(0, 0.5, customers),
            "visiting": rng.gamma(2, 0.05, customers),
            "favourite": _choice(rng, CATEGORIES, customers),
            "channel": _choice(rng, CHANNELS, customers),
        }
    )


def _truth(population: pd.DataFrame) -> pd.DataFrame:
    """What `Synthetic.truth` promises; nothing after the end of the data is in it."""
    until = population["until"].to_numpy()
    turned, left = (np.where(population[at] < until, population[at], NEVER) for at in ("turned", "left"))
    reason = np.array([*REASONS, None], dtype=object)[np.where(turned < NEVER, population["sign"], -1)]
    return pd.DataFrame(
        {
            "customer_id": population["customer_id"],
            "observed_from": _timestamps(population["since"].to_numpy()),
            "observed_until": _timestamps(until),
            "turned_at": _timestamps(turned),
            "left_at": _timestamps(left),
            "reason": reason,
            "order_rate_per_day": population["rate"],
            "mean_amount": population["amount"],
            "turning_probability_per_day": population["turning"],
        }
    )


def _orders(rng: np.random.Generator, population: pd.DataFrame, contacts: pd.DataFrame) -> pd.DataFrame:
    """Sign-up orders, orders of their own accord, redeemed orders and returns, in the order of time."""
    joined = np.flatnonzero(population["joined"])
    own, day, row = _poisson(rng, population, population["rate"].to_numpy(), "orders", WEEKDAYS)
    redeemed = contacts[contacts["redeemed_at"].notna()]
    odds = _sign_field(population, own, row, "discounted")
    off = np.concatenate(
        [
            _discounts(rng, np.full(len(joined), SETTLED.discounted)),
            _discounts(rng, odds),
            np.full(len(redeemed), COUPON),
        ]
    )
    times = [population["signed_up_at"].iloc[joined], pd.Series(_times_of_day(rng, day)), redeemed["redeemed_at"]]
    orders = pd.DataFrame(
        {
            "who": np.concatenate([joined, own, redeemed["who"].to_numpy(np.int64)]),
            "ordered_at": pd.concat(times, ignore_index=True),
        }
    )
    price = _prices(rng, population, orders["who"])
    orders["amount"] = np.maximum((price * (1 - off)).round(2), 0.01)
    orders["discount"] = (price * off).round(2)
    orders["quantity"] = 1 + rng.poisson(1.5, len(orders))
    brings = orders.iloc[len(joined) :]
    returns = brings.loc[rng.random(len(brings)) < RETURN_SHARE, ["who", "ordered_at"]].copy()
    back = _prices(rng, population, returns["who"]) * rng.uniform(RETURN_LOW, RETURN_HIGH, len(returns))
    returns = returns.assign(amount=-np.maximum(back.round(2), 0.01), discount=0.0, quantity=1)
    return _finish_orders(rng, population, pd.concat([orders, returns], ignore_index=True))


def _finish_orders(rng: np.random.Generator, population: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    """Sort by time and add what has no bearing on whether and how much."""
    orders = orders.sort_values(["ordered_at", "who"], kind="stable", ignore_index=True)
    size, who = len(orders), orders["who"].to_numpy()
    usual = rng.random((2, size)) < 0.6
    return pd.DataFrame(
        {
            "order_id": _ids("o", size),
            "customer_id": population["customer_id"].to_numpy()[who],
            "ordered_at": orders["ordered_at"],
            "amount": orders["amount"],
            "quantity": orders["quantity"],
            "channel": np.where(usual[0], population["channel"].to_numpy()[who], _choice(rng, CHANNELS, size)),
            "category": np.where(usual[1], population["favourite"].to_numpy()[who], _choice(rng, CATEGORIES, size)),
            "discount": orders["discount"],
            "recorded_at": _recorded(rng, orders["ordered_at"]),
        }
    )


def _interactions(rng: np.random.Generator, population: pd.DataFrame) -> pd.DataFrame:
    """Logins and visits (value: minutes), tickets and complaints (value: hours until answered)."""
    visiting, steady, size = population["visiting"].to_numpy(), np.ones(7), len(population)
    kinds = {
        "login": _poisson(rng, population, 0.6 * visiting, "visits", WEEKDAYS),
        "visit": _poisson(rng, population, 0.4 * visiting, "visits", WEEKDAYS),
        "ticket": _poisson(rng, population, np.full(size, 0.008), None, steady),
        "complaint": _complaints(rng, population),
    }
    who, day = (np.concatenate([events[part] for events in kinds.values()]) for part in (0, 1))
    kind = np.repeat(np.array(list(kinds), dtype=object), [len(events[0]) for events in kinds.values()])
    time = pd.Series(_times_of_day(rng, day))
    order = np.lexsort((who, time))
    who, kind, time = who[order], kind[order], time.iloc[order].reset_index(drop=True)
    scale = np.where(np.isin(kind, ("login", "visit")), 6.0, 20.0)
    return pd.DataFrame(
        {
            "interaction_id": _ids("i", len(who)),
            "customer_id": population["customer_id"].to_numpy()[who],
            "occurred_at": time,
            "kind": kind,
            "value": rng.gamma(2, scale / 2).round(1),
            "channel": _choice(rng, CHANNELS, len(who)),
            "recorded_at": _recorded(rng, time),
        }
    )


def _complaints(rng: np.random.Generator, population: pd.DataFrame) -> tuple[Days, Days, Days]:
    """Complaints at the settled intensity, and more from those whose sign they are."""
    peak = max(SIGNS[r].complaints_per_day for r in REASONS)
    who, day, row = _poisson(rng, population, np.full(len(population), peak), None, np.ones(7))
    keep = rng.random(len(who)) < _sign_field(population, who, row, "complaints_per_day") / peak
    return who[keep], day[keep], row[keep]


def _contacts(rng: np.random.Generator, population: pd.DataFrame) -> pd.DataFrame:
    """One row a customer whom a campaign picked; `who` is the row of `population`."""
    days = _campaigns(int(population["since"].min()), int(population["until"].max()))
    picked = [_pick(rng, population, day) for day in days]
    who = np.concatenate([p[0] for p in picked]) if picked else np.empty(0, np.int64)
    day = np.concatenate([p[1] for p in picked]) if picked else np.empty(0, np.int64)
    treated = rng.random(len(who)) < TREATED
    order_day = day + rng.integers(1, REDEEM_DAYS + 1, len(who))
    end = population[["left", "until"]].min(axis=1).to_numpy()[who]
    redeems = treated & (rng.random(len(who)) < REDEMPTION) & (order_day < end)
    return pd.DataFrame(
        {
            "contact_id": _ids("k", len(who)),
            "customer_id": population["customer_id"].to_numpy()[who],
            "contacted_at": _micros(day * _DAY + 8 * 3_600_000_000),
            "campaign": _timestamps(day).strftime("offer-%Y-%m").to_numpy(object),
            "arm": np.where(treated, "treated", "holdout").astype(object),
            "cost": np.where(treated, CONTACT_COST, 0.0),
            "redeemed_at": pd.Series(_times_of_day(rng, order_day)).where(redeems),
            "who": who,
        }
    )


def _pick(rng: np.random.Generator, population: pd.DataFrame, day: int) -> tuple[Days, Days]:
    """Customers known on the day, by a coin each; the company cannot tell who has left."""
    who = np.flatnonzero((population["since"] <= day).to_numpy() & (rng.random(len(population)) < CONTACTED))
    return who, np.full(len(who), day)


def _poisson(
    rng: np.random.Generator, population: pd.DataFrame, per_day: Array, follows: str | None, weekdays: Array
) -> tuple[Days, Days, Days]:
    """Events of each customer's Poisson process: row of `population`, day, row of `_age_row`.

    Candidates come at the highest intensity, and are kept with the share that holds on their day (thinning,
    Lewis and Shedler 1979). `follows` names the field of `Sign` that scales the intensity; None: it does not change.
    """
    since, end = population["since"].to_numpy(), population[["left", "until"]].min(axis=1).to_numpy()
    length = np.maximum(end - since, 0)
    who = np.repeat(np.arange(len(population)), rng.poisson(per_day * weekdays.max() * length))
    day = since[who] + np.floor(rng.random(len(who)) * length[who]).astype(np.int64)
    row = _age_row(day - population["turned"].to_numpy()[who])
    share = weekdays[_weekday(day)] / weekdays.max()
    if follows is not None:
        share = share * np.stack([_by_age(r, follows) for r in REASONS])[population["sign"].to_numpy()[who], row]
    keep = rng.random(len(who)) < share
    return who[keep], day[keep], row[keep]


def _sign_field(population: pd.DataFrame, who: Days, row: Days, column: str) -> Array:
    """A field of `Sign`, as it holds for each event: of the settled, or of the customer's own sign."""
    fields = np.array([getattr(sign, column) for sign in (SETTLED, *SIGNS.values())])
    return fields[np.where(row == 0, 0, population["sign"].to_numpy()[who] + 1)]


def _prices(rng: np.random.Generator, population: pd.DataFrame, who: pd.Series) -> Array:
    """Full prices, log-normal around the customer's own mean."""
    spread = rng.lognormal(-(AMOUNT_SIGMA**2) / 2, AMOUNT_SIGMA, len(who))
    return population["amount"].to_numpy()[who.to_numpy(np.int64)] * spread


def _discounts(rng: np.random.Generator, odds: Array) -> Array:
    """Share of the price taken off each order; 0 for those bought at full price."""
    return np.where(rng.random(len(odds)) < odds, rng.uniform(DISCOUNT_LOW, DISCOUNT_HIGH, len(odds)), 0.0)


def _recorded(rng: np.random.Generator, happened: pd.Series) -> pd.Series:
    """Minutes after it happened; for a few, one to five days."""
    late = rng.random(len(happened)) < LATE_SHARE
    seconds = np.where(late, rng.uniform(86_400, 5 * 86_400, len(happened)), rng.exponential(600, len(happened)))
    return pd.Series(_micros(happened.to_numpy("datetime64[us]").astype(np.int64) + (seconds * 1e6).astype(np.int64)))


def _times_of_day(rng: np.random.Generator, day: Days) -> pd.DatetimeIndex:
    """A time on each day, by the hours at which people shop, to the second."""
    hour = np.searchsorted(np.cumsum(HOURS)[:-1], rng.random(len(day)), side="right")
    return _micros(day * _DAY + hour * 3_600_000_000 + rng.integers(0, 3600, len(day)) * 1_000_000)


def _choice(rng: np.random.Generator, shares: dict[str, float], size: int) -> npt.NDArray[np.object_]:
    return np.array(list(shares), dtype=object)[rng.choice(len(shares), size, p=list(shares.values()))]


def _ids(prefix: str, size: int) -> npt.NDArray[np.object_]:
    width = max(6, len(str(size)))
    return np.array([f"{prefix}{number:0{width}d}" for number in range(1, size + 1)], dtype=object)


def _campaigns(first: int, end: int) -> Days:
    """The campaign days in ``[first, end)``."""
    days = np.arange(first, end)
    return days[_timestamps(days).day == CAMPAIGN_DAY]


def _weekday(day: Days) -> Days:
    """0 for Monday; day 0, the first of 1970, was a Thursday."""
    return (day + 3) % 7


def _day(time: pd.Timestamp) -> int:
    return (time.tz_localize(None) - pd.Timestamp(0)).days


def _days(times: pd.Series) -> Days:
    """Days since 1970, `NEVER` for NaT."""
    days = (times.dt.tz_localize(None) - pd.Timestamp(0)).dt.days
    return days.fillna(NEVER).to_numpy(np.int64)


def _timestamps(days: Days) -> pd.DatetimeIndex:
    """Midnights; `NEVER` and later become NaT."""
    return _micros(np.where(days >= NEVER, np.iinfo(np.int64).min, days * _DAY))


def _micros(micros: Days) -> pd.DatetimeIndex:
    """Timestamps from microseconds since 1970."""
    return pd.DatetimeIndex(micros.astype("datetime64[us]"), tz="UTC")


def _midnight(time: str | pd.Timestamp, name: str) -> pd.Timestamp:
    try:
        at = pd.to_datetime(time, utc=True).as_unit("us")
    except (AttributeError, TypeError, ValueError):
        raise ConfigError(f"synthetic data: {name} must be a date, got {time!r}; write it as 2024-01-01") from None
    if at is pd.NaT or at != at.normalize():
        raise ConfigError(f"synthetic data: {name} must be a midnight, UTC, got {time}; days are drawn whole")
    return at


def _in_range(value: int, name: str, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ConfigError(f"synthetic data: {name} must be a whole number from {low} to {high:,}, got {value!r}")
