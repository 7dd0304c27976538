"""The Open Inference Protocol, version 2, for servers of models that speak it: churn and clv, asked by customer id.

https://github.com/kserve/open-inference-protocol. An answer is the same as of ``/v1/predictions``, on record before it
is given. Failures are problems that also carry the protocol's ``error``, see `serving.api.problems`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.settings import Settings
from serving.answer.champion import TASKS
from serving.answer.flat import status_of
from serving.api.guards import check_media_type, read_body
from serving.api.interfaces import ModelProvider
from serving.api.json_response import JsonResponse
from serving.api.predictor import Found
from serving.api.problems import UnavailableError, UnknownModelError, unknown_customers
from serving.api.purpose import asker_of
from serving.api.resources.contract import API_VERSION
from serving.api.schema.inference import INPUT, NUMBERS, InferenceRequest, outputs_of, parse_inference
from serving.api.schema.requests import ManyCustomers
from serving.records.evidence import Asker
from training.model.bundle import Task

NAME = "staycast"
LEFT, OPPOSED, UNKNOWN = "left", "opposed", "unknown"
Answering = Callable[[ManyCustomers, Asker, Request], Awaitable[Found]]  # answers, each on record before it is given


class Inference:
    """The endpoints of the protocol.

    Parameters
    ----------
    answering
        Gives the answers of now.
    ready
        Answers whether the service can, or raises why not.
    models, settings
        As for `serving.api.app.create_app`.
    """

    def __init__(
        self,
        answering: Answering,
        ready: Callable[[Request], Awaitable[Response]],
        models: ModelProvider,
        settings: Settings,
    ) -> None:
        self._answering, self._ready, self._models, self._settings = answering, ready, models, settings

    @property
    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.server_ready),
            Route("/v2/models/{name}", self.model),
            Route("/v2/models/{name}/ready", self.model_ready),
            Route("/v2/models/{name}/infer", self.infer, methods=["POST"]),
        ]

    async def live(self, request: Request) -> Response:
        """The process runs."""
        return JsonResponse({"live": True})

    async def server_ready(self, request: Request) -> Response:
        """It can answer; 503 while it cannot."""
        await self._ready(request)
        return JsonResponse({"ready": True})

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return JsonResponse({"name": NAME, "version": API_VERSION, "extensions": []})

    async def model(self, request: Request) -> Response:
        """What a model takes and gives."""
        task = self._task(request)
        model = self._models.current().by_task[task]
        numbers = NUMBERS[task]
        outputs = [_facts(name, "FP64" if name in numbers else "BYTES") for name in outputs_of(task)]
        told = {"name": task, "versions": [model.version] if model else [], "platform": NAME}
        return JsonResponse({**told, "inputs": [_facts(INPUT, "BYTES")], "outputs": outputs})

    async def model_ready(self, request: Request) -> Response:
        """A model can answer; 503 while none serves."""
        task = self._task(request)
        if self._models.current().by_task[task] is None:
            raise UnavailableError("no version of this model serves now")
        return JsonResponse({"name": task, "ready": True})

    async def infer(self, request: Request) -> Response:
        """The outputs of one model for customers."""
        task = self._task(request)
        check_media_type(request.headers)
        asker = asker_of(request, self._settings.records.purposes)
        most = self._settings.serving.max_customers_per_request
        asked = parse_inference(await read_body(request), task, most)
        predictions = ManyCustomers(customer_ids=asked.ids, explain="none", targets=[task])
        found = await self._answering(predictions, asker, request)
        request.scope["staycast"]["customers"] = len(predictions.ids)
        if not found.answers:
            raise unknown_customers(found.not_found or found.left, found.erased, found.opposed)
        return JsonResponse(_answer(task, asked, found))

    def _task(self, request: Request) -> Task:
        """The model that the path names; UnknownModelError if the business has none of the name."""
        name = request.path_params["name"]
        task = next((task for task in TASKS if task == name), None)
        if task is None or task not in self._settings.tasks:
            raise UnknownModelError(f"there is no such model: the models are {', '.join(self._settings.tasks)}")
        return task


def _answer(task: Task, asked: InferenceRequest, found: Found) -> dict[str, Any]:
    """The answer in the protocol's shape, a value for each customer in the order asked."""
    by_id = {answer.get("alias") or answer["customer_id"]: answer for answer in found.answers}
    unanswered = {**dict.fromkeys(found.left, LEFT), **dict.fromkeys(found.opposed, OPPOSED)}
    of_each = [by_id.get(customer) for customer in asked.ids]
    columns: dict[str, list[Any]] = {
        name: [(answer[part] or {}).get(field) if answer else None for answer in of_each]
        for name, (part, field) in NUMBERS[task].items()
    }
    columns["status"] = [
        status_of(answer) if answer else unanswered.get(customer, UNKNOWN)
        for customer, answer in zip(asked.ids, of_each, strict=True)
    ]
    columns["model"] = [answer["model"][task] if answer else None for answer in of_each]
    columns["prediction_id"] = [answer["prediction_id"] if answer else None for answer in of_each]
    wanted = [output.name for output in asked.outputs] or outputs_of(task)
    versions = dict.fromkeys(label.rpartition("/")[2] for label in columns["model"] if label)
    return {
        "model_name": task,
        "model_version": ",".join(versions),
        **({"id": asked.id} if asked.id else {}),
        "outputs": [
            {
                "name": name,
                "shape": asked.inputs[0].shape,
                "datatype": "FP64" if name in NUMBERS[task] else "BYTES",
                "data": columns[name],
            }
            for name in wanted
        ],
    }


def _facts(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}
