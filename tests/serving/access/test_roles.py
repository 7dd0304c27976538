"""Every operation of the service stands in one table, and nobody may do what does not."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from serving.access.roles import OPERATIONS, PUBLIC, ROLES, is_public, may

MATRIX = {
    ("POST", "/v1/predictions"): {"crm", "analyst", "admin"},
    ("GET", "/v1/predictions/{prediction_id}"): {"crm", "analyst", "reviewer", "admin"},
    ("POST", "/v1/events"): {"crm", "admin"},
    ("GET", "/v1/customers"): {"crm", "analyst", "admin"},
    ("GET", "/v1/customers/{customer_id}"): {"crm", "analyst", "admin"},
    ("GET", "/v1/customers/{customer_id}/change"): {"crm", "analyst", "admin"},
    ("POST", "/v1/score-jobs"): {"crm", "analyst", "admin"},
    ("GET", "/v1/score-jobs"): {"crm", "analyst", "admin"},
    ("GET", "/v1/score-jobs/{job_id}"): {"crm", "analyst", "admin"},
    ("GET", "/v1/score-jobs/{job_id}/result"): {"crm", "analyst", "admin"},
    ("POST", "/v1/contacts"): {"crm", "admin"},
    ("POST", "/v1/outcomes"): {"crm", "admin"},
    ("POST", "/v1/objections"): {"crm", "admin"},
    ("POST", "/v1/what-if"): {"crm", "analyst", "admin"},
    ("GET", "/v1/models"): {"crm", "analyst", "reviewer", "admin"},
    ("GET", "/v2"): {"crm", "analyst", "reviewer", "admin"},
    ("GET", "/v2/models/{name}"): {"crm", "analyst", "reviewer", "admin"},
    ("GET", "/v2/models/{name}/ready"): {"crm", "analyst", "reviewer", "admin"},
    ("POST", "/v2/models/{name}/infer"): {"crm", "analyst", "admin"},
    ("GET", "/v1/releases"): {"analyst", "reviewer", "admin"},
    ("GET", "/metrics"): {"analyst", "admin"},
}


@pytest.mark.parametrize("operation", MATRIX)
@pytest.mark.parametrize("role", [*ROLES, "nobody", ""])
def test_each_role_may_do_what_the_table_says_and_no_more(operation: tuple[str, str], role: str) -> None:
    assert may(role, *operation) == (role in MATRIX[operation])


def test_what_is_not_in_the_table_nobody_may_do() -> None:
    assert set(OPERATIONS) == set(MATRIX)
    assert not any(may(role, "DELETE", "/v1/predictions") for role in ROLES)
    assert not any(may(role, "POST", "/v1/predictions/") for role in ROLES)


def test_a_head_is_what_a_get_is() -> None:
    assert may("crm", "HEAD", "/v1/models") and is_public("HEAD", "/healthz") and not is_public("POST", "/healthz")


def test_every_route_of_the_app_stands_in_the_table_or_is_public(app: Starlette) -> None:
    routes = {(m, r.path_format) for r in app.routes if isinstance(r, Route) for m in (r.methods or set()) - {"HEAD"}}
    assert routes == set(OPERATIONS) | PUBLIC
