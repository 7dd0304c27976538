"""Who asks, and which role may do what: one table. What does not stand in it, nobody may do.

A path is the name of its route, in which ids are told by their names: ``/v1/customers/{customer_id}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from configs.errors import StaycastError

Row = tuple[str, str]  # an attribute of customers, and a value of it
Role = Literal["crm", "analyst", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
EVERYBODY: frozenset[Role] = frozenset(ROLES)
PROBES = ("/healthz", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
DOCUMENTS = ("/openapi.json", "/openapi-3.0.json", "/swagger.json")
PUBLIC = frozenset(("GET", path) for path in (*PROBES, *DOCUMENTS))  # they tell nothing of customers
OPERATIONS: dict[tuple[str, str], frozenset[Role]] = {
    ("POST", "/v1/predictions"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/predictions/{prediction_id}"): EVERYBODY,
    ("POST", "/v1/events"): frozenset({"crm", "admin"}),
    ("GET", "/v1/customers"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/customers/{customer_id}"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/customers/{customer_id}/change"): frozenset({"crm", "analyst", "admin"}),
    ("POST", "/v1/score-jobs"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/score-jobs"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/score-jobs/{job_id}"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/score-jobs/{job_id}/result"): frozenset({"crm", "analyst", "admin"}),
    ("POST", "/v1/contacts"): frozenset({"crm", "admin"}),
    ("POST", "/v1/outcomes"): frozenset({"crm", "admin"}),
    ("POST", "/v1/objections"): frozenset({"crm", "admin"}),
    ("POST", "/v1/what-if"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/models"): EVERYBODY,
    ("GET", "/v2"): EVERYBODY,
    ("GET", "/v2/models/{name}"): EVERYBODY,
    ("GET", "/v2/models/{name}/ready"): EVERYBODY,
    ("POST", "/v2/models/{name}/infer"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/releases"): frozenset({"analyst", "reviewer", "admin"}),
    ("GET", "/metrics"): frozenset({"analyst", "admin"}),
}

OF_VISIBLE: frozenset[tuple[str, str]] = frozenset(  # tell callers who see some customers alone of no others
    {
        ("POST", "/v1/predictions"),
        ("GET", "/v1/predictions/{prediction_id}"),
        ("POST", "/v1/events"),
        ("GET", "/v1/customers"),
        ("GET", "/v1/customers/{customer_id}"),
        ("GET", "/v1/customers/{customer_id}/change"),
        ("POST", "/v1/contacts"),
        ("POST", "/v1/outcomes"),
        ("POST", "/v1/objections"),
        ("POST", "/v1/what-if"),
        ("GET", "/v1/models"),
        *(operation for operation in OPERATIONS if operation[1].startswith("/v2")),
    }
)


class NotAuthenticatedError(StaycastError):
    """It is not known who asks: nothing was given to tell it, or what was given does not hold."""


class AccessUnavailableError(StaycastError):
    """It cannot be told now who asks: the keys, of this service or of the provider, cannot be read."""


@dataclass(frozen=True)
class Caller:
    """One who may ask.

    Attributes
    ----------
    name
        Of the key, or the subject of the token.
    role
        What the caller may do.
    kind
        What told it; a token's subject may be a key's name.
    rows
        Values of attributes of the customers whom the caller may see, see `serving.access.rows`.
    """

    name: str
    role: Role
    kind: Literal["anonymous", "key", "token"]
    rows: frozenset[Row] = frozenset()

    @property
    def id(self) -> str:
        """As records and limits name the caller, apart from all others.

        >>> Caller("crm", "crm", "key").id
        'key:crm'
        """
        return f"{self.kind}:{self.name}"


def is_public(method: str, path: str) -> bool:
    """Whether anybody may, without saying who asks."""
    return (_read(method), path) in PUBLIC


def may(role: str, method: str, path: str) -> bool:
    """Whether a role may do it.

    >>> may("crm", "POST", "/v1/events"), may("reviewer", "POST", "/v1/events"), may("admin", "DELETE", "/v1/events")
    (True, False, False)
    """
    return role in OPERATIONS.get((_read(method), path), frozenset())


def tells_of_visible(method: str, path: str) -> bool:
    """Whether it may be asked by who sees some customers alone."""
    return (_read(method), path) in OF_VISIBLE


def _read(method: str) -> str:
    """A HEAD is a GET without its body."""
    return "GET" if method == "HEAD" else method
