"""Every setting, as frozen models. An unknown key is refused, with the nearest known one named.

A business is one small YAML file that says only what differs from ``default.yaml``; both are laid over
one another key by key. Units stand in the names: ``horizon_days``, ``deadline_ms``, ``annual_discount_rate``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from configs.errors import ConfigError, nearest
from configs.variables import PASSWORD_ERROR, Address
from configs.yaml_file import read_yaml

HERE = Path(__file__).parent
NO_CURRENCY = "XXX"  # of ISO 4217, where no currency is involved


def naive_utc(time: datetime) -> datetime:
    """A time in UTC without a zone; one that has no zone is UTC already.

    >>> naive_utc(datetime.fromisoformat("2018-01-01T00:30+02:00"))
    datetime.datetime(2017, 12, 31, 22, 30)
    """
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def known_zone(zone: str) -> str:
    """Return the name of a time zone, or raise `ValueError` with the nearest one that exists."""
    if zone not in available_timezones():
        raise ValueError(f"unknown time zone '{zone}'{nearest(zone, available_timezones())}")
    return zone


def _within_calendar(time: datetime) -> datetime:
    try:
        naive_utc(time)
    except OverflowError:
        raise ValueError("lies before the year 1 or after 9999 in UTC") from None
    return time


def _written_time(given: object) -> object:
    """A number is a day only if it is written as one; pydantic would read it as seconds since 1970."""
    if isinstance(given, bool) or not re.fullmatch(r"[-+]?[\d_]*\.?\d+(e[-+]?\d+)?", text := str(given).strip(), re.I):
        return given
    if re.fullmatch(r"(19|20)\d{6}", text):
        with suppress(ValueError):
            return datetime.strptime(text, "%Y%m%d")
    raise ValueError("a number is no time; write it like 2024-01-31 or 2024-01-31T10:30:00Z")


STEP_DAYS = 30
Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(gt=0, le=3660)]
Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]


def _network(text: str) -> str:
    """An address, or a network of them; ValueError if it is neither."""
    return str(ipaddress.ip_network(text, strict=False)) if "/" in text else str(ipaddress.ip_address(text))


TimeZone = Annotated[str, AfterValidator(known_zone)]
Time = Annotated[datetime, BeforeValidator(_written_time), AfterValidator(_within_calendar)]
HttpsAddress = Annotated[str, Field(pattern=r"^https://[^\s/]+(/\S*[^\s/])?$")]
Task = Literal["churn", "clv"]
Band = Literal["low", "watch", "high", "critical"]
Tier = Literal["diamond", "gold", "silver", "bronze"]
Stage = Literal["prospect", "new", "growing", "mature", "declining", "booked", "lapsed"]
Feast = Literal[
    "ramadan", "eid_al_fitr", "eid_al_adha", "chinese_new_year", "easter", "thanksgiving", "black_friday",
    "golden_week_japan", "golden_week_china",
]  # fmt: skip
FeastDay = Annotated[int, Field(ge=-60, le=60)]  # counted from the first day of the feast
Engine = Literal["duckdb", "spark"]
OnlineStore = Literal["sqlite", "redis"]
Treatment = Literal["keep", "drop", "weight"]
ValueOfContracts = Literal["fees", "orders", "both"]


def entries_of(options: Mapping[str, Any], table: str) -> list[Mapping[str, Any]]:
    """The entries of one table in ``source.options``, of files or of a database.

    >>> entries_of({"tables": {"orders": {"query": "select 1"}}}, "orders"), entries_of({"customers": 80}, "customers")
    ([{'query': 'select 1'}], [])
    """
    tables = options.get("tables")
    given = (tables if isinstance(tables, Mapping) else options).get(table)
    return [entry for entry in _as_list(given) if isinstance(entry, Mapping)]


def _as_list(given: object) -> list[Any]:
    return given if isinstance(given, list) else [given]


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """Where the tables come from."""

    loader: str
    options: dict[str, Any] = {}
    customers_from: Literal["orders", "subscriptions"] | None

    def names_column(self, table: str, column: str) -> bool:
        """Whether the mapping of a table says which column of the source, or of a joined file, is one of its own."""
        entries = entries_of(self.options, table)
        joins = [join for entry in entries for join in _as_list(entry.get("join"))]
        named = [part.get("columns") for part in (*entries, *joins) if isinstance(part, Mapping)]
        return any(column in columns for columns in named if isinstance(columns, Mapping))


class Rates(Section):
    """What other currencies are worth."""

    file: str | None
    inverse: bool
    max_age_days: Days


class Thresholds(Section):
    """The least share of each dimension of data quality, in every table."""

    completeness: Share
    validity: Share
    uniqueness: Share
    consistency: Share
    freshness: Share


class Quality(Section):
    """When an input table is good enough to use."""

    min_valid_share: Share
    max_age_days: Days
    thresholds: Thresholds
    outlying_amounts: Annotated[float, Field(gt=1)] | None
    accept_rules: tuple[str, ...]
    closed: tuple[tuple[date, date], ...]
    clock_skew_seconds: Annotated[int, Field(ge=0, le=86_400)]
    outlying_gap_days: Days
    outlying_share: Annotated[float, Field(ge=0, le=0.1)]

    @property
    def clock_skew(self) -> timedelta:
        """How far the clock of a sender may be ahead."""
        return timedelta(seconds=self.clock_skew_seconds)

    @field_validator("closed")
    @classmethod
    def _in_order(cls, closed: tuple[tuple[date, date], ...]) -> tuple[tuple[date, date], ...]:
        for first, last in closed:
            if last < first:
                raise ValueError(f"closed from {first} to {last}: the first day comes first")
        return closed


class Quarantine(Section):
    """How long rejected rows are kept."""

    keep_days: Days


class Redis(Section):
    """Where the online store is, if it is a Redis, and how long it may take."""

    url: Address
    prefix: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]*$")]
    read_timeout_ms: Count
    write_timeout_seconds: Annotated[float, Field(gt=0)]


class AsOf(Section):
    """The as-of dates at which customers are looked at."""

    every_months: Count
    min_history_days: Days
    first: Time | None
    last: Time | None


class Contacts(Section):
    """Which rows of the table contacts are retention contacts."""

    campaigns: Annotated[tuple[str, ...], Field(min_length=1)]
    untreated_arms: tuple[str, ...]


class Churn(Section):
    """What counts as leaving."""

    forecast: bool
    kind: Literal["inactivity", "contract", "label"]
    horizon_days: Days
    horizons_days: tuple[Days, ...]
    activity_days: Days
    grace_days: Annotated[int, Field(ge=0, le=3660)]
    ends: Literal["announced", "unannounced"] | None
    holdout_as_ofs: Count
    holdout_share: Annotated[float, Field(gt=0, lt=1)]
    treatment: Treatment
    contacts: Contacts
    max_weight_quantile: Annotated[float, Field(gt=0.5, le=1)]

    @property
    def all_horizons(self) -> tuple[int, ...]:
        """Every horizon that is answered for, rising; a ready label has its own alone."""
        return tuple(sorted({self.horizon_days, *(() if self.kind == "label" else self.horizons_days)}))


class Clv(Section):
    """What counts as a customer's value."""

    forecast: bool
    contracts: ValueOfContracts | None
    horizon_days: Days
    holdout_as_ofs: Count
    margin: Annotated[float, Field(gt=0, le=1)]
    annual_discount_rate: Annotated[float, Field(ge=0, lt=1)]
    coverage: Annotated[float, Field(gt=0.5, lt=1)]
    season_allowance: Share
    longer_days: Annotated[tuple[Days, ...], Field(max_length=3)]  # a season column each, see features.schema

    @property
    def longer_horizons(self) -> tuple[int, ...]:
        """The horizons beyond the main one that value is told for, rising."""
        return tuple(sorted({days for days in self.longer_days if days > self.horizon_days}))

    @property
    def step_horizons(self) -> tuple[int, ...]:
        """The steps within the main horizon that the newest months are known for already, rising."""
        return tuple(range(STEP_DAYS, self.horizon_days, STEP_DAYS))


