"""What a campaign would have brought on customers whose fate is known, by who is contacted. Pure.

Of a leaver it is known that he left, never what he would have brought had he stayed: so what came is the fate, and
what was at stake stays the forecast. Realised profit of a contact is therefore ``g (m L - d) - c`` for who left and
``-d - c`` for who stayed, in the letters of `configs.campaign`, whose assumptions hold here, too.

A campaign is run at one as-of date. Where customers are known at several, the same rule chooses at each of them, and
numbers of customers and sums of money are those of one campaign: the mean over the dates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from configs.campaign import at_stake, break_even, expected_profit, retention_profit
from configs.errors import NotEnoughDataError
from configs.settings import Campaign
from training.json_text import without_nan
from training.metrics import Array, empc
from training.model.profit_range import CampaignTotal, ValueRange, rests_on

Flags = NDArray[np.bool_]
STEPS = 200
DRAWS = 200
ROWS_AT_ONCE = 5_000
EDGES = (0.025, 0.975)
HALF = 0.5
POLICIES = {
    "profit": "expected profit above zero",
    "probability": "probability above the break-even of the mean value",
    "riskiest": "as many, the likeliest to leave",
    "random": "as many, at random",
    "half": "probability above 0.5",
    "everybody": "everybody",
}


@dataclass(frozen=True)
class Backtest:
    """A campaign played through on customers whose fate is known.

    Numbers of customers and sums of money are means over the dates: those of one campaign.

    Attributes
    ----------
    rows
        One row per customer and date: ``customer_id, as_of, left, probability, stake, expected, realised`` (the
        latter two the profit of contacting that customer) and ``contact``, whether he is on the best list.
    curve
        One row per share of the customers contacted, from 0 to 1: ``share``; ``expected, realised, low, high``, in the
        order of expected profit, with a 95 % band of what is realised by bootstrap over customers; ``probability``,
        ``ideal`` and ``random``, realised in the order of probability, of hindsight, and of none.
    policies
        One row per rule of whom to contact: ``policy, rule, contacted, expected, realised, low, high`` (95 %), and
        ``less_low, less_high``: 95 % of the best list's realised profit less this one's.
    facts
        ``moments``, over how many dates the means are taken; ``customers, contacted`` at one; ``share_contacted,
        lowest_probability`` on the list, ``break_even_probability`` at the mean stake, ``mean_stake``;
        ``expected_profit, realised_profit`` of the list of one date; ``expected_low, expected_high``, 90 % of what may
        come of it as `training.model.profit_range` draws it, and ``realised_low, realised_high``, 95 % of what came by
        bootstrap over customers; and ``empc`` with the campaign's own costs and
        mean stake.
    value_from
        Where the values come from.
    ranges
        What ``expected_low`` and ``expected_high`` of the facts count in, in words; of what came it is chance alone.
    """

    rows: pd.DataFrame
    curve: pd.DataFrame
    policies: pd.DataFrame
    facts: dict[str, float]
    value_from: str
    ranges: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON can hold; NaN becomes None."""
        tables = {"policies": self.policies, "curve": self.curve}
        records = {name: without_nan(table.to_dict("records")) for name, table in tables.items()}
        return {**without_nan(self.facts), "value_from": self.value_from, "ranges": self.ranges, **records}


