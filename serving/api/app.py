"""The HTTP service as a plain Starlette app: all it rests on is an argument, so that it runs in any server.

    POST /v1/predictions    answers, see serving.api.schema.answers
    GET  /v1/predictions/{prediction_id}  a past answer as it was sent, and whether it can be made again the same
    POST /v1/events         takes new orders and interactions, see serving.api.intake
    GET  /v1/customers      a list from the newest score file, see serving.api.resources.customers
    GET  /v1/customers/{customer_id}  one customer as a flat object, with the scores before
    GET  /v1/customers/{customer_id}/change  why the score changed since a moment
    POST, GET /v1/score-jobs  the answers for all customers as a file, see serving.api.resources.score_jobs
    GET  /v1/score-jobs/{job_id}, and /result  how far that is, and the file
    POST /v1/what-if        the answer with changed features, the difference explained
    POST /v1/contacts       whom a campaign contacted, or held out
    POST /v1/outcomes       what came of it
    GET  /v1/models         which versions answer
    GET, POST /v2/...       the same by the Open Inference Protocol, see serving.api.resources.inference
    GET  /v1/releases       what runs beside them, and what both arms showed
    GET  /openapi.json      this, for machines; as /openapi-3.0.json and /swagger.json for those that read no more
    GET  /healthz, /livez   the process runs
    GET  /readyz            it can answer; 503 until models and features are there, and again once it shall stop
    GET  /metrics           counts for Prometheus

Logs and metrics never hold an id, a body or a message that may quote one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import pandas as pd
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from serving.access.control import AccessControl
from serving.api.endpoints import Endpoints
from serving.api.gate import GateMiddleware
from serving.api.guards import AccessLogMiddleware, Flood, RouteNames, unavailable_if_it_fails
from serving.api.interfaces import AnswerLog, EventSink, FeatureReader, Leavers, ModelProvider, ReleaseObserver
from serving.api.problems import status_problem_response
from serving.api.resources.campaigns import Campaigns
from serving.api.resources.changes import Changes
from serving.api.resources.contract import Contract
from serving.api.resources.customers import MOST_PAST, Customers
from serving.api.resources.inference import Inference
from serving.api.resources.objections import ObjectionIntake
from serving.api.resources.past_predictions import PastPredictions
from serving.api.resources.releases import ReleaseReports
from serving.api.resources.score_jobs import ScoreJobs
from serving.api.resources.what_if import WhatIf
from serving.records.evidence import Asker


def create_app(
    models: ModelProvider,
    reader: FeatureReader,
    log: AnswerLog,
    settings: Settings,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    events: EventSink | None = None,
    left: Leavers = lambda ids: set(),
    access: AccessControl | None = None,
    workspace: Workspace | None = None,
    observer: ReleaseObserver | None = None,
) -> Starlette:
    """Make the app.

    Parameters
    ----------
    models, reader, log
        The models, the features, and the log of answers.
    settings
        Decisions, limits, currency.
    clock
        Gives the time of scoring, UTC.
    events
        Accepts events; without it, ``/v1/events`` answers 503.
    left
        Tells who of those without features is known to have left.
    access
        Who may do what; None: everybody everything.
    workspace
        Holds the files that are read beside, and the models that answered before; None: there are none.
    observer
        Watches releases; None: nobody does.

    Returns
    -------
    starlette.applications.Starlette
        Its ``state.draining`` may be set to True: ``/readyz`` then says 503, and answers go on.
    """
    endpoints = Endpoints(models, reader, log, settings, clock, events, left, workspace, observer)

    def past(customer_id: str) -> pd.DataFrame:
        return log.read(customer_id=customer_id, newest=MOST_PAST)

    def note(asker: Asker, what: str) -> None:
        with unavailable_if_it_fails("who reads cannot be kept", "the record of who reads what cannot be written now"):
            log.note_read(asker, what)

    objections, predictor = endpoints.objections, endpoints.predictor
    objecting = objections.persons if objections else frozenset[str]
    listed = partial(note, what="list")
    customers = Customers(endpoints.answer_one, past, listed, settings, clock, workspace, objecting)
    changes = Changes(customers.found, log, models, settings, workspace)
    what_if = WhatIf(models, predictor, settings, clock)
    campaigns = Campaigns(endpoints.take, predictor, settings, clock, workspace)

    score_jobs = ScoreJobs(note, settings, clock, workspace, objecting)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        app.state.draining = True
        endpoints.close()
        campaigns.close()
        score_jobs.close()

    routes = [
        Route("/v1/predictions", endpoints.predictions, methods=["POST"]),
        Route("/v1/events", endpoints.events, methods=["POST"]),
        Route("/v1/models", endpoints.models),
        Route("/healthz", endpoints.healthz),
        Route("/livez", endpoints.healthz),
        Route("/readyz", endpoints.readyz),
        Route("/metrics", endpoints.render_metrics),
        *Contract(settings).routes,
        *customers.routes,
        *changes.routes,
        *what_if.routes,
        *campaigns.routes,
        *ObjectionIntake(objections, settings, clock).routes,
        *score_jobs.routes,
        *Inference(endpoints.answer, endpoints.readyz, models, settings).routes,
        *PastPredictions(log, models, settings, workspace, predictor.opposed).routes,
        *ReleaseReports(log, models, workspace).routes,
    ]
    operations = frozenset((method, route.path_format) for route in routes for method in route.methods or ())
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(AccessLogMiddleware, metrics=endpoints.metrics, routes=RouteNames(routes)),
            *([Middleware(GateMiddleware, access=access, operations=operations)] if access else []),
        ],
        exception_handlers={StaycastError: endpoints.handle_error, HTTPException: _handle_http_exception},
        lifespan=lifespan,
    )
    app.state.draining = False
    app.state.flood = Flood(endpoints.has_room, lambda: app.state.draining, endpoints.metrics)
    return app


def _handle_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own errors, such as a path that is not there, as problems."""
    if not isinstance(error, HTTPException):
        raise error
    return status_problem_response(error.status_code, error.headers, request.scope["path"])
