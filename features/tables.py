"""What the tables look like that a business brings: their columns, which of them it must have, and what a row is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["id", "time", "number", "text", "flag"]
MAX_ID_LENGTH = 256  # characters of an id, here and in questions to the service
LARGEST = 1e15  # no number of a row is larger: from there on, cents are lost, and then squares overflow
REASON = "source_reason"  # a column of a raw table in which its source says why a row cannot be used
SOURCE_ROWS = "source_rows"  # a column of a raw table: of how many rows of the source each row was made
CURRENCY = "source_currency"  # a column of a raw table: in which currency its amounts are, where it is told
SOURCE_GRAIN = "source_grain"  # in ``attrs`` of such a table: what one row of the source is
QUOTED_APOSTROPHE = "’"
_BETWEEN_REASONS = re.compile(r"; (?=(?:[^']*'[^']*')*[^']*$)")
LEFT_OUT = "left_out"  # in ``attrs`` of a raw table: rows that are none of the table, by the rule that says so
UNREAD = "unread"  # in ``attrs`` of a raw table: columns that may say which rows count, and the rows of each value


@dataclass(frozen=True)
class Field:
    """One column of an input table.

    Attributes
    ----------
    name, kind
        Name, and what it holds: an id, a UTC time, a number, a text, or a flag (yes or no, true or false, 1 or 0).
    required
        The column must exist.
    nullable
        A row may leave it empty.
    at_least
        Smallest number allowed, or None.
    """

    name: str
    kind: Kind
    required: bool = True
    nullable: bool = False
    at_least: float | None = None


@dataclass(frozen=True)
class Table:
    """An input table: one row per `grain`, told apart by `key`, happening at `time`."""

    name: str
    grain: str
    key: str
    time: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(f.name for f in self.fields)


def id_of(text: str) -> str:
    r"""The id that a text is, as the tables hold it: without blanks around it; empty: it is none.

    Every way in asks here or, a column at once, `features.quality.check.as_text`.

    >>> id_of(" K 441\t"), id_of(" ")
    ('K 441', '')
    """
    return text.strip()


def _optional(name: str, kind: Kind, at_least: float | None = None) -> Field:
    return Field(name, kind, required=False, nullable=True, at_least=at_least)


def _event_table(name: str, grain: str, key: str, time: str, *own: Field) -> Table:
    """A table of what happens to customers: which row, to whom, when, what, and when it became known."""
    keys = (Field(key, "id"), Field("customer_id", "id"), Field(time, "time"))
    return Table(name, grain, key, time, (*keys, *own, _optional("recorded_at", "time")))


CUSTOMERS = Table(
    "customers",
    "customer",
    key="customer_id",
    time="signed_up_at",
    fields=(Field("customer_id", "id"), Field("signed_up_at", "time"), _optional("recorded_at", "time")),
)
ORDERS = _event_table(
    "orders",
    "order",
    "order_id",
    "ordered_at",
    Field("amount", "number", required=False),
    _optional("quantity", "number"),
    _optional("channel", "text"),
    _optional("category", "text"),
    _optional("discount", "number", at_least=0),
)
INTERACTIONS = _event_table(
    "interactions",
    "contact by the customer",
    "interaction_id",
    "occurred_at",
    Field("kind", "text"),
    _optional("value", "number"),
    _optional("channel", "text"),
)
CONTACTS = _event_table(
    "contacts",
    "treatment by the company",
    "contact_id",
    "contacted_at",
    Field("campaign", "text"),
    _optional("arm", "text"),
    _optional("cost", "number", at_least=0),
    _optional("redeemed_at", "time"),
)
SUBSCRIPTIONS = _event_table(
    "subscriptions",
    "contract period",
    "subscription_id",
    "started_at",
    _optional("ended_at", "time"),
    _optional("cancelled_at", "time"),
    _optional("renews_at", "time"),
    _optional("paid_until", "time"),
    _optional("cancel_at_period_end", "flag"),
    _optional("trial_ends_at", "time"),
    _optional("paused_at", "time"),
    _optional("resumes_at", "time"),
    _optional("status", "text"),
    _optional("plan", "text"),
    _optional("price_per_month", "number", at_least=0),
)
ATTRIBUTE_CHANGES = _event_table(
    "attribute_changes",
    "change of an attribute",
    "change_id",
    "changed_at",
    Field("attribute", "text"),
    Field("value", "text", nullable=True),
)
PROFILES = Table(
    "profiles",
    "customer",
    key="customer_id",
    time="exported_at",
    fields=(
        Field("customer_id", "id"),
        Field("label", "flag", nullable=True),
        _optional("realised_value", "number"),
        _optional("exported_at", "time"),
    ),
)
IDENTITIES = Table(
    "identities",
    "alias of a customer",
    key="alias",
    time="seen_at",
    fields=(
        Field("customer_id", "id"),
        Field("alias", "id"),
        _optional("source", "text"),
        Field("seen_at", "time"),
    ),
)
TABLES: Mapping[str, Table] = {
    t.name: t
    for t in (CUSTOMERS, ORDERS, SUBSCRIPTIONS, INTERACTIONS, CONTACTS, ATTRIBUTE_CHANGES, PROFILES, IDENTITIES)
}
KINDS_THAT_COUNT: Mapping[str, str] = {  # kinds of interaction that columns tell apart; any other counts as activity
    "login": "a visit of the account",
    "visit": "a visit of the site or shop",
    "ticket": "a question to the support",
    "complaint": "a complaint",
    "survey": "an answer to a survey, its score as value",
    "payment_failed": "a payment that failed; no activity of the customer",
}
REDEMPTIONS_UNKNOWN = "redemptions_unknown"  # of contacts: 1 where no row of the load says when it was redeemed
MONEY: Mapping[str, tuple[str, ...]] = {  # columns that hold money, the main one first
    "orders": ("amount", "discount"),
    "contacts": ("cost",),
    "subscriptions": ("price_per_month",),
    "profiles": ("realised_value",),
}
ONE_ROW_A_CUSTOMER = ("customers", "profiles")
NO_EVENTS = (*ONE_ROW_A_CUSTOMER, "identities")  # tables that may get no new row for long
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "inactivity": ("customers", "orders"),
    "contract": ("customers", "subscriptions"),
    "label": ("profiles",),
}


def is_return(orders: pd.DataFrame) -> pd.Series:
    """True for an order that takes something back: a negative amount, or zero for a negative quantity.

    An order without an amount is none. The same for tables of Ibis: `features.windows.is_purchase`.
    """
    filled = orders.reindex(columns=["amount", "quantity"])
    return (filled["amount"] < 0) | ((filled["amount"] == 0) & (filled["quantity"] < 0))


def customers_table(attributes: Iterable[str], numbers: Collection[str] = ()) -> Table:
    """The customers table with the columns that the business declares, of which some are numbers."""
    extra = tuple(Field(n, "number" if n in numbers else "text", nullable=True) for n in attributes)
    return Table(CUSTOMERS.name, CUSTOMERS.grain, CUSTOMERS.key, CUSTOMERS.time, CUSTOMERS.fields + extra)


KINDS: Mapping[Kind, str] = {
    "id": "an id: text, compared as it stands; blanks around it and a `.0` behind whole numbers do not count",
    "time": "a time or a date, see [Times](#times)",
    "number": "a number, see [Numbers and money](#numbers-and-money)",
    "text": "any text",
    "flag": "yes or no, true or false, 1 or 0, in many languages",
}
MEANINGS: Mapping[str, str] = {  # of each column, or of `table.column` where it means something else there
    "customer_id": "whom the row is about",
    "recorded_at": "when the row became known to you, where that was later than it happened; counts for nothing before",
    "customers.signed_up_at": "since when the person is a customer; before it nobody is looked at",
    "order_id": "names the order; one that comes again is not counted twice",
    "ordered_at": "when it was ordered",
    "amount": "what the order brought, discounts subtracted; a return is negative, or zero for a negative quantity",
    "quantity": "how many units",
    "orders.channel": "where it was ordered: web, shop, telephone",
    "category": "what was mostly bought",
    "discount": "what was taken off the price, not negative",
    "subscription_id": "names the contract period",
    "started_at": "when the contract begins",
    "ended_at": "since when the contract is over",
    "cancelled_at": "when notice was given",
    "renews_at": "the end that was agreed at the start",
    "paid_until": "the end of the period that is paid",
    "cancel_at_period_end": "whether notice takes effect at the end of the period",
    "trial_ends_at": "until when it is a trial",
    "paused_at": "since when the contract pauses",
    "resumes_at": "when a pause ends",
    "status": "the state that the billing system gives it",
    "plan": "which plan",
    "price_per_month": "what a month costs, not negative",
    "interaction_id": "names the contact",
    "occurred_at": "when the customer made contact",
    "kind": "`complaint`, `ticket`, `survey` (its score in `value`), `login`, `visit` and `payment_failed` (no contact)"
    " become features of their own; any other word counts as a contact",
    "value": "the score of a survey",
    "interactions.channel": "by which way: telephone, e-mail, app",
    "contact_id": "names the message",
    "contacted_at": "when you contacted the customer",
    "campaign": "of which campaign",
    "arm": "`treated`, or the arm that was picked and not contacted, see `churn.contacts`",
    "cost": "what the contact cost, not negative",
    "redeemed_at": "when the customer made use of the offer; unknown, and not never, if no row says it",
    "change_id": "names the change",
    "changed_at": "when the attribute changed",
    "attribute": "which attribute, as under `columns.attributes`",
    "attribute_changes.value": "its value from then on; empty: none",
    "label": "whether the customer left; empty where it is not known",
    "realised_value": "what the customer brought in the time after the other columns were known (`clv.horizon_days`);"
    " empty where it is not known; read only where `columns` names it",
    "exported_at": "when the row was exported",
    "alias": "another id of the same person",
    "source": "who says so",
    "seen_at": "since when it is known",
}


def meaning_of(table: str, column: str) -> str:
    """What a column of a table means, in words."""
    return MEANINGS.get(f"{table}.{column}") or MEANINGS[column]


def is_date_alone(times: pd.Series) -> pd.Series:
    """True for the times that are dates alone: those that are midnight UTC."""
    return times == times.dt.normalize()


def moments(times: pd.Series) -> pd.Series:
    """Times of which none is a date alone: one at midnight UTC is kept a microsecond later.

    >>> import pandas as pd
    >>> moments(pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:30"]))).dt.microsecond.tolist()
    [1, 0]
    """
    return times.mask(is_date_alone(times), times + timedelta(microseconds=1))


def local_times(times: pd.Series, zone: tzinfo) -> pd.Series:
    """Times in UTC by the clock of a zone, without it; a date alone stays that date, at midnight.

    >>> import pandas as pd
    >>> from zoneinfo import ZoneInfo
    >>> times = pd.Series(pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:30"]))
    >>> local_times(times, ZoneInfo("America/New_York")).astype(str).tolist()
    ['2024-01-01 00:00:00', '2023-12-31 20:30:00']
    """
    import pandas as pd

    places, hours = pd.factorize(times.dt.floor("h"))  # a zone answers slowly: it is asked once an hour
    first, last = (_by_clock(at, zone) - at for at in (hours, hours + timedelta(minutes=59, seconds=59)))
    local = times + first.take(places, fill_value=pd.NaT)
    turned = pd.Series(places, index=times.index).isin((first != last).nonzero()[0])  # within that hour
    if turned.any():
        local = local.mask(turned, _by_clock(pd.DatetimeIndex(times), zone))
    return local.mask(is_date_alone(times), times)


def _by_clock(times: pd.DatetimeIndex, zone: tzinfo) -> pd.DatetimeIndex:
    return times.tz_localize("UTC").tz_convert(zone).tz_localize(None)


def day_over(times: pd.Series, zone: tzinfo) -> pd.Series:
    """When the day of a date alone is over by the clock of a zone, in UTC; missing for moments and after 9000.

    >>> import pandas as pd
    >>> from zoneinfo import ZoneInfo
    >>> times = pd.Series(pd.to_datetime(["2024-03-15 00:00", "2024-03-15 10:00"]))
    >>> day_over(times, ZoneInfo("Asia/Tokyo")).astype(str).tolist()
    ['2024-03-15 15:00:00', 'NaT']
    """
    days = times.where(is_date_alone(times) & (times.dt.year < 9000)).astype("datetime64[us]")
    each = days.dropna().drop_duplicates()
    ends = (each + timedelta(days=1)).dt.tz_localize(
        zone, ambiguous=each.notna().to_numpy(), nonexistent="shift_forward"
    )
    return days.map(dict(zip(each, ends.dt.tz_convert("UTC").dt.tz_localize(None), strict=True))).astype(days.dtype)


def quote(value: object, letters: int = 40) -> str:
    """A value as a reason against a row quotes it: between apostrophes, on one line.

    It may be a person's words, and is taken out of what is counted or shown (`reason_kinds`): an apostrophe within it
    becomes a typographic one.

    >>> quote("Mr O'Brien, Elm St")
    "'Mr O’Brien, Elm St'"
    """
    text = str(value)[:letters].replace("'", QUOTED_APOSTROPHE)
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return f"'{shown}'"


def reason_kinds(reasons: pd.Series) -> pd.Series:
    """Reasons without what they quote: of one kind each, to be counted and shown."""
    return reasons.astype(str).str.replace(r"'[^']*'", "…", regex=True)


def split_reasons(reasons: pd.Series) -> pd.Series:
    """Single reasons of rows that may have several (``a: ...; b: ...``), by the row's index; no quote is cut."""
    return reasons.astype(str).map(_BETWEEN_REASONS.split).explode()