def backtest(
    rows: pd.DataFrame,
    campaign: Campaign,
    value_from: str,
    seed: int,
    *,
    coverage: float | None = None,
    level_sd: float = 0.0,
) -> Backtest:
    """Play a campaign through.

    Parameters
    ----------
    rows
        One row per customer and date: ``customer_id``, ``as_of``, ``label`` (1 left, 0 stayed), ``forecast``
        (probability of leaving) and ``value`` (expected value over its horizon; not looked at with
        ``value_per_customer``), with `coverage` also ``low`` and ``high`` of its interval. Rows with an
        unknown label are left out.
    campaign
        A planned one.
    value_from
        Where the values come from, for people.
    seed
        Of the bootstrap and of the draws of what may come.
    coverage
        Of the intervals of the values; None: none are known.
    level_sd
        How far the level of the probability misses, see `training.model.profit_range`.

    Raises
    ------
    NotEnoughDataError
        No label is known.
    """
    rows = rows[rows["label"].notna()]
    if rows.empty:
        raise NotEnoughDataError("campaign: needs customers of whom it is known whether they left, found none")
    contacts = contact_profits(rows, campaign)
    lists = contact_lists(contacts, campaign)
    policies, facts = _policies(contacts, lists, seed), _facts(contacts, campaign)
    best = policies.set_index("policy").loc["profit"]
    values = None if coverage is None else ValueRange(rows["low"], rows["high"], coverage)
    ends = _expected_range(rows, values, contacts["contact"].to_numpy(), campaign, level_sd, seed)
    facts |= {f"expected_{name}": end / _n_as_ofs(contacts) for name, end in zip(("low", "high"), ends, strict=True)}
    facts |= {f"realised_{name}": float(best[name]) for name in ("low", "high")}
    ranges = rests_on(level_sd, values, campaign)
    return Backtest(contacts, profit_curve(contacts, seed), policies, facts, value_from, ranges)


def _expected_range(
    rows: pd.DataFrame, values: ValueRange | None, listed: Flags, campaign: Campaign, level_sd: float, seed: int
) -> tuple[float, float]:
    """What may come of contacting the listed rows, in all."""
    total = CampaignTotal(level_sd, campaign, seed)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part, on = rows.iloc[start : start + ROWS_AT_ONCE], listed[start : start + ROWS_AT_ONCE]
        own = None if values is None else ValueRange(part["low"][on], part["high"][on], values.coverage)
        total.add(part["forecast"][on], part["value"][on], own)
    return total.range()


def contact_profits(rows: pd.DataFrame, campaign: Campaign) -> pd.DataFrame:
    """What contacting each customer is expected to bring, and what it would have brought, see `Backtest.rows`."""
    p, left = rows["forecast"].to_numpy(np.float64), rows["label"].to_numpy(np.float64)
    stake = at_stake(p, rows["value"], campaign)
    expected = expected_profit(p, stake, campaign)
    realised = left * retention_profit(stake, campaign) - (1 - left) * campaign.offer - campaign.contact
    columns = {"left": left, "probability": p, "stake": stake, "expected": expected, "realised": realised}
    who = rows[["customer_id", "as_of"]].reset_index(drop=True)
    return who.assign(**columns, contact=expected > 0)


def contact_lists(contacts: pd.DataFrame, campaign: Campaign) -> dict[str, Array]:
    """Who is contacted by each rule: a weight for each row, 0 or 1; at random, the chance to be drawn. Shape (n,).

    The best list is everybody with an expected profit above zero: contacts do not change one another's profit, so no
    list of any length is expected to bring more.
    """
    p, listed = contacts["probability"].to_numpy(), contacts["contact"].to_numpy()
    n_listed, threshold = int(listed.sum()), float(break_even(contacts["stake"].mean(), campaign))
    riskiest = np.zeros(len(p), dtype=bool)
    riskiest[np.argsort(-p, kind="stable")[:n_listed]] = True
    flags: dict[str, Flags] = {
        "profit": listed,
        "probability": p > threshold,
        "riskiest": riskiest,
        "half": p > HALF,
        "everybody": np.ones(len(p), dtype=bool),
    }
    chance = np.full(len(p), n_listed / len(p))
    return {name: chance if name == "random" else flags[name].astype(np.float64) for name in POLICIES}


