"""Who asks, and which role may do what: one table. What does not stand in it, nobody may do.

A path is the name of its route, in which ids are told by their names: ``/v1/customers/{customer_id}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from configs.errors import StaycastError

Role = Literal["crm", "analyst", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
EVERYBODY: frozenset[Role] = frozenset(ROLES)
PUBLIC = frozenset({("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json")})  # tell nothing of customers
OPERATIONS: dict[tuple[str, str], frozenset[Role]] = {
    ("POST", "/v1/predictions"): frozenset({"crm", "analyst", "admin"}),
    ("POST", "/v1/events"): frozenset({"crm", "admin"}),
    ("GET", "/v1/customers"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/customers/{customer_id}"): frozenset({"crm", "analyst", "admin"}),
    ("POST", "/v1/contacts"): frozenset({"crm", "admin"}),
    ("POST", "/v1/outcomes"): frozenset({"crm", "admin"}),
    ("POST", "/v1/what-if"): frozenset({"crm", "analyst", "admin"}),
    ("GET", "/v1/models"): EVERYBODY,
    ("GET", "/metrics"): frozenset({"analyst", "admin"}),
}


class NotAuthenticatedError(StaycastError):
    """It is not known who asks: nothing was given to tell it, or what was given does not hold."""


@dataclass(frozen=True)
class Caller:
    """One who may ask.

    Attributes
    ----------
    name
        As records name the caller: of the key, or the subject of the token.
    role
        What the caller may do.
    """

    name: str
    role: Role


def is_public(method: str, path: str) -> bool:
    """Whether anybody may, without saying who asks."""
    return (_read(method), path) in PUBLIC


def may(role: str, method: str, path: str) -> bool:
    """Whether a role may do it.

    >>> may("crm", "POST", "/v1/events"), may("reviewer", "POST", "/v1/events"), may("admin", "DELETE", "/v1/events")
    (True, False, False)
    """
    return role in OPERATIONS.get((_read(method), path), frozenset())


def _read(method: str) -> str:
    """A HEAD is a GET without its body."""
    return "GET" if method == "HEAD" else method
