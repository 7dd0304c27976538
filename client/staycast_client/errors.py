"""What can go wrong with a call.

StaycastClientError
├── ProblemError             the service answered that it cannot, and why
└── ConnectionFailedError    there was no answer
"""

from __future__ import annotations

from typing import Any

import httpx


class StaycastClientError(Exception):
    """A call has failed."""


class ConnectionFailedError(StaycastClientError):
    """There was no answer: no connection, or none in time."""


class ProblemError(StaycastClientError):
    """The service answered with a problem (RFC 9457).

    Attributes
    ----------
    status, type, title, detail
        As the service tells them; `type` is for programs.
    errors
        The fields at fault, each with ``pointer`` and ``detail``.
    request_id
        Names the request in the service's log.
    retry_after
        In how many seconds to come again, where that is told.
    """

    def __init__(self, response: httpx.Response) -> None:
        body = _body(response)
        self.status = response.status_code
        self.type = str(body.get("type", "about:blank"))
        self.title = str(body.get("title", response.reason_phrase))
        self.detail = str(body.get("detail", ""))
        self.errors: list[dict[str, str]] = body.get("errors", [])
        self.request_id = response.headers.get("x-request-id")
        self.retry_after = retry_after(response)
        super().__init__(f"{self.status} {self.title}: {self.detail}" if self.detail else f"{self.status} {self.title}")


def retry_after(response: httpx.Response) -> float | None:
    """In how many seconds to come again, where the answer tells it in seconds."""
    told = response.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else None


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
