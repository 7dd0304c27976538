"""Who asks and what for, as the record of answers keeps it: the purpose is what the header ``X-Purpose`` says."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.requests import Request

from serving.api.problems import InvalidRequestError
from serving.records.evidence import Asker

HEADER = "X-Purpose"
WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def asker_of(request: Request, purposes: Collection[str]) -> Asker:
    """Who asks, in which role, and what for.

    Parameters
    ----------
    request
        As the gate let it on.
    purposes
        What may be said; empty: any word.

    Raises
    ------
    InvalidRequestError
        Something else is said.
    """
    noted, purpose = request.scope["staycast"], request.headers.get(HEADER, "")
    if purpose and (purpose not in purposes if purposes else not WORD.fullmatch(purpose)):
        allowed = f"one of {', '.join(purposes)}" if purposes else "one word of up to 64 letters, digits or ._-"
        raise InvalidRequestError(f"the header {HEADER} must be {allowed}, or left out")
    return Asker(noted["caller"], noted["role"], purpose)