class Columns(Section):
    """Customer columns that the business declares."""

    attributes: tuple[str, ...]
    sensitive: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    @property
    def constant_attributes(self) -> tuple[str, ...]:
        """Attributes that stand in the customers table and never change."""
        return tuple(name for name in self.attributes if name in self.constant)

    @property
    def changing_attributes(self) -> tuple[str, ...]:
        """Attributes that change, so that only the table attribute_changes says what they were."""
        return tuple(name for name in self.attributes if name not in self.constant)

    @model_validator(mode="after")
    def _declared(self) -> Columns:
        for key, names in (("constant", self.constant), ("numbers", self.numbers)):
            if others := sorted(set(names) - set(self.attributes)):
                raise ValueError(f"{others} stand under {key}, but not under attributes; add them there")
        return self

    @model_validator(mode="after")
    def _apart(self) -> Columns:
        both = sorted(set(self.attributes) & set(self.sensitive))
        if both:
            raise ValueError(
                f"{both} stand under both attributes and sensitive; a sensitive column audits, it does not predict"
            )
        if used := sorted(set(self.exclude) & {*self.attributes, *self.sensitive}):
            raise ValueError(f"{used} stand under exclude and under attributes or sensitive; leave them in one")
        return self


class Tuning(Section):
    """How long and how widely the search looks."""

    trials: Count
    timeout_seconds: Count
    folds: Count
    max_trees: Count
    early_stopping_trees: Count
    seed: Annotated[int, Field(ge=0)]
    storage: Address | None
    workers: Count

    @property
    def alone(self) -> Tuning:
        """The same search by one process in a storage of its own."""
        return self.model_copy(update={"storage": None, "workers": 1})


