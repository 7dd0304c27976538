"""A forecast that needs no training set: orders by Pareto/NBD, order values by Gamma-Gamma, put together.

It takes three numbers of a customer's orders and the mean of their values, so it serves customers and companies with
little history, where columns and trees have nothing to learn from. Where the data are few, the priors speak, and the
interval is wide: it draws the parameters of the orders too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from configs.errors import DataError
from features.tables import is_return
from training.priors.order_values import SpendModel, SpendPrior, fit_spend
from training.priors.purchases import YEAR, Array, PurchaseModel, PurchasePrior, fit_purchases

SUMMARY = ("repeats", "recency_days", "age_days", "orders", "mean_amount")
DISCOUNT_STEPS = 24
ROWS_AT_ONCE = 2_000
PARAMETER_DRAWS = 20
Summary = Mapping[str, ArrayLike] | pd.DataFrame  # the columns of `summarise`, one row a customer


def summarise(orders: pd.DataFrame, as_of: Any) -> pd.DataFrame:
    """What the models take, from orders known at a moment. One row per customer who had ordered.

    Orders of one customer on one day count as one. Only orders before `as_of`, and if `recorded_at` is there only
    rows recorded by then, are looked at. A return (a negative amount) is no order, but its amount counts.

    Parameters
    ----------
    orders
        ``customer_id, ordered_at`` and, if known, ``amount, recorded_at``; one row per order.
    as_of
        The moment, of the same kind (with or without a time zone) as `ordered_at`.

    Returns
    -------
    pandas.DataFrame
        Index ``customer_id``, sorted; ``repeats``: days with an order, less the first; ``recency_days``: from the
        first order day to the last; ``age_days``: from the first order day to the last day before the moment, at
        least half a day more than the recency (nobody's silence is 0); ``orders``: days with an order;
        ``mean_amount``: net amount over these days, NaN where no amounts are known.

    >>> days = pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-11", "2024-02-09"])
    >>> o = pd.DataFrame({"customer_id": ["a", "a", "a", "b"], "ordered_at": days, "amount": [5.0, 10, 25, 9]})
    >>> summarise(o, pd.Timestamp("2024-02-10")).reset_index().values.tolist()
    [['a', 1.0, 10.0, 39.0, 2.0, 20.0], ['b', 0.0, 0.0, 0.5, 1.0, 9.0]]
    """
    known = orders["ordered_at"] < as_of
    if "recorded_at" in orders:
        known &= ~(orders["recorded_at"] > as_of)
    seen = orders[known]
    amount = seen["amount"] if "amount" in seen else pd.Series(np.nan, index=seen.index)
    bought = seen[~is_return(seen)]
    days = bought["ordered_at"].dt.floor("D").groupby(bought["customer_id"]).agg(["min", "max", "nunique"]).sort_index()
    number = days["nunique"].to_numpy(np.float64)
    net = amount.groupby(seen["customer_id"]).sum(min_count=1).reindex(days.index).to_numpy(np.float64)
    recency, age = _days(days["max"] - days["min"]), np.ceil(_days(pd.Timestamp(as_of) - days["min"])) - 1.0
    return pd.DataFrame(
        {
            "repeats": number - 1.0,
            "recency_days": recency,
            "age_days": np.maximum(age, recency + 0.5),
            "orders": number,
            "mean_amount": net / number,
        },
        index=days.index,
    )


def _days(span: pd.Series) -> Array:
    return span.dt.total_seconds().to_numpy(np.float64) / 86_400.0


@dataclass(frozen=True)
class OrderModel:
    """Orders and their values of customers at a moment; takes frames as `summarise` makes them.

    Attributes
    ----------
    purchases
        When customers order, and whether they are still there.
    spend
        What an order is worth; None where the company knows no amounts.
    """

    purchases: PurchaseModel
    spend: SpendModel | None

    @classmethod
    def fit(
        cls, summary: pd.DataFrame, prior: PurchasePrior | None = None, spend_prior: SpendPrior | None = None
    ) -> OrderModel:
        """Fit both models to one row a customer.

        The value of an order is learned from all orders of a customer, the first one too: a customer with one order
        has no other.

        Raises
        ------
        NotEnoughDataError
            No customer has ordered.
        DataError
            A column is missing, or a row is impossible.
        """
        history = _history(summary)
        amounts = "mean_amount" in summary and bool(summary["mean_amount"].notna().any())
        spend = fit_spend(summary["orders"], summary["mean_amount"], prior=spend_prior) if amounts else None
        return cls(fit_purchases(*history, prior=prior), spend)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"purchases": self.purchases.to_dict(), "spend": self.spend.to_dict() if self.spend else None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OrderModel:
        """The inverse of `to_dict`."""
        spend = SpendModel.from_dict(content["spend"]) if content["spend"] else None
        return cls(PurchaseModel.from_dict(content["purchases"]), spend)

    def p_alive(self, summary: Summary) -> Array:
        """Probability that each customer has not left yet, shape (n,)."""
        return self.purchases.p_alive(*_history(summary))

    def p_none(self, summary: Summary, horizons: Sequence[float]) -> Array:
        """Probability of no order within each horizon in days, shape (n, h); never rises with the horizon."""
        return self.purchases.p_none(*_history(summary), horizons)

    def expected_orders(self, summary: Summary, horizon_days: ArrayLike) -> Array:
        """Expected days with an order within one horizon, shape (n,), or several, shape (n, h)."""
        return self.purchases.expected_orders(*_history(summary), horizon_days)

    def value(
        self, summary: Summary, horizon_days: float, margin: float = 1.0, annual_discount_rate: float = 0.0
    ) -> Array:
        """Expected net revenue times margin over a horizon, discounted to the moment, shape (n,), in currency.

        Expected orders times the expected value of one; the model takes the two to be independent. An order at `t`
        days counts ``margin / (1 + rate) ** (t / 365.25)``, as in the label ``clv``.

        Raises
        ------
        DataError
            No amounts were known when the model was fitted.
        """
        spend = self._spend()
        each = spend.expected(summary["orders"], summary["mean_amount"]) * margin
        if annual_discount_rate == 0:
            return each * self.expected_orders(summary, horizon_days)
        ends = np.linspace(0.0, horizon_days, DISCOUNT_STEPS + 1)
        orders = np.diff(self.expected_orders(summary, ends), axis=1)
        return each * (orders @ _discount(0.5 * (ends[1:] + ends[:-1]), annual_discount_rate))

    def value_quantiles(
        self,
        summary: pd.DataFrame,
        horizon_days: float,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        margin: float = 1.0,
        annual_discount_rate: float = 0.0,
        draws: int = 400,
        seed: int = 0,
    ) -> Array:
        """Quantiles of the predictive distribution of a customer's value, shape (n, quantiles), in currency.

        Drawn: the four parameters of the orders from their posterior (20 times), then for each customer how many orders
        come and what they are worth. The parameters of order values are the fitted ones in every draw: a customer's own
        level is drawn, how unsure the fit itself is with few customers is not. All orders of a draw
        are discounted alike, as if they came in the middle of the horizon.

        Parameters
        ----------
        summary, horizon_days, margin, annual_discount_rate
            See `value`.
        quantiles
            The default holds a 90 % interval and the median.
        draws, seed
            The same seed and rows give the same numbers.
        """
        spend = self._spend()
        factor = margin * float(_discount(np.array([horizon_days / 2]), annual_discount_rate)[0])
        rng = np.random.default_rng(seed)
        logs = self.purchases.draw_logs(rng, PARAMETER_DRAWS)
        draws_each = max(1, -(-draws // PARAMETER_DRAWS))
        out = []
        for at in range(0, max(len(summary), 1), ROWS_AT_ONCE):
            rows = summary.iloc[at : at + ROWS_AT_ONCE]
            history = _history(rows)
            n_orders = np.hstack(
                [self.purchases.sample(*history, horizon_days, rng, draws_each, four) for four in logs]
            )
            worth = spend.sample(rows["orders"], rows["mean_amount"], n_orders, rng)
            out.append(np.quantile(worth * factor, quantiles, axis=1).T)
        return np.concatenate(out)

    def _spend(self) -> SpendModel:
        if self.spend is None:
            raise DataError("a value was asked of a model fitted without amounts: map the column orders.amount")
        return self.spend


def _discount(days: Array, annual_rate: float) -> Array:
    return (1.0 + annual_rate) ** (-days / YEAR)


def _history(summary: Summary) -> tuple[Array, Array, Array]:
    missing = [name for name in SUMMARY[:3] if name not in summary]
    if missing:
        raise DataError(
            f"summary of orders: columns {missing} are missing, got {list(summary)}; make it by summarise()"
        )
    return tuple(np.asarray(summary[name], dtype=np.float64) for name in SUMMARY[:3])  # type: ignore[return-value]
