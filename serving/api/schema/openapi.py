"""All operations of the service in one table, and the OpenAPI 3.1 document that follows from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.api.contract.operation import (
    CSV,
    PARQUET,
    SCHEMES,
    Operation,
    header_components,
    problem_responses,
)
from serving.api.contract.schemas import schemas_of
from serving.api.metrics import MEDIA_TYPE
from serving.api.schema.answers import (
    Answer,
    Answers,
    OpenApi,
    PastAnswer,
    Problem,
    ScoreJob,
    ScoreJobs,
    State,
    Swagger,
)
from serving.api.schema.campaigns import (
    AcceptedContacts,
    AcceptedOutcomes,
    Contact,
    ManyContacts,
    ManyObjections,
    ManyOutcomes,
    OutcomeReport,
    TakenObjections,
    ToldObjection,
)
from serving.api.schema.customers import (
    ChangeParameters,
    CustomerChange,
    CustomerList,
    CustomerListParameters,
    CustomerParameters,
    CustomerRecord,
)
from serving.api.schema.events import (
    AcceptedEvents,
    ContactEvent,
    ContractEvent,
    CustomerEvent,
    InteractionEvent,
    ManyEvents,
    OrderEvent,
)
from serving.api.schema.fields import RepeatableHeaders
from serving.api.schema.inference import (
    InferenceAnswer,
    InferenceLive,
    InferenceModel,
    InferenceModelFacts,
    InferenceModelReady,
    InferenceParameters,
    InferenceReady,
    InferenceRequest,
    InferenceServer,
)
from serving.api.schema.releases import Models, Releases
from serving.api.schema.requests import (
    ManyCustomers,
    NewScoreJob,
    OneCustomer,
    PastPrediction,
    ScoreJobParameters,
    ScoreResultParameters,
)
from serving.api.schema.what_if import WhatIfAnswer, WhatIfQuestion

TAGS = {
    "predictions": "Who will leave, what each is worth, why, and what to do.",
    "customers": "Customers as a CRM reads them, and lists that a team works on.",
    "events": "What happens between two loads.",
    "campaigns": "Whom a campaign contacted, and what came of it.",
    "models": "What answers.",
    "jobs": "Answers for all customers at once, as a file.",
    "inference": "The Open Inference Protocol, version 2. Failures also say `error`.",
    "service": "For those who run it, and for machines that read its contract.",
}
OPERATIONS = (
    Operation(
        "POST",
        "/v1/predictions",
        "predict",
        "predictions",
        "Risk, value, reasons and action of one customer or of several",
        "One customer by `customer_id`, or several by `customer_ids`; answers come in the order asked. Each is a new "
        "one on record, unless it is the same request under the same `Idempotency-Key`. Events, contacts and outcomes "
        "need none: they carry ids, and the same comes in once.",
        answers=(Answer, Answers),
        asks=(OneCustomer, ManyCustomers),
        problems=("404", "503"),
        parameters=RepeatableHeaders,
    ),
    Operation(
        "GET",
        "/v1/predictions/{prediction_id}",
        "past_prediction",
        "predictions",
        "A past answer as it was sent, and whether it can be made again the same",
        "Who reads an answer is on record, too. The role crm is told the answer alone.",
        answers=(PastAnswer,),
        problems=("404", "503"),
        parameters=PastPrediction,
    ),
    Operation(
        "POST",
        "/v1/events",
        "take_events",
        "events",
        "Take new orders, interactions and more; predictions reflect them from then on",
        "One event, or several under `events`. An event that came before is not taken twice: send it again at will.",
        answers=(AcceptedEvents,),
        asks=(OrderEvent, InteractionEvent, ContractEvent, ContactEvent, CustomerEvent, ManyEvents),
        problems=("409", "503"),
    ),
    Operation(
        "GET",
        "/v1/customers/{customer_id}",
        "get_customer",
        "customers",
        "One customer as a flat object: the answer of now, and the scores before",
        "Computed now from the newest features, and kept on record like any other prediction. Who is new, stale or has "
        "left is said to be so in `status` and `notes`; who is not known or objects gets 404, who was erased 410.",
        answers=(CustomerRecord,),
        problems=("404", "410", "503"),
        parameters=CustomerParameters,
    ),
    Operation(
        "GET",
        "/v1/customers/{customer_id}/change",
        "get_change",
        "customers",
        "Why the score of a customer changed since a moment",
        "The answer of now, kept on record like any other, beside the last one at or before `since`: the difference of "
        "risk and of value, split into what became known, time that passed and another model, in all and by feature. "
        "404 where no answer is as old. Where it cannot be split, `text` says why. Who reads an answer is on record.",
        answers=(CustomerChange,),
        problems=("404", "410", "503"),
        parameters=ChangeParameters,
    ),
    Operation(
        "GET",
        "/v1/customers",
        "list_customers",
        "customers",
        "A page of the customers that a team works on, from the newest score file",
        "Pages go on from `next`; a list that was begun stays that of its score file, though a newer one appears. With "
        "`changed_since`, only customers whose band, tier, stage or probability differs from the newest score file of "
        "that moment. Where there is no score file, 404 says to run `staycast score`.",
        answers=(CustomerList,),
        problems=("404", "410", "503"),
        parameters=CustomerListParameters,
    ),
    Operation(
        "POST",
        "/v1/what-if",
        "what_if",
        "customers",
        "What would be forecast of a customer if some features were others",
        "The forecasts as they are and as they would be, and the difference explained feature by feature. It is no "
        "prediction of what happens if you act: it is not kept on record, and advises no action. Features that hang "
        "together are not changed along: change each.",
        answers=(WhatIfAnswer,),
        asks=(WhatIfQuestion,),
        problems=("404", "503"),
    ),
    Operation(
        "POST",
        "/v1/contacts",
        "take_contacts",
        "campaigns",
        "Take whom a campaign contacted, or held out to compare with",
        "One contact, or several under `contacts`; all are taken, or none. The next answer reflects them. The same "
        "`contact_id` with the same content is known and counts once.",
        answers=(AcceptedContacts,),
        asks=(Contact, ManyContacts),
        problems=("409", "503"),
    ),
    Operation(
        "POST",
        "/v1/outcomes",
        "take_outcomes",
        "campaigns",
        "Take what came of contacts and forecasts: reached, accepted, refused, left, kept",
        "One outcome, or several under `outcomes`; all are kept, or none. They are for judging campaigns and forecasts "
        "and change no answer. The same `outcome_id` with the same content is known and counts once.",
        answers=(AcceptedOutcomes,),
        asks=(OutcomeReport, ManyOutcomes),
        problems=("409", "503"),
    ),
    Operation(
        "POST",
        "/v1/objections",
        "take_objections",
        "customers",
        "Take who objects to being forecast, or no longer does",
        "One objection, or several under `objections`; all are taken, or none. From the acknowledgement on no score of "
        "the customer is made or told: 404 `opposed-customer`, in lists of ids under `opposed`. With `objects: false` "
        "the objection is withdrawn. The same again is known.",
        answers=(TakenObjections,),
        asks=(ToldObjection, ManyObjections),
        problems=("503",),
    ),
    Operation(
        "POST",
        "/v1/score-jobs",
        "ask_score_job",
        "jobs",
        "Ask for the answers for all customers, as Parquet or CSV",
        "It is taken at once, and worked on by a process beside the service; one scoring does all that wait. Where "
        "nothing has changed since all were answered the last time, the result is that of then. 429 where too many "
        "wait, in all or of this caller.",
        answers=(ScoreJob,),
        asks=(NewScoreJob,),
        problems=("503",),
        parameters=RepeatableHeaders,
        status="202",
    ),
    Operation(
        "GET",
        "/v1/score-jobs",
        "list_score_jobs",
        "jobs",
        "The newest jobs that answer for all customers",
        "At most 100 of all callers, the newest first.",
        answers=(ScoreJobs,),
        problems=("503",),
    ),
    Operation(
        "GET",
        "/v1/score-jobs/{job_id}",
        "get_score_job",
        "jobs",
        "How far a job is",
        "Its state, how many of how many customers are answered, and where the result is.",
        answers=(ScoreJob,),
        problems=("404", "503"),
        parameters=ScoreJobParameters,
    ),
    Operation(
        "GET",
        "/v1/score-jobs/{job_id}/result",
        "get_score_result",
        "jobs",
        "The result of a job, as a file",
        "One row a customer, reasons of both models with it. 409 while it is not done, or if it failed; 410 if it "
        "was removed since. Who takes it is on record before.",
        problems=("404", "409", "410", "503"),
        parameters=ScoreResultParameters,
        files=(PARQUET, CSV),
    ),
    Operation(
        "GET",
        "/v1/models",
        "models",
        "models",
        "The champions that answer now",
        "Version, columns and base of each; base plus all effects of an answer is its prediction. `cards` tell of "
        "champions and challengers their main figures, when and from what they were learned, and what the gates said.",
        answers=(Models,),
        problems=("503",),
    ),
    Operation(
        "POST",
        "/v2/models/{name}/infer",
        "infer",
        "inference",
        "The forecast of one model for customers, as tensors",
        "One input `customer_id` (BYTES, [n] or [n, 1]); outputs are `probability` of churn, or `expected`, `low` and "
        "`high` of clv, and of both `status`, `model` and `prediction_id`: a value for each customer in the order "
        "asked. Null is what cannot be told, and `status` says of whom; where nobody is known, 404. Each answer is on "
        "record as those of `/v1/predictions`.",
        answers=(InferenceAnswer,),
        asks=(InferenceRequest,),
        problems=("404", "503"),
        parameters=InferenceParameters,
    ),
    Operation(
        "GET",
        "/v2/models/{name}",
        "inference_model",
        "inference",
        "What a model takes and gives",
        "Its version that answers, its input and its outputs.",
        answers=(InferenceModelFacts,),
        problems=("404", "503"),
        parameters=InferenceModel,
    ),
    Operation(
        "GET",
        "/v2/models/{name}/ready",
        "inference_model_ready",
        "inference",
        "Whether a model can answer",
        "503 while no version of it serves.",
        answers=(InferenceModelReady,),
        problems=("404", "503"),
        parameters=InferenceModel,
    ),
    Operation(
        "GET",
        "/v2",
        "inference_server",
        "inference",
        "What the server is",
        "Its name, the version of its contract, and extensions of the protocol: none.",
        answers=(InferenceServer,),
    ),
    Operation(
        "GET",
        "/v2/health/live",
        "inference_live",
        "inference",
        "The process runs, in the protocol's words",
        "The same as `/livez`.",
        answers=(InferenceLive,),
    ),
    Operation(
        "GET",
        "/v2/health/ready",
        "inference_ready",
        "inference",
        "It can answer, in the protocol's words",
        "The same as `/readyz`.",
        answers=(InferenceReady,),
        problems=("503",),
    ),
    Operation(
        "GET",
        "/v1/releases",
        "releases",
        "models",
        "What runs beside the champions, and what both arms showed",
        "Of each release that runs, and of the last three that ended: answers, errors, times, scores and outcomes of "
        "both arms, from the record of answers. Looked at again within 30 seconds, it is the same.",
        answers=(Releases,),
        problems=("503",),
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "service",
        "This contract as OpenAPI 3.1",
        "What can be asked, by whom, and what is answered.",
        answers=(OpenApi,),
    ),
    Operation(
        "GET",
        "/openapi-3.0.json",
        "openapi_30",
        "service",
        "This contract as OpenAPI 3.0.3",
        "For tools that read no newer one: without choices between schemas.",
        answers=(OpenApi,),
    ),
    Operation(
        "GET",
        "/swagger.json",
        "swagger",
        "service",
        "This contract as Swagger 2.0",
        "For tools that read no newer one, such as Power Platform.",
        answers=(Swagger,),
    ),
    Operation(
        "GET",
        "/healthz",
        "alive",
        "service",
        "The process runs",
        "For whoever starts it again where it does not.",
        answers=(State,),
    ),
    Operation(
        "GET",
        "/livez",
        "live",
        "service",
        "The process runs, under the name that Kubernetes uses",
        "The same as `/healthz`.",
        answers=(State,),
    ),
    Operation(
        "GET",
        "/readyz",
        "ready",
        "service",
        "Models are loaded and features can be read",
        "For load balancers: 503 until it can answer, and again once it is to stop.",
        answers=(State,),
        problems=("503",),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "service",
        "Counts for Prometheus",
        "Requests, their time, customers answered.",
        media_type=MEDIA_TYPE.partition(";")[0],
    ),
)
KEY = {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of the service."}
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token of the identity provider, judged as RFC8725 asks for; or a key of the service.",
}
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
ABOUT = (
    "Who will leave, what each is worth, why, and what to do. Requests are closed: a field that is not known is "
    "refused. Answers are open: fields may be added within a version, so pass over those that you do not know. "
    "Failures are problems (RFC 9457). A body may be packed by gzip, and holds at most 1 MiB."
)


def openapi_document(
    max_customers: int, version: str, address: str | None = None, token_url: str | None = None
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service.

    Parameters
    ----------
    max_customers
        How many customers, or events, a request may name.
    version
        Of the contract.
    address
        Under which callers reach the service; None: where the document comes from.
    token_url
        Where callers get tokens by their credentials (OAuth2); None: not told.
    """
    asked = [model for operation in OPERATIONS for model in operation.asks]
    models: list[type[BaseModel]] = [Problem, *(model for operation in OPERATIONS for model in operation.models)]
    schemas = schemas_of(models, asked, max_customers)
    schemes = {"key": KEY, "bearer": BEARER} | ({"oauth2": _oauth2(token_url)} if token_url else {})
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        item = operation.rendered(schemas, (*SCHEMES, "oauth2") if token_url else SCHEMES)
        paths.setdefault(operation.path, {})[operation.method.lower()] = item
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Staycast",
            "version": version,
            "description": ABOUT,
            "license": LICENSE,
            "contact": {"name": "Whoever runs this service"},
        },
        "servers": [{"url": address or "/", "description": "Production: the service itself.", "x-internal": True}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": header_components(),
            "responses": problem_responses(OPERATIONS),
            "securitySchemes": schemes,
        },
    }


def _oauth2(token_url: str) -> dict[str, Any]:
    """Client credentials: another token is asked for where the first was."""
    flow = {"tokenUrl": token_url, "refreshUrl": token_url, "scopes": {}}
    return {"type": "oauth2", "description": BEARER["description"], "flows": {"clientCredentials": flow}}