def profit_curve(contacts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Profit by the share of customers contacted, see `Backtest.curve`; the last row contacts everybody."""
    share = np.linspace(0, 1, STEPS + 1)
    expected, realised = _profits(contacts)
    order, weight = np.argsort(-expected, kind="stable"), np.ones(len(contacts))
    draws = _draws(contacts["customer_id"].to_numpy()[order], seed)
    drawn = np.array([_cumulative(realised[order], times, share) for times in draws])
    low, high = np.quantile(drawn, EDGES, axis=0)
    risk = np.argsort(-contacts["probability"].to_numpy(), kind="stable")
    hindsight = np.argsort(-realised, kind="stable")
    return pd.DataFrame(
        {
            "share": share,
            "expected": _cumulative(expected[order], weight, share),
            "realised": _cumulative(realised[order], weight, share),
            "low": low,
            "high": high,
            "probability": _cumulative(realised[risk], weight, share),
            "ideal": _cumulative(realised[hindsight], weight, share),
            "random": share * realised.sum(),
        }
    )


def _policies(contacts: pd.DataFrame, lists: dict[str, Array], seed: int) -> pd.DataFrame:
    expected, realised = _profits(contacts)
    weights = np.column_stack(list(lists.values()))
    gains = weights * realised[:, None]
    drawn = np.array([times @ gains for times in _draws(contacts["customer_id"].to_numpy(), seed)])
    low, high = np.quantile(drawn, EDGES, axis=0)
    less_low, less_high = np.quantile(drawn[:, :1] - drawn, EDGES, axis=0)
    return pd.DataFrame(
        {
            "policy": list(lists),
            "rule": [POLICIES[name] for name in lists],
            "contacted": weights.sum(axis=0).round() / _n_as_ofs(contacts),
            "expected": expected @ weights,
            "realised": gains.sum(axis=0),
            "low": low,
            "high": high,
            "less_low": less_low,
            "less_high": less_high,
        }
    )


def _facts(contacts: pd.DataFrame, campaign: Campaign) -> dict[str, float]:
    listed, stake, n_as_ofs = contacts[contacts["contact"]], float(contacts["stake"].mean()), _n_as_ofs(contacts)
    share = 1.0 if campaign.margin is None else campaign.margin
    campaign_empc = empc(
        contacts["left"],
        contacts["probability"],
        value=share * stake,
        offer_cost=campaign.offer,
        contact_cost=campaign.contact,
        alpha=campaign.success_alpha,
        beta=campaign.success_beta,
    )
    return {
        "moments": float(n_as_ofs),
        "customers": len(contacts) / n_as_ofs,
        "contacted": len(listed) / n_as_ofs,
        "share_contacted": len(listed) / len(contacts),
        "lowest_probability": float(listed["probability"].min()),
        "break_even_probability": float(break_even(stake, campaign)),
        "mean_stake": stake,
        "expected_profit": float(listed["expected"].sum()) / n_as_ofs,
        "realised_profit": float(listed["realised"].sum()) / n_as_ofs,
        "empc": campaign_empc,
    }


def _n_as_ofs(contacts: pd.DataFrame) -> int:
    return int(contacts["as_of"].nunique())


def _profits(contacts: pd.DataFrame) -> tuple[Array, Array]:
    """What each row adds to the profit of one campaign, expected and realised."""
    expected, realised = (contacts[name].to_numpy() / _n_as_ofs(contacts) for name in ("expected", "realised"))
    return expected, realised


def _cumulative(profit: Array, weight: Array, share: Array) -> Array:
    """Profit of the first rows up to each share of the weight; between two rows, in proportion."""
    reached = np.concatenate([[0.0], np.cumsum(weight)])
    earned = np.concatenate([[0.0], np.cumsum(weight * profit)])
    return np.interp(share * reached[-1], reached, earned)


def _draws(customer: NDArray[Any], seed: int) -> Iterator[Array]:
    """How often each row counts in a draw of the customers with replacement; scaled to as many rows as there are."""
    codes, rng = pd.factorize(customer)[0], np.random.default_rng(seed)
    size = int(codes.max()) + 1
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(size, size=size), minlength=size)[codes].astype(np.float64)
        yield times * (len(times) / times.sum())