class Training(Section):
    """Where the final models are learned."""

    engine: Literal["local", "processes", "dask"]
    workers: Count
    scheduler: str | None

    @model_validator(mode="after")
    def _scheduler_given(self) -> Training:
        if self.engine == "dask" and self.scheduler is None:
            raise ValueError("engine: dask needs `scheduler`, the address of a Dask scheduler: tcp://host:8786")
        return self


class Minimum(Section):
    """The least that a model is learned from."""

    customers: Count
    labels_of_each_kind: Count
    as_ofs: Count
    below: Literal["prior", "stop"]
    few_customers: Count


class Leaks(Section):
    """When one column alone predicts the label too well to be honest."""

    min_auc: Share
    lead: Share
    missing_ratio: Annotated[float, Field(gt=1)]
    known_before: tuple[str, ...] = ()


class Gates(Section):
    """What a candidate must show before it serves."""

    min_auc: Share
    max_calibration_error: Share
    min_gini: Annotated[float, Field(ge=-1, le=1)]
    coverage_tolerance: Share
    max_loss_to_champion: Share
    must_beat_baseline: bool


class Bands(Section):
    """Lower edges of the risk bands, as calibrated probabilities; below `watch` is low."""

    watch: Share
    high: Share
    critical: Share

    @model_validator(mode="after")
    def _rising(self) -> Bands:
        if not self.watch < self.high < self.critical:
            raise ValueError(f"bands must rise: watch {self.watch} < high {self.high} < critical {self.critical}")
        return self


class Tiers(Section):
    """The share of customers, from the most valuable down, that each tier takes; the rest is bronze."""

    diamond: Share
    gold: Share
    silver: Share

    @model_validator(mode="after")
    def _within_one(self) -> Tiers:
        if self.diamond + self.gold + self.silver >= 1:
            raise ValueError("tiers must leave customers for bronze: diamond + gold + silver must be under 1")
        return self


class Stages(Section):
    """The edges between the stages of a customer's life."""

    new_days: Days
    growing_ratio: Annotated[float, Field(gt=1)]
    declining_ratio: Annotated[float, Field(gt=0, lt=1)]


Code = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class CampaignAction(Section):
    """The action where contacting a customer pays and no rule for contacts matches."""

    code: Code
    text: str


class Rule(Section):
    """An action for the customers it matches; an empty list matches all.

    `contact` says whether it costs what a contact of the campaign costs: such a rule is taken only where that pays, and
    one that does not only where it does not pay; None: either way.
    """

    code: Code
    text: str
    contact: bool | None = None
    band: tuple[Band, ...] = ()
    tier: tuple[Tier, ...] = ()
    stage: tuple[Stage, ...] = ()


