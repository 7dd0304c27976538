"""Jobs that answer for all customers: asked for, looked at, and their results as files. Who does so is on record."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from ulid import ULID

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import SCORE_CSV, SCORE_TABLE, Workspace
from features.store.durable_file import LazyFile, identity
from serving.answer.score import iso
from serving.api.contract.operation import CSV, PARQUET
from serving.api.guards import BoundedThreads, check_media_type, read_body, unavailable_if_it_fails
from serving.api.json_response import JsonResponse
from serving.api.problems import (
    ManyJobsError,
    ResultGoneError,
    ReusedKeyError,
    UnavailableError,
    UnfinishedJobError,
    UnknownJobError,
)
from serving.api.purpose import asker_of
from serving.api.resources.repeats import HEADER, key_of
from serving.api.schema.answers import MOST_JOBS
from serving.api.schema.requests import NewScoreJob, parse_score_job
from serving.jobs.job_queue import TIMES, FullQueueError, Job, JobQueue, OtherBodyError
from serving.records.evidence import Asker
from serving.records.repeats import Key

ID = re.compile(r"[0-9A-Z]{26}")
MAX_WAITING = 32
BUSY_SECONDS = 0.15
CHUNK_BYTES = 1 << 18
UNKNOWN = "the jobs cannot be read or kept"
FILES = {"parquet": (SCORE_TABLE, PARQUET), "csv": (SCORE_CSV, f"{CSV}; charset=utf-8; header=present")}
NOT_YET = {"queued": "the job waits for its turn", "running": "the job is not done yet"}


class ScoreJobs:
    """``/v1/score-jobs``.

    Parameters
    ----------
    note
        Keeps who asked for or took what.
    settings, clock
        As for `serving.api.app.create_app`.
    workspace
        Where jobs are kept; None: none are taken.
    objecting
        The persons who object to being forecast: no result that holds one is given.
    """

    def __init__(
        self,
        note: Callable[[Asker, str], None],
        settings: Settings,
        clock: Callable[[], datetime],
        workspace: Workspace | None,
        objecting: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._objecting = objecting
        self._note, self._settings, self._clock, self._workspace = note, settings, clock, workspace
        self._threads = BoundedThreads(1, MAX_WAITING)
        self._jobs = LazyFile(self._open)

    @property
    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/v1/score-jobs", self.all, methods=["GET", "POST"]),
            Route("/v1/score-jobs/{job_id}", self.one),
            Route("/v1/score-jobs/{job_id}/result", self.result),
        ]

    async def all(self, request: Request) -> Response:
        """The newest jobs; or one more, with the place where to look at it."""
        if request.method != "POST":
            jobs, noted = await self._threads.run(self._newest), request.scope["staycast"]
            return JsonResponse({"jobs": [_shown(job, noted) for job in jobs]})
        check_media_type(request.headers)
        body = await read_body(request)
        asked, asker = parse_score_job(body), asker_of(request, self._settings.records.purposes)
        key = key_of(request.headers.getlist(HEADER), asker, body)
        job = await self._threads.run(self._taken, asked, asker, key)
        location = {"Location": f"/v1/score-jobs/{job.id}"}
        return JsonResponse(_shown(job, request.scope["staycast"]), 202, location)

    async def one(self, request: Request) -> Response:
        """How far a job is."""
        job = await self._threads.run(self._found, request.path_params["job_id"])
        return JsonResponse(_shown(job, request.scope["staycast"]))

    async def result(self, request: Request) -> Response:
        """The file of a job that is done, a piece at a time; a HEAD takes nothing, and is not on record."""
        asker = asker_of(request, self._settings.records.purposes)
        taker = None if request.method == "HEAD" else asker
        job, file = await self._threads.run(self._opened, request.path_params["job_id"], taker)
        request.scope["staycast"]["customers"] = job.customers
        headers = {
            "Content-Disposition": f'attachment; filename="scores-{job.id}.{job.format}"',
            "Content-Length": str(os.fstat(file.fileno()).st_size),
        }
        media_type = FILES[job.format][1]
        if request.method == "HEAD":
            file.close()
            return Response(headers=headers, media_type=media_type)
        return StreamingResponse(_pieces(file, self._path(job)), headers=headers, media_type=media_type)

    def close(self) -> None:
        """Close the file of the jobs."""
        self._jobs.close()

    def _newest(self) -> Sequence[Job]:
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            return self._jobs().newest(MOST_JOBS)

    def _found(self, job_id: str) -> Job:
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            job = self._jobs().find(job_id) if ID.fullmatch(job_id) else None
        if job is None:
            raise UnknownJobError("there is no such job: check the id")
        return job

    def _taken(self, asked: NewScoreJob, asker: Asker, key: Key | None) -> Job:
        """The job that was asked for under the key before, else a new one, once it is kept who asked."""
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            try:
                known = self._jobs().under(key, self._clock()) if key else None
                if known is not None and not self._is_gone(known):
                    return known
                if known is not None:
                    self._jobs().forget_key(known.id)
                self._jobs().require_room(asker.caller)
                job_id = str(ULID())
                self._note(asker, f"score job {job_id}")
                return self._jobs().add(job_id, asked.format, asker, self._clock(), key)
            except OtherBodyError:
                raise ReusedKeyError(
                    f"this {HEADER} came before with another body: take a new key for a new request"
                ) from None
            except FullQueueError as error:
                raise ManyJobsError(f"{error}: come again later") from None

    def _opened(self, job_id: str, taker: Asker | None) -> tuple[Job, BinaryIO]:
        """A job that is done and its file, once it is kept who takes it; None: nobody does."""
        job = self._found(job_id)
        path = self._path(job)
        if path is None:
            raise UnfinishedJobError(NOT_YET.get(job.state, f"the job failed: {job.reason}"))
        with unavailable_if_it_fails("a result cannot be read", "the result cannot be read now", but=StaycastError):
            if self._holds_objecting(path):
                raise ResultGoneError("a customer in it objects to being forecast since: ask for it by another job")
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise ResultGoneError("the file was removed since: ask for it by another job") from None
        try:
            if taker is not None:
                self._note(taker, f"result of score job {job.id}")
        except BaseException:
            file.close()
            raise
        return job, file

    def _path(self, job: Job) -> Path | None:
        """Where the result of a job is; None: it has none, or none yet."""
        if self._workspace is None or job.folder is None:
            return None
        return self._workspace.scores / job.folder / FILES[job.format][0]

    def _is_gone(self, job: Job) -> bool:
        path = self._path(job)
        return path is not None and (not path.is_file() or self._holds_objecting(path))

    def _holds_objecting(self, path: Path) -> bool:
        """Whether somebody in a result objects since."""
        objecting = self._objecting()
        if not objecting or not (table := path.with_name(SCORE_TABLE)).is_file():
            return False
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        ids = pq.read_table(table, columns=["customer_id"])["customer_id"]
        return bool(pc.any(pc.is_in(ids, value_set=pa.array(sorted(objecting), ids.type))).as_py())

    def _open(self) -> JobQueue:
        if self._workspace is None:
            raise UnavailableError("this service takes no jobs")
        return JobQueue(self._workspace.score_jobs, BUSY_SECONDS)


async def _pieces(file: BinaryIO, path: Path | None) -> AsyncIterator[bytes]:
    """A file piece by piece, for as long as it is the one that stands at its path: erasure writes another."""

    def read() -> bytes:
        if path is not None and identity(path) != opened:
            raise ResultGoneError("the file was removed or replaced while it was taken")
        return file.read(CHUNK_BYTES)

    with file:
        opened = identity(file.fileno())
        while piece := await to_thread.run_sync(read):
            yield piece


def _shown(job: Job, noted: Mapping[str, Any]) -> dict[str, Any]:
    """A job as the contract has it; who asked, and what for, is told to that caller and to admins."""
    times = {name: iso(at) if (at := getattr(job, name)) else None for name in TIMES}
    told = ("state", "format", "customers_done", "customers", "caller", "purpose", "as_of", "scored_at", "reason")
    result = f"/v1/score-jobs/{job.id}/result" if job.state == "done" else None
    who = {} if noted["role"] == "admin" or noted["caller"] == job.caller else {"caller": "", "purpose": ""}
    return {"job_id": job.id, **{name: getattr(job, name) for name in told}, **who, **times, "result": result}
