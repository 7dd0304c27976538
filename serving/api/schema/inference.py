"""The Open Inference Protocol, version 2: what is asked, and what is answered."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from serving.api.problems import FieldError
from serving.api.schema.fields import (
    ANY_TEXT,
    INT64,
    MAX_ID_LENGTH,
    MAX_ITEMS,
    PER_REQUEST,
    CustomerId,
    Name,
    PredictionHeaders,
    StrictModel,
)
from serving.api.schema.parsing import invalid_request, parse_object, validated
from training.model.bundle import Task

INPUT = "customer_id"
NUMBERS: dict[Task, dict[str, tuple[str, str]]] = {  # outputs by model: where in an answer they stand
    "churn": {"probability": ("churn", "probability")},
    "clv": {name: ("clv", name) for name in ("expected", "low", "high")},
}
WORDS = ("status", "model", "prediction_id")
MAX_DIMENSIONS, MAX_PARAMETERS, MAX_OUTPUTS = 2, 100, 10
QUESTION: JsonDict = {
    "id": "42",
    "inputs": [{"name": INPUT, "shape": [2], "datatype": "BYTES", "data": ["1038", "1349"]}],
    "outputs": [{"name": "probability"}],
}
ANSWER: JsonDict = {
    "model_name": "churn",
    "model_version": "3",
    "id": "42",
    "outputs": [{"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.31, 0.08]}],
}
Id = Annotated[str, Field(max_length=MAX_ID_LENGTH, json_schema_extra=ANY_TEXT)]
Parameters = Annotated[
    dict[str, bool | float | Id],
    Field(max_length=MAX_PARAMETERS, description="Hints of the protocol; none changes an answer."),
]
Size = Annotated[int, Field(ge=0, le=MAX_ITEMS, json_schema_extra=INT64)]


def _flat(data: Any) -> Any:
    """Rows of one id each, as the ids themselves: the protocol takes data nested or flat."""
    nested = isinstance(data, list) and data and all(isinstance(row, list) for row in data)
    return list(chain.from_iterable(data)) if nested else data


class InferenceModel(StrictModel):
    """Which of the models is asked."""

    name: Annotated[Name, Field(description="churn or clv.", examples=["churn"])]


class InferenceParameters(InferenceModel, PredictionHeaders):
    """The same with the purpose."""


class InferenceInput(StrictModel):
    """The ids of customers, as a tensor of the protocol."""

    name: Literal["customer_id"]
    shape: Annotated[
        list[Size], Field(min_length=1, max_length=MAX_DIMENSIONS, description="[n] or [n, 1].", examples=[[2]])
    ]
    datatype: Literal["BYTES"]
    parameters: Parameters = Field(default_factory=dict)
    data: Annotated[list[CustomerId], BeforeValidator(_flat), Field(min_length=1, json_schema_extra={**PER_REQUEST})]


class RequestedOutput(StrictModel):
    """An output that is wanted."""

    name: Name
    parameters: Parameters = Field(default_factory=dict)


class InferenceRequest(StrictModel):
    """Which customers are asked for, and which outputs; left out: all of the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [QUESTION]})

    id: Annotated[Id, Field(description="Comes back with the answer.", examples=["42"])] = ""
    parameters: Parameters = Field(default_factory=dict)
    inputs: Annotated[list[InferenceInput], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=MAX_OUTPUTS)] = Field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The customers, in the order asked, one as often as it stands there."""
        return self.inputs[0].data


class InferenceOutput(StrictModel):
    """One output, a value for each customer."""

    name: Name
    shape: Annotated[list[Size], Field(max_length=MAX_DIMENSIONS, examples=[[2]])]
    datatype: Literal["FP64", "BYTES"]
    data: Annotated[
        list[float | Id | None], Field(max_length=MAX_ITEMS, description="Null: it cannot be told; see `status`.")
    ]


class InferenceAnswer(StrictModel):
    """The outputs of one model."""

    model_config = ConfigDict(json_schema_extra={"examples": [ANSWER]})

    model_name: Name
    model_version: Annotated[Name, Field(description="Of all that answered, with commas: a canary answers some.")]
    id: Annotated[Id, Field(default_factory=str, description="As it was asked; left out where it was not given.")]
    outputs: Annotated[list[InferenceOutput], Field(max_length=MAX_OUTPUTS)]


class TensorFacts(StrictModel):
    """What an input or an output is."""

    name: Name
    datatype: Literal["FP64", "BYTES"]
    shape: Annotated[
        list[Annotated[int, Field(ge=-1, le=MAX_ITEMS, json_schema_extra=INT64)]],
        Field(max_length=MAX_DIMENSIONS, description="-1: as many as are asked for.", examples=[[-1]]),
    ]


class InferenceModelFacts(StrictModel):
    """What a model takes and gives."""

    name: Annotated[Name, Field(examples=["churn"])]
    versions: Annotated[list[Name], Field(max_length=1, description="The one that answers; empty: none.")]
    platform: Annotated[Name, Field(examples=["staycast"])]
    inputs: Annotated[list[TensorFacts], Field(max_length=MAX_OUTPUTS)]
    outputs: Annotated[list[TensorFacts], Field(max_length=MAX_OUTPUTS)]


class InferenceServer(StrictModel):
    """What the server is."""

    name: Annotated[Name, Field(examples=["staycast"])]
    version: Annotated[Name, Field(examples=["1"])]
    extensions: Annotated[list[Name], Field(max_length=MAX_OUTPUTS, examples=[[]])]


class InferenceLive(StrictModel):
    """Whether the process runs."""

    live: bool


class InferenceReady(StrictModel):
    """Whether it can answer."""

    ready: bool


class InferenceModelReady(InferenceReady):
    """Whether a model can answer."""

    name: Annotated[Name, Field(examples=["churn"])]


def outputs_of(task: Task) -> tuple[str, ...]:
    """The outputs that a model has.

    >>> outputs_of("clv")
    ('expected', 'low', 'high', 'status', 'model', 'prediction_id')
    """
    return (*NUMBERS[task], *WORDS)


def parse_inference(body: bytes, task: Task, most: int) -> InferenceRequest:
    """Read the body of a request.

    Parameters
    ----------
    body
        JSON.
    task
        The model that is asked.
    most
        How many customers it may name.

    Raises
    ------
    InvalidRequestError
        It is not what `InferenceRequest` says, shape and data differ, or an output is none of the model.
    """
    request = validated(InferenceRequest, parse_object(body, str(QUESTION).replace("'", '"')))
    (given,) = request.inputs
    faults = []
    if prod(given.shape) != len(given.data) or given.shape[1:] not in ([], [1]):
        faults.append(FieldError("/inputs/0/shape", "must be [n] or [n, 1], n being how many ids the data holds"))
    if len(given.data) > most:
        faults.append(FieldError("/inputs/0/data", f"holds more than {most} ids: split the list"))
    known = outputs_of(task)
    for place, output in enumerate(request.outputs):
        if output.name not in known or output.name in [o.name for o in request.outputs[:place]]:
            faults.append(FieldError(f"/outputs/{place}/name", f"must be one of {', '.join(known)}, each once"))
    if faults:
        raise invalid_request(faults)
    return request