class Campaign(Section):
    """What it costs and brings to contact a customer who may leave, see `configs.campaign`."""

    contact_cost: Amount | None
    offer_cost: Amount | None
    success_rate: Share | None
    success_alpha: Annotated[float, Field(gt=0)]
    success_beta: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(gt=0, le=1)] | None
    value_per_customer: Annotated[float, Field(gt=0)] | None
    leaver_value_share: Annotated[float, Field(ge=0, lt=1)]
    action: CampaignAction

    @model_validator(mode="after")
    def _whole(self) -> Campaign:
        if (self.contact_cost is None) != (self.offer_cost is None):
            raise ValueError("a campaign needs both contact_cost and offer_cost; give both, or neither")
        return self

    @property
    def planned(self) -> bool:
        """Whether costs are given."""
        return self.contact_cost is not None

    @property
    def contact(self) -> float:
        """Cost of one contact; 0 if none is given."""
        return self.contact_cost or 0.0

    @property
    def offer(self) -> float:
        """Cost of one offer that is taken; 0 if none is given."""
        return self.offer_cost or 0.0

    @property
    def success(self) -> float:
        """The success rate, or the mean of its prior if none is given."""
        mean = self.success_alpha / (self.success_alpha + self.success_beta)
        return mean if self.success_rate is None else self.success_rate


class Decisions(Section):
    """From numbers to words and actions."""

    bands: Bands
    tiers: Tiers
    stages: Stages
    campaign: Campaign
    actions: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @field_validator("actions")
    @classmethod
    def _last_matches_all(cls, actions: tuple[Rule, ...]) -> tuple[Rule, ...]:
        last = actions[-1]
        if last.band or last.tier or last.stage or last.contact:
            raise ValueError(
                f"the last action ('{last.code}') must match every customer: give it no band, tier, stage or contact"
            )
        return actions


class Tokens(Section):
    """Signed tokens (JWT) of an identity provider that are taken."""

    jwks: str
    issuer: str
    audience: str
    role_claim: str = "scope"
    role_prefix: str = "staycast:"
    rows_claim: str = "staycast_rows"
    token_url: HttpsAddress | None = None

    @field_validator("jwks")
    @classmethod
    def _of_file_or_https(cls, jwks: str) -> str:
        if "://" in jwks and not jwks.startswith("https://"):
            raise ValueError("give a file, or an address that begins with https://: keys over plain HTTP can be forged")
        return jwks

    @model_validator(mode="after")
    def _scopes_have_a_prefix(self) -> Tokens:
        if self.role_claim in ("scope", "scp") and not self.role_prefix:
            raise ValueError("role_prefix: a scope names what any service grants: give roles in it a prefix")
        return self


class Access(Section):
    """Who may ask the service, see `serving.access`."""

    required: bool | None
    requests_per_minute: Annotated[float, Field(gt=0)]
    failures_per_minute: Annotated[float, Field(gt=0)] = 60
    row_scope: str | None = None
    tokens: Tokens | None

    @model_validator(mode="after")
    def _who_sees_some_says_who_asks(self) -> Access:
        if self.row_scope is not None and self.required is False:
            raise ValueError("row_scope: whom a caller may see depends on who asks, so required cannot be false")
        return self


class Serving(Section):
    """How answers are given."""

    host: str
    port: Annotated[int, Field(gt=0, lt=65536)]
    workers: Annotated[int, Field(gt=0, le=64)]
    public_url: HttpsAddress | None
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...]
    max_customers_per_request: Count
    top_reasons: Count
    stale_after_hours: Count
    max_wait_ms: Count
    registry_poll_seconds: Annotated[float, Field(gt=0, le=30)]
    unledgered: Literal["refuse", "serve"]
    drain_seconds: Annotated[float, Field(ge=0, le=600)]


