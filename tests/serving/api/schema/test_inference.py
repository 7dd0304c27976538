from __future__ import annotations

from typing import Any

import orjson
import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.inference import ANSWER, QUESTION, InferenceAnswer, outputs_of, parse_inference


def request(data: Any, shape: list[int], **more: Any) -> bytes:
    tensor = {"name": "customer_id", "shape": shape, "datatype": "BYTES", "data": data, **more.pop("tensor", {})}
    return orjson.dumps({"inputs": [tensor], **more})


@pytest.mark.parametrize(
    ("data", "shape"), [(["a", "b"], [2]), (["a", "b"], [2, 1]), ([["a"], ["b"]], [2, 1]), (["a"], [1])]
)
def test_ids_come_flat_or_in_rows(data: Any, shape: list[int]) -> None:
    assert parse_inference(request(data, shape), "churn", 10).ids == ["a", "b"][: shape[0]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (request(["a", "b"], [3]), "/inputs/0/shape"),
        (request(["a", "b"], [1, 2]), "/inputs/0/shape"),
        (request(["a"], []), "/inputs/0/shape"),
        (request(["a"], [1, 1, 1]), "/inputs/0/shape"),
        (request(["a"], [-1]), "/inputs/0/shape/0"),
        (request(["a", "b", "c"], [3]), "/inputs/0/data"),
        (request([], [0]), "/inputs/0/data"),
        (request([7], [1]), "/inputs/0/data/0"),
        (request([""], [1]), "/inputs/0/data/0"),
        (request("a", [1]), "/inputs/0/data"),
        (request(["a"], [1], tensor={"name": "id"}), "/inputs/0/name"),
        (request(["a"], [1], tensor={"datatype": "FP64"}), "/inputs/0/datatype"),
        (request(["a"], [1], tensor={"extra": 1}), "/inputs/0/extra"),
        (request(["a"], [1], outputs=[{"name": "expected"}]), "/outputs/0/name"),
        (request(["a"], [1], outputs=[{"name": "status"}, {"name": "status"}]), "/outputs/1/name"),
        (b'{"inputs": []}', "/inputs"),
        (b"{}", "/inputs"),
    ],
)
def test_what_is_no_request_of_the_protocol_is_refused_with_the_place(body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        parse_inference(body, "churn", 2)
    assert pointer in {fault.pointer for fault in error.value.errors}


def test_hints_are_taken_and_the_id_comes_back() -> None:
    hints = {"binary_data_output": False, "priority": 1, "content_type": "str"}
    body = request(
        ["a"], [1], id="7", parameters=hints, outputs=[{"name": "low", "parameters": {"binary_data": False}}]
    )
    asked = parse_inference(body, "clv", 10)
    assert asked.id == "7" and [output.name for output in asked.outputs] == ["low"]


def test_the_examples_are_what_the_models_say() -> None:
    assert parse_inference(orjson.dumps(QUESTION), "churn", 10).ids == ["1038", "1349"]
    assert {output.name for output in InferenceAnswer.model_validate(ANSWER).outputs} <= set(outputs_of("churn"))
