"""Seeded customers with contracts whose truth is known: how likely each was to leave in each month, and why.

A model that learns from these tables can be judged against the best answer there is. The world goes by months; every
contract begins on a day from 1 to 28, and all days are UTC days:

- A customer has a **mood**, a random walk from month to month around an own level, and an own risk that a payment
  fails. A low mood means fewer logins and more tickets; what the company sees is drawn from it with noise.
- A **monthly** contract runs until it is cancelled: in each month with probability `leaving` (below), on a day drawn
  from 1 to 28, ending at once.
- A **yearly** contract says when it `renews_at`. In that month it is not renewed with probability `leaving`; it then
  ends as agreed, without a cancellation. Else the next one begins that day, `RISE` dearer. In other months its
  customers stay.
- On the first day of the third month of every calendar year, monthly prices rise by `RISE`: one contract ends, the
  next begins at once. The same happens when a monthly customer changes the plan. Neither is leaving.
- Who has left comes back in each month but the first after with probability `RETURNS`, with a new contract.

``leaving = expit(BASE[term] - MOOD * mood + RECENT_RISE * rise + FAILED * failed)``, where ``mood`` is that of the
month before, ``rise`` is 1 in the two months after a monthly price rise, and ``failed`` counts the payments that failed
in the month before. Region acts on nothing: any difference between regions is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit

from configs.errors import ConfigError

BASE = {"monthly": -3.6, "yearly": -1.4}
MOOD, RECENT_RISE, FAILED = 1.1, 0.9, 1.2
RISE, RISE_MONTH = 1.08, 3
RETURNS, CHANGES_PLAN = 0.04, 0.02
YEARLY_SHARE, EXISTING_SHARE = 0.35, 0.5
PLANS = {"basic": 9.0, "plus": 19.0, "pro": 39.0}
REGIONS = ("east", "north", "south", "west")
LOGINS, TICKETS = 9.0, 0.35
LAST_DAY = 28


@dataclass(frozen=True)
class SyntheticSubscriptions:
    """Tables as a company would have them, and the truth that no company has.

    Parameters
    ----------
    tables
        ``customers``, ``subscriptions`` (one row a contract period) and ``interactions`` (logins, tickets, failed
        payments).
    truth
        One row a customer and month in which a contract was alive on the first day: ``customer_id, month`` (its first
        midnight), ``leaving`` (the true probability of leaving within the month), ``left`` (whether it happened).
    """

    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame


def generate(customers: int, months: int, seed: int, start: str = "2023-01-01") -> SyntheticSubscriptions:
    """Draw a company's tables, and the truth behind them.

    Parameters
    ----------
    customers
        How many; 1 to 200,000.
    months
        Length of the data; 1 to 120. It ends where this many months after `start` begin (exclusive).
    seed
        Not negative. The same arguments give the same tables.
    start
        The first midnight of a month, UTC.

    Raises
    ------
    ConfigError
        An argument is out of its range.
    """
    for name, value, least, most in (("customers", customers, 1, 200_000), ("months", months, 1, 120)):
        if not least <= value <= most:
            raise ConfigError(f"synthetic subscriptions: {name} must lie between {least} and {most:,}, got {value}")
    begin = pd.Timestamp(start)
    if seed < 0 or begin != begin.normalize() or begin.day != 1:
        raise ConfigError(
            "synthetic subscriptions: seed must not be negative and start must be the first of a month, "
            f"got {seed}, {start}"
        )
    calendar = [begin + pd.DateOffset(months=m) for m in range(months)]
    generators = np.random.default_rng(seed).spawn(customers)
    histories = [_Customer(f"s{number:06d}", rng, calendar).live() for number, rng in enumerate(generators)]
    truth = [row for history in histories for row in history.truth]
    return SyntheticSubscriptions(_tables(histories), pd.DataFrame(truth, columns=list(TRUTH)))


TRUTH = ("customer_id", "month", "leaving", "left")
COLUMNS = {
    "customers": ("customer_id", "signed_up_at", "region"),
    "subscriptions": ("customer_id", "started_at", "ended_at", "cancelled_at", "renews_at", "plan", "price_per_month"),
    "interactions": ("customer_id", "occurred_at", "kind"),
}
IDS = {"subscriptions": "subscription_id", "interactions": "interaction_id"}


@dataclass
class _History:
    """What is written down of one customer: rows in the order of `COLUMNS` and `TRUTH`, interactions by month."""

    customers: list[tuple[object, ...]] = field(default_factory=list)
    subscriptions: list[tuple[object, ...]] = field(default_factory=list)
    interactions: list[tuple[str, str, np.ndarray]] = field(default_factory=list)
    truth: list[tuple[object, ...]] = field(default_factory=list)


def _tables(histories: Sequence[_History]) -> dict[str, pd.DataFrame]:
    tables = {
        name: pd.DataFrame([row for h in histories for row in getattr(h, name)], columns=list(COLUMNS[name]))
        for name in ("customers", "subscriptions")
    }
    interactions = [entry for history in histories for entry in history.interactions]
    counts = [len(times) for _, _, times in interactions]
    tables["interactions"] = pd.DataFrame(
        {
            "customer_id": np.repeat([customer for customer, _, _ in interactions], counts),
            "occurred_at": np.concatenate([times for _, _, times in interactions]),
            "kind": np.repeat([kind for _, kind, _ in interactions], counts),
        }
    )
    for name, key in IDS.items():
        ordered = tables[name].sort_values([COLUMNS[name][1], "customer_id"], ignore_index=True, kind="stable")
        ordered.insert(0, key, [f"{name[0]}{i:07d}" for i in range(len(ordered))])
        times = [c for c in ordered if str(c).endswith("_at")]
        tables[name] = ordered.astype(dict.fromkeys(times, "datetime64[us]"))
    tables["customers"] = tables["customers"].astype({"signed_up_at": "datetime64[us]"})
    return tables


class _Customer:
    """One customer, month by month."""

    def __init__(self, customer_id: str, rng: np.random.Generator, calendar: list[pd.Timestamp]) -> None:
        self.id, self.rng, self.calendar, self.history = customer_id, rng, calendar, _History()
        self.level = rng.normal(0.0, 0.6)
        self.mood, self.failing = self.level, rng.beta(1.0, 15.0)
        self.term = "yearly" if rng.random() < YEARLY_SHARE else "monthly"
        self.plan = str(rng.choice(list(PLANS)))
        self.price = PLANS[self.plan]
        self.failed, self.since_rise, self.away = 0, len(calendar), 0
        self.began: pd.Timestamp | None = None

    def live(self) -> _History:
        """Sign up in some month and go on to the end; call it once."""
        existing = self.rng.random() < EXISTING_SHARE
        first = 0 if existing else int(self.rng.integers(len(self.calendar)))
        self.began = self._day(self.calendar[first])
        self.history.customers.append((self.id, self.began, str(self.rng.choice(REGIONS))))
        for number, month in enumerate(self.calendar[first:]):
            if number and self.began is not None:
                self._month(month)
            elif number:
                self._stay_away(month)
            self._observe(month)
        if self.began is not None:
            self._write(None, None)
        return self.history

    def _month(self, month: pd.Timestamp) -> None:
        """Leave, or stay with what changes; decided at the month's first midnight by the month before."""
        leaving = self._leaving(month)
        left = bool(self.rng.random() < leaving)
        self.history.truth.append((self.id, month, leaving, left))
        day, due = self._day(month), self._renews_at()
        self.since_rise += 1
        if left:
            self._write(due or day, None if due else day)
            self.began, self.away = None, 0
        elif due is not None and due < month + pd.DateOffset(months=1):
            self._follow(due, self.price * RISE)
        elif self.term == "monthly" and month.month == RISE_MONTH:
            self.since_rise = 0
            self._follow(month, self.price * RISE)
        elif self.term == "monthly" and self.rng.random() < CHANGES_PLAN:
            factor = self.price / PLANS[self.plan]
            self.plan = str(self.rng.choice([p for p in PLANS if p != self.plan]))
            self._follow(day, PLANS[self.plan] * factor)

    def _stay_away(self, month: pd.Timestamp) -> None:
        self.away += 1
        if self.away > 1 and self.rng.random() < RETURNS:
            self.began = self._day(month)

    def _leaving(self, month: pd.Timestamp) -> float:
        due = self._renews_at()
        if due is not None and not month <= due < month + pd.DateOffset(months=1):
            return 0.0
        rise = RECENT_RISE * (self.since_rise in (0, 1))
        return float(expit(BASE[self.term] - MOOD * self.mood + rise + FAILED * self.failed))

    def _observe(self, month: pd.Timestamp) -> None:
        """Draw the month's mood, and the logins, tickets and failed payments that show it."""
        self.mood = self.level + 0.8 * (self.mood - self.level) + self.rng.normal(0.0, 0.55)
        self.failed = int(self.began is not None and self.rng.random() < self.failing)
        if self.began is None:
            return
        counts = {
            "login": self.rng.poisson(LOGINS * np.exp(0.6 * self.mood)),
            "ticket": self.rng.poisson(TICKETS * np.exp(-0.7 * self.mood)),
            "payment_failed": self.failed,
        }
        for kind, count in counts.items():
            minutes = self.rng.integers(0, LAST_DAY * 1440, count)
            times = month.to_datetime64() + minutes.astype("timedelta64[m]")
            self.history.interactions.append((self.id, kind, times[times >= self.began.to_datetime64()]))

    def _day(self, month: pd.Timestamp) -> pd.Timestamp:
        return month + pd.Timedelta(days=int(self.rng.integers(LAST_DAY)))

    def _renews_at(self) -> pd.Timestamp | None:
        if self.began is None or self.term == "monthly":
            return None
        return self.began + pd.DateOffset(years=1)

    def _follow(self, day: pd.Timestamp, price: float) -> None:
        self._write(day, None)
        self.price, self.began = round(price, 2), day

    def _write(self, ended: pd.Timestamp | None, cancelled: pd.Timestamp | None) -> None:
        row = (self.id, self.began, ended, cancelled, self._renews_at(), self.plan, round(self.price, 2))
        self.history.subscriptions.append(row)