class Records(Section):
    """What is kept of answers, see `serving.records`."""

    keep_days: Days
    database: Address | None
    master_key_file: str | None
    master_key_variable: str | None
    checkpoints: str | None
    purposes: tuple[Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$")], ...]

    @model_validator(mode="after")
    def _one_place_of_the_key(self) -> Records:
        if self.master_key_file and self.master_key_variable:
            raise ValueError("give master_key_file or master_key_variable: the key is in one place")
        return self


class Monitoring(Section):
    """When a change counts as one."""

    drift_effect: Annotated[float, Field(gt=0)]
    drift_p_value: Annotated[float, Field(gt=0, lt=1)]
    drift_min_rows: Count
    fairness_min_group: Count
    fairness_selection_share: Share


class Calendar(Section):
    """Events whose days the business knows beforehand."""

    events: dict[str, tuple[tuple[date, date], ...]]
    closures: dict[str, tuple[tuple[date, date], ...]] = {}
    feasts: dict[Feast, tuple[FeastDay, FeastDay] | None] = {}

    @property
    def windows(self) -> dict[str, tuple[tuple[date, date], ...]]:
        """First and last days of all events, closures among them, by name."""
        return {**self.events, **self.closures}

    @model_validator(mode="after")
    def _each_name_once(self) -> Calendar:
        names = [*self.events, *self.closures, *self.feasts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: stands twice among events, closures and feasts, give it once")
        return self

    @field_validator("feasts")
    @classmethod
    def _first_before_last(cls, feasts: dict[Feast, tuple[int, int] | None]) -> dict[Feast, tuple[int, int] | None]:
        for name, span in feasts.items():
            if span and span[1] < span[0]:
                raise ValueError(f"{name} from day {span[0]} to day {span[1]}: the first day comes first")
        return feasts

    @field_validator("events", "closures")
    @classmethod
    def _in_order(cls, events: dict[str, tuple[tuple[date, date], ...]]) -> dict[str, tuple[tuple[date, date], ...]]:
        for name, windows in events.items():
            for (first, last), following in zip(windows, [*windows[1:], None], strict=False):
                if last < first:
                    raise ValueError(f"{name} from {first} to {last}: the first day comes first")
                if following and following[0] <= last:
                    raise ValueError(f"{name} until {last} and from {following[0]}: give its times in order, each once")
        return events


class Settings(Section):
    """Everything that is set, for one business."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    time_zone: TimeZone
    engine: Engine
    data_until: Time | None
    source: Source
    rates: Rates
    quality: Quality
    quarantine: Quarantine
    online_store: OnlineStore
    redis: Redis
    as_of: AsOf
    churn: Churn
    clv: Clv
    calendar: Calendar
    columns: Columns
    tuning: Tuning
    training: Training
    minimum: Minimum
    leaks: Leaks
    gates: Gates
    decisions: Decisions
    access: Access
    serving: Serving
    records: Records
    monitoring: Monitoring

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The models of this business: churn (not of a value alone), and value where amounts are known."""
        if not self.churn.forecast:
            return ("clv",)
        has_amounts = self.churn.kind != "label" or self.has_realised_value
        return ("churn", "clv") if self.clv.forecast and has_amounts else ("churn",)

    @property
    def has_realised_value(self) -> bool:
        """Whether the mapping of a ready table names the column of the value that came."""
        return self.churn.kind == "label" and self.source.names_column("profiles", "realised_value")

    @property
    def closed_days(self) -> tuple[tuple[date, date], ...]:
        """First and last days on which the business was or will be closed, wherever it says so."""
        return (*self.quality.closed, *(days for windows in self.calendar.closures.values() for days in windows))

    @property
    def counts_orders(self) -> bool:
        """Whether orders have no amounts: each counts as one, and a customer's value is a number of orders."""
        return self.currency == NO_CURRENCY

    @property
    def value_unit(self) -> str:
        """What values are told in: a code of ISO 4217, or orders."""
        return "orders" if self.counts_orders else self.currency

    @property
    def data_until_utc(self) -> datetime | None:
        """The end of complete data, exclusive, in UTC without a zone; None: up to the last event."""
        return self.data_until if self.data_until is None else naive_utc(self.data_until)

    def outcome_days(self, task: Task) -> int:
        """Days after an as-of date until its outcome is known: the horizon, and for contracts the grace after it."""
        return (self.churn if task == "churn" else self.clv).horizon_days + self.grace_days(task)

    def grace_days(self, task: Task) -> int:
        """Days after the horizon that an outcome still waits for: a contract may be renewed late."""
        return self.churn.grace_days if task == "churn" and self.churn.kind == "contract" else 0

    @model_validator(mode="after")
    def _exclude_fits(self) -> Settings:
        if self.columns.exclude and self.churn.kind != "label":
            raise ValueError(
                "columns.exclude is for churn.kind label, where every column is used; elsewhere leave the column out "
                "of columns.attributes"
            )
        return self

    @model_validator(mode="after")
    def _value_alone_fits(self) -> Settings:
        if self.churn.forecast:
            return self
        if not (self.has_realised_value and self.clv.forecast):
            raise ValueError(
                "churn.forecast: false is for a ready table with a value and no label: churn.kind label, clv.forecast "
                "true, and a column of source.options.profiles named as realised_value"
            )
        if self.decisions.campaign.planned:
            raise ValueError(
                "decisions.campaign needs the risk of leaving: leave its costs out with churn.forecast: false"
            )
        return self

    @model_validator(mode="after")
    def _realised_value_fits(self) -> Settings:
        if self.has_realised_value and self.clv.annual_discount_rate != 0:
            raise ValueError(
                "clv.annual_discount_rate does not fit realised_value: the table does not tell when within its time "
                "the money came; set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _counts_fit(self) -> Settings:
        if not self.counts_orders:
            return self
        clv, campaign = self.clv, self.decisions.campaign
        if "clv" in self.tasks and self.churn.kind != "inactivity":
            raise ValueError("currency: XXX counts orders; this value is money: set clv.forecast to false")
        if clv.margin != 1 or clv.annual_discount_rate != 0:
            raise ValueError("currency: XXX counts orders, which clv.margin and clv.annual_discount_rate do not fit")
        if campaign.planned and campaign.value_per_customer is None:
            raise ValueError("currency: XXX counts orders: decisions.campaign needs value_per_customer")
        return self

    @model_validator(mode="after")
    def _campaign_fits(self) -> Settings:
        campaign = self.decisions.campaign
        if campaign.planned and campaign.value_per_customer is None and "clv" not in self.tasks:
            raise ValueError(
                "decisions.campaign needs value_per_customer, as this business has no value model: give what is lost "
                "with one customer"
            )
        if campaign.margin is not None and campaign.value_per_customer is None and self.clv.margin != 1:
            raise ValueError(
                "the margin is given twice: leave decisions.campaign.margin null, clv.margin is in the value"
            )
        return self


def load(config: str | Path) -> Settings:
    """Read the settings of one business.

    Parameters
    ----------
    config
        The path of a YAML file, or the bare name of one in ``configs/``: ``completejourney``.

    Raises
    ------
    ConfigError
        The file is missing, is not YAML, or holds an unknown key or a value out of its range.
    """
    path, ready = Path(config), HERE / f"{config}.yaml"
    path = ready if ready.is_file() and not path.is_file() else path
    return merged_with_default(_read(path), str(path))


def merged_with_default(content: dict[str, Any], where: str) -> Settings:
    """Settings that say what differs from ``default.yaml``, checked.

    Parameters
    ----------
    content
        The nested settings.
    where
        What an error calls them.

    Raises
    ------
    ConfigError
        An unknown key, a value out of its range, or a column of values whose days are not written down.
    """
    try:
        settings = Settings.model_validate(overlay(_read(HERE / "default.yaml"), content))
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(e) for e in error.errors())) from None
    _require_days_of_value(settings, content, where)
    return settings


def _require_days_of_value(settings: Settings, content: dict[str, Any], where: str) -> None:
    """Check that a column of values and a label that look at different times say so: a default knows neither."""
    if not settings.has_realised_value or "clv" not in settings.tasks or "horizon_days" in (content.get("clv") or {}):
        return
    if settings.clv.horizon_days != settings.churn.horizon_days:
        raise ConfigError(
            f"{where}: realised_value is told as the value of clv.horizon_days, which is not written down: the default "
            f"is {settings.clv.horizon_days} days, and the label looks at {settings.churn.horizon_days}; write "
            "clv.horizon_days, the days over which the column counts"
        )


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another, key by key; lists and scalars are replaced whole.

    >>> overlay({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    out = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        out[key] = overlay(base[key], value) if nested else value
    return out


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        ready = sorted(p.stem for p in HERE.glob("*.yaml") if p.stem != "default")
        raise ConfigError(f"no configuration at '{path}': give the path of a YAML file, or one of {', '.join(ready)}")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(content).__name__}")
    return content


def _explain(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "settings"
    if error["type"] == "extra_forbidden":
        return f"unknown key '{where}'{nearest(where, known_keys())}; remove it or correct its name"
    hidden = isinstance(error["input"], dict) or error["type"] == PASSWORD_ERROR
    got = "" if hidden else f" (got {error['input']!r})"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{got}"


def known_keys() -> list[str]:
    """Every dotted key that ``default.yaml`` sets, sections included."""

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[str]:
        for name, value in node.items() if isinstance(node, dict) else ():
            yield ".".join((*path, name))
            yield from walk(value, (*path, name))

    return list(walk(_read(HERE / "default.yaml"), ()))
