"""What is asked behind the question mark of an address, as strictly as bodies: no unknown name, none twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serving.api.problems import FieldError
from serving.api.schema.parsing import Model, invalid_request, json_pointer, validated


def parse_query(pairs: Iterable[tuple[str, str]], model: type[Model], lists: Iterable[str] = ()) -> Model:
    """Read the parameters of an address.

    Parameters
    ----------
    pairs
        Names and texts in the order they stand there.
    model
        What may be asked.
    lists
        Names of parameters that hold several values, parted by commas, or the name given several times.

    Raises
    ------
    InvalidRequestError
        A name is not known, or stands there twice, or its text cannot be read; pointers begin with ``/query``.
    """
    found: dict[str, Any] = {}
    faults: list[FieldError] = []
    several = set(lists)
    for name, text in pairs:
        if name in several:
            found[name] = [*found.get(name, []), *text.split(",")]
        elif name in found:
            faults.append(FieldError(json_pointer(("query", name)), "stands there twice: give it once"))
        else:
            found[name] = text
    if faults:
        raise invalid_request(faults)
    return validated(model, found, ("query",), strict=False)
