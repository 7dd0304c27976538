"""Customers: what is told of one now and was told before, and lists of many from the newest score file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.flat import LEFT, flat_answer, notes_on, status_of, without_score
from serving.answer.score import age_of, iso
from serving.api.gate import seen
from serving.api.guards import BoundedThreads, id_in_path, unavailable_if_it_fails
from serving.api.json_response import JsonResponse
from serving.api.predictor import NO_OBJECTIONS, Found
from serving.api.problems import (
    ExpiredCursorError,
    FieldError,
    NoScoresError,
    UnavailableError,
    unknown_customers,
)
from serving.api.purpose import asker_of
from serving.api.schema.customers import LISTS, CustomerListQuery, CustomerPath, CustomerQuery
from serving.api.schema.parsing import invalid_request, validated
from serving.api.schema.queries import parse_query
from serving.api.schema.requests import OneCustomer
from serving.bulk.score_files import ListQuery, Place, ScoreFile, ScoreFiles, Shown
from serving.records.evidence import Asker

Answering = Callable[[OneCustomer, Request], Awaitable[Found]]  # answers, and keeps the answer before it is given
Past = Callable[[str], pd.DataFrame]  # the answers that one customer was given before, `MOST_PAST`, oldest first
Note = Callable[[Asker], None]
READERS, MAX_WAITING = 2, 32
FILES_OF_HISTORY = 24
MOST_PAST = 1000  # of one customer's answers, the newest, a history is told from
SAME_SCORE = (
    "as_of",
    "probability",
    "band",
    "value",
    "low",
    "high",
    "tier",
    "stage",
    "churn_model",
    "clv_model",
    "targets",
)


@dataclass(frozen=True)
class Cursor:
    """Where a page ended: in which files, of which question, behind whom."""

    file: ScoreFile
    before: ScoreFile | None
    place: Place | None


class Customers:
    """The endpoints of customers.

    Parameters
    ----------
    answering, past
        Gives the answer of now, and those of before.
    note
        Keeps who read a list.
    settings, clock
        As for `serving.api.app.create_app`.
    workspace
        Holds the score files and who was erased; None: there are none.
    objecting
        The persons who object to being forecast: no list holds them.
    """

    def __init__(
        self,
        answering: Answering,
        past: Past,
        note: Note,
        settings: Settings,
        clock: Callable[[], datetime],
        workspace: Workspace | None,
        objecting: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._objecting = objecting
        self._answering, self._past, self._note, self._settings, self._clock = answering, past, note, settings, clock
        self._workspace = workspace
        self._files = ScoreFiles(workspace) if workspace else None
        self._threads = BoundedThreads(READERS, READERS + MAX_WAITING)

    @property
    def routes(self) -> list[Route]:
        """Their routes."""
        return [Route("/v1/customers", self.page), Route("/v1/customers/{customer_id}", self.get)]

    async def get(self, request: Request) -> Response:
        """One customer: the answer of now, flat, and the scores before."""
        asked = parse_query(request.query_params.multi_items(), CustomerQuery)
        found = await self.found(request)
        record = self._record(found.answers[0]) if found.answers else self._left(found.left[0])
        history: list[dict[str, Any]] = []
        if asked.history:
            history = await self._threads.run(
                self._history, record["customer_id"], record["prediction_id"], asked.history
            )
        return JsonResponse({**record, "history": history})

    async def found(self, request: Request) -> Found:
        """The answer of now for whom the path names, or that the customer has left.

        Raises
        ------
        ErasedCustomerError, UnknownCustomerError
            There is nobody.
        """
        customer_id = validated(
            CustomerPath, {"customer_id": id_in_path(request, "customer_id")}, ("path",)
        ).customer_id
        found = await self._answering(OneCustomer(customer_id=customer_id), request)
        request.scope["staycast"]["customers"] = 1
        if not found.answers and not found.left:
            raise unknown_customers([customer_id], found.erased, found.opposed)
        return found

    async def page(self, request: Request) -> Response:
        """A page of customers, from the newest score file or the one that the cursor is of."""
        query = parse_query(request.query_params.multi_items(), CustomerListQuery, LISTS)
        asker = asker_of(request, self._settings.records.purposes)
        body = await self._threads.run(self._page, query, await seen(request.scope))
        await self._threads.run(self._note, asker)
        request.scope["staycast"]["customers"] = len(body["customers"])
        return JsonResponse(body)

    def _record(self, answer: dict[str, Any]) -> dict[str, Any]:
        churn, clv = answer["churn"] or {}, answer["clv"] or {}
        return {
            **flat_answer(answer),
            **({"alias": answer["alias"]} if "alias" in answer else {}),
            "status": status_of(answer),
            "notes": notes_on(answer, self._settings),
            "horizon_days": churn.get("horizon_days"),
            "value_horizon_days": clv.get("horizon_days"),
            "currency": self._settings.currency,
            "action_text": answer["action"]["text"],
            "action_reason": answer["action"]["reason"],
            **answer["features"],
        }

    def _left(self, customer_id: str) -> dict[str, Any]:
        unknown = ("horizon_days", "value_horizon_days", "action_text", "action_reason", "age_seconds", "stale")
        known = {"status": "left", "notes": [LEFT], "currency": self._settings.currency}
        return {**without_score(customer_id), **known, **dict.fromkeys(unknown)}

    def _history(self, customer_id: str, own_id: str | None, at_most: int) -> list[dict[str, Any]]:
        """The scores before, newest first: of requests and of score files; one that was told again is one."""
        requests = self._past(customer_id).to_dict("records")
        in_files = self._files.history(customer_id, FILES_OF_HISTORY) if self._files else []
        told = [_past_score(row, "request") for row in requests if row["prediction_id"] != own_id]
        told += [_past_score(row, "list") for row in in_files]
        told.sort(key=lambda score: score["scored_at"])
        first = [s for i, s in enumerate(told) if not i or any(s[n] != told[i - 1][n] for n in SAME_SCORE)]
        return [{**s, "scored_at": iso(s["scored_at"]), "as_of": iso(s["as_of"])} for s in first[: -at_most - 1 : -1]]

    def _page(self, query: CustomerListQuery, visible: pa.Table | None) -> dict[str, Any]:
        files = self._files
        if files is None:
            raise UnavailableError("this service has no score files")
        known = files.all()
        if not known:
            raise NoScoresError("there is no score file yet: run `staycast score`, which answers for all customers")
        at = _read_cursor(query, known) if query.cursor else _beginning(query, known)
        shown = Shown(visible, self._hidden())
        asked = ListQuery(query.filters, query.sort, query.probability_step, shown)
        is_same = at.before is not None and at.before == at.file
        rows = [] if is_same else files.page(at.file, at.before, asked, at.place, query.limit + 1)
        told = rows[: query.limit]
        is_all_new = query.changed_since is not None and at.before is None
        return {
            "customers": [_listed(row, is_all_new) for row in told],
            "next": _cursor_text(query, at, told[-1]) if len(rows) > query.limit else None,
            "as_of": iso(at.file.as_of),
            "scored_at": iso(at.file.scored_at),
            **age_of(at.file.as_of, self._clock(), self._settings),
            "in_file": files.count(at.file, shown),
            "compared_with": self._compared(files, query, at, shown) if query.changed_since is not None else None,
        }

    def _hidden(self) -> pa.Table | None:
        """Who objects; None: nobody."""
        with unavailable_if_it_fails(*NO_OBJECTIONS):
            objecting = sorted(self._objecting())
        return pa.table({"customer_id": objecting}) if objecting else None

    def _compared(self, files: ScoreFiles, query: CustomerListQuery, at: Cursor, shown: Shown) -> dict[str, Any]:
        return {
            "scored_at": iso(at.before.scored_at) if at.before else None,
            "probability_step": query.probability_step,
            "gone": files.gone(at.file, at.before, shown) if at.before else 0,
        }


def _past_score(row: Mapping[Any, Any], source: str) -> dict[str, Any]:
    """One entry of the history; what is not known is None, as there is NaN in frames."""
    known = {name: None if value is None or value != value or value == "" else value for name, value in row.items()}
    times = {name: pd.Timestamp(row[name]).to_pydatetime() for name in ("scored_at", "as_of")}
    same = ("probability", "band", "low", "high", "tier", "stage", "action", "churn_model", "clv_model")
    told = {name: known[name] for name in same}
    return {**times, "source": source, "value": known["expected"], **told, "targets": known.get("targets")}


def _listed(row: dict[str, Any], is_all_new: bool) -> dict[str, Any]:
    """A row of a score file by the names of answers."""
    times = {name: iso(row[name]) for name in ("as_of", "scored_at")}
    own = {name: value for name, value in row.items() if name not in ("expected", "key", *times)}
    texts = {name: row[name] or [] for name in ("reasons", "clv_reasons")}
    changed = ["new"] if is_all_new else row["changed"]
    return {**own, **times, **texts, "value": row["expected"], "changed": changed}


def _beginning(query: CustomerListQuery, known: list[ScoreFile]) -> Cursor:
    """The beginning of a list: the newest file, and the newest of the moment that it is compared with."""
    before = None
    if query.changed_since is not None:
        since = datetime.fromisoformat(query.changed_since)
        before = next((file for file in reversed(known) if file.scored_at <= since), None)
    return Cursor(known[-1], before, None)


def _cursor_text(query: CustomerListQuery, at: Cursor, last: dict[str, Any]) -> str:
    key = last["key"]
    place = [key if key is not None and abs(key) != float("inf") else None, last["customer_id"]]
    content = [_bound_to(query), _stamp(at.file), _stamp(at.before), place]
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


def _read_cursor(query: CustomerListQuery, known: list[ScoreFile]) -> Cursor:
    """Where the page before ended.

    Raises
    ------
    InvalidRequestError
        It is no cursor, or one of another question.
    ExpiredCursorError
        A file it is of is there no more, or was scored anew.
    """
    text = query.cursor or ""
    try:
        bound_to, stamp, stamp_before, (key, customer_id) = orjson.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        place = Place(None if key is None else float(key), str(customer_id))
    except (ValueError, TypeError):
        raise invalid_request([FieldError("/query/cursor", "is no cursor of this service: give `next` back")]) from None
    if bound_to != _bound_to(query):
        detail = "belongs to other filters or another order: give the same, or begin without a cursor"
        raise invalid_request([FieldError("/query/cursor", detail)])
    by_stamp = {str(_stamp(file)): file for file in known}
    file, before = by_stamp.get(str(stamp)), by_stamp.get(str(stamp_before))
    if file is None or (stamp_before is not None and before is None):
        raise ExpiredCursorError("the score file that this list is of was replaced: begin again without a cursor")
    return Cursor(file, before, place)


def _stamp(file: ScoreFile | None) -> list[str] | None:
    """Tells a file apart from another and from a later one of the same name."""
    return None if file is None else [file.name, iso(file.scored_at)]


def _bound_to(query: CustomerListQuery) -> str:
    return hashlib.sha256(query.signature).hexdigest()[:16]
