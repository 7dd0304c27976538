from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.tables import id_of
from serving.api.problems import InvalidRequestError
from serving.api.schema.fields import MAX_ID_LENGTH
from serving.api.schema.requests import (
    MAX_REASONS,
    ManyCustomers,
    OneCustomer,
    parse_prediction,
    targets_asked,
)

MOST = 3
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_ID_LENGTH).filter(id_of)


def refused(body: bytes) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        parse_prediction(body, MOST)
    return {fault.pointer: fault.detail for fault in caught.value.errors}


@given(ids)
def test_any_text_but_blanks_is_an_id(customer_id: str) -> None:
    assert parse_prediction(orjson.dumps({"customer_id": customer_id}), MOST) == OneCustomer(customer_id=customer_id)


@given(st.lists(ids, min_size=1, max_size=MOST, unique=True), st.none() | st.integers(0, MAX_REASONS))
def test_several_ids_keep_their_order(customer_ids: list[str], top: int | None) -> None:
    body = orjson.dumps({"customer_ids": customer_ids, "top_reasons": top})
    assert parse_prediction(body, MOST) == ManyCustomers(customer_ids=customer_ids, top_reasons=top)


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ('{"customer_id": 1038}', "/customer_id", "must be a string in quotes"),
        ('{"customer_id": null}', "/customer_id", "must be a string in quotes"),
        ('{"customer_id": ""}', "/customer_id", "at least 1 character"),
        ('{"customer_id": " "}', "/customer_id", "must hold more than blanks"),
        ('{"customer_id": "' + "x" * 257 + '"}', "/customer_id", "at most 256 characters"),
        ("{}", "/customer_id", "is required"),
        ('{"customer_id": "a", "colour": 1}', "/colour", "is not a known field"),
        ('{"customer_id": "a", "a/b~c": 1}', "/a~1b~0c", "is not a known field"),
        ('{"customer_id": "a", "customer_ids": ["b"]}', "/customer_ids", "give one of the two"),
        ('{"customer_id": "a", "top_reasons": "3"}', "/top_reasons", "valid integer"),
        ('{"customer_id": "a", "top_reasons": 3.0}', "/top_reasons", "valid integer"),
        ('{"customer_id": "a", "top_reasons": true}', "/top_reasons", "valid integer"),
        ('{"customer_id": "a", "top_reasons": -1}', "/top_reasons", "greater than or equal to 0"),
        ('{"customer_id": "a", "explain": "all"}', "/explain", "'none', 'top' or 'full'"),
        ('{"customer_ids": []}', "/customer_ids", "at least 1 item"),
        ('{"customer_ids": "a"}', "/customer_ids", "must be a list of strings"),
        ('{"customer_ids": ["a", 7]}', "/customer_ids/1", "must be a string in quotes"),
        ('{"customer_id": "a", "customer_id": "b"}', "/customer_id", "stands there twice"),
        ('{"customer_id": "a", "x": {"y": 1, "y": 1}}', "/y", "stands there twice"),
        ('{"customer_ids": ["a", "b", "c", "d"]}', "/customer_ids", "holds 4 ids, at most 3"),
    ],
)
def test_a_fault_is_told_with_its_place(body: str, pointer: str, detail: str) -> None:
    faults = refused(body.encode())
    assert list(faults) == [pointer]
    assert detail in faults[pointer]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"customer_id": "a"',
        b'{"customer_id": NaN}',
        b'{"customer_id": "a", "top_reasons": Infinity}',
        b'{"customer_id": "\xff"}',
        b'{"customer_id": "\\ud800"}',
        b"[" * 5000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON at line"):
        parse_prediction(body, MOST)


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="must be a JSON object"):
        parse_prediction(body, MOST)


@given(ids.filter(lambda i: len(i) > 3), st.integers(0, 3))
def test_a_refusal_never_quotes_an_id(customer_id: str, kind: int) -> None:
    marked = f"secret-{customer_id}"[:MAX_ID_LENGTH]
    bodies: list[Any] = [
        {"customer_ids": [marked] * 4},
        {"customer_ids": [marked, 1]},
        {"customer_id": marked, "customer_ids": [marked]},
        {"customer_id": marked, "top_reasons": marked},
    ]
    with pytest.raises(InvalidRequestError) as caught:
        parse_prediction(orjson.dumps(bodies[kind]), MOST)
    assert "secret" not in str(caught.value)
    assert not any("secret" in fault.detail for fault in caught.value.errors)


def test_an_id_that_stands_there_twice_is_asked_for_once_and_named() -> None:
    request = parse_prediction(b'{"customer_ids": ["a", "b", "a"]}', MOST)
    assert (request.ids, request.repeated) == (["a", "b"], ["a"])


def test_targets_are_of_what_the_business_forecasts_each_once() -> None:
    def asked(targets: list[str], tasks: tuple[Any, ...] = ("churn", "clv")) -> Any:
        return targets_asked(OneCustomer(customer_id="a", targets=targets), tasks)

    assert asked(["churn"]) == {"churn"} and asked(["clv", "churn"]) is None and asked(["churn"], ("churn",)) is None
    for targets, tasks, place in ((["clv"], ("churn",), 0), (["churn", "churn"], ("churn", "clv"), 1)):
        with pytest.raises(InvalidRequestError) as caught:
            asked(targets, tasks)
        assert [fault.pointer for fault in caught.value.errors] == [f"/targets/{place}"]
    assert set(refused(b'{"customer_id": "a", "targets": []}')) == {"/targets"}
    assert set(refused(b'{"customer_id": "a", "targets": ["churn", "hair"]}')) == {"/targets/1"}
