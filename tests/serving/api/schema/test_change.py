from __future__ import annotations

import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.change import ChangeQuery
from serving.api.schema.queries import parse_query


@pytest.mark.parametrize("since", ["2024-02-01T00:00:00Z", "2024-02-01T01:00:00.5+01:00"])
def test_any_moment_of_rfc_3339_is_taken(since: str) -> None:
    assert parse_query([("since", since)], ChangeQuery).since == since


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("since", "yesterday")],
        [("since", "2024-02-30T00:00:00Z")],
        [("since", "2024-02-01T00:00:00")],
        [("since", "2024-02-01T00:00:00Z"), ("since", "2024-02-01T00:00:00Z")],
        [("since", "2024-02-01T00:00:00Z"), ("until", "2024-02-01T00:00:00Z")],
    ],
)
def test_one_moment_is_asked_for_and_nothing_else(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequestError):
        parse_query(pairs, ChangeQuery)
