"""A problem is an exception with its fields; what is no problem is told by its status."""

from __future__ import annotations

import httpx
from staycast_client import ProblemError


def test_a_problem_carries_its_fields() -> None:
    body = {
        "type": "urn:staycast:problem:invalid-request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "/colour is not a known field",
        "errors": [{"pointer": "/colour", "detail": "is not a known field"}],
    }
    error = ProblemError(httpx.Response(422, json=body, headers={"x-request-id": "call-4711"}))
    assert (error.status, error.type, error.request_id) == (422, body["type"], "call-4711")
    assert error.errors == body["errors"] and error.retry_after is None
    assert str(error) == "422 The request is not valid: /colour is not a known field"


def test_an_answer_of_a_proxy_is_told_by_its_status() -> None:
    error = ProblemError(httpx.Response(503, text="<html>", headers={"retry-after": "7"}))
    assert (error.status, error.type, str(error)) == (503, "about:blank", "503 Service Unavailable")
    assert error.retry_after == 7.0
    assert ProblemError(httpx.Response(400, json=["no object"])).title == "Bad Request"
