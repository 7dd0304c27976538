"""The service under BentoML: one service around a mounted Starlette app, see `serving.api.app`.

    export STAYCAST_WORKSPACE=. STAYCAST_CONFIG=completejourney BENTOML_DO_NOT_TRACK=True
    bentoml serve serving.service:Staycast

BentoML brings the process model (workers, bentos, containers); HTTP is the app's own, because BentoML's routes
answer 200 while the server stops, and its request handling costs more than the models.

On import only `Staycast` and the app it mounts are defined, because BentoML finds a service by importing its module;
logs, models and stores are set up when a worker's lifespan begins.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from types import FrameType

import bentoml
import pandas as pd
from opentelemetry import context
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from configs import settings as configs
from configs.errors import StaycastError
from configs.files import FileVersion, file_version
from configs.libraries import hide_deprecations
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import left_by_label
from features.people.identity import load_alias_map
from features.schema import SCHEMA_FILE, load_schema
from features.store.online_rows import OnlineFeatures
from serving import connections, launch
from serving.access.control import access_control
from serving.api.app import create_app
from serving.api.intake import EventIntake
from serving.api.interfaces import Leavers
from serving.api.metrics import keep_counts
from serving.jobs.keeper import JobKeeper
from serving.records.audit import pruning
from serving.records.prediction_log import PredictionLog
from serving.release.bystander import Bystander
from serving.release.local_copies import LocalCopies
from serving.release.observations import Observations
from serving.release.watcher import ChampionWatcher

BUSY_SECONDS = 0.08  # an answer waits no longer for another process that writes the record: 503 is sooner than late
SWITCH_SECONDS = 0.0005  # so soon the thread that scores goes on beside that which reads requests, also in a flood
START_SECONDS = 20.0  # so long at most a worker waits for its models, and for its features, before it takes traffic
logger = logging.getLogger(__name__)


class LazyFeatureReader:
    """Opens the feature store at the first read, and again after an opening that failed: features may come later.

    Features that were built with other columns are read from when all of those are online; those of before until then.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._schema = workspace, workspace.features / SCHEMA_FILE
        self._reader: OnlineFeatures | None = None
        self._file: FileVersion | None = None
        self._opening = threading.Lock()

    def preload(self) -> threading.Thread:
        """Open the store in the background, in the thread given, and read once, so that no customer waits for it."""
        thread = threading.Thread(target=self._try_to_read, daemon=True, name="preload-reader")
        thread.start()
        return thread

    def _try_to_read(self) -> None:
        try:
            self.read(["nobody"])
        except StaycastError as error:
            logger.warning("%s", error)

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        """Read the newest features, see `serving.api.interfaces.FeatureReader`."""
        return self._open().read(customer_ids)

    def _open(self) -> OnlineFeatures:
        with self._opening:
            file = file_version(self._schema)
            if self._reader is None:
                self._reader, self._file = OnlineFeatures(self._workspace), file
                _freeze_garbage_collector()
            elif file != self._file and self._follow():
                self._file = file
            return self._reader

    def _follow(self) -> bool:
        """Read the columns that are there now; False, and those of before, where not all are online yet."""
        try:
            if self._reader is None or load_schema(self._workspace.features).hash != self._reader.schema_hash:
                reader = OnlineFeatures(self._workspace)
                reader.read(["nobody"])
                self._reader = reader
        except (StaycastError, sqlite3.Error):
            return False
        return True


@contextmanager
def application(config: str, workspace: Workspace) -> Iterator[Starlette]:
    """The app of one business with all it rests on: models that follow the registry, the feature store, the log."""
    settings = configs.load(config)
    workspace.claim(settings.name)
    champions = ChampionWatcher(
        workspace,
        lambda: load_schema(workspace.features).hash,
        settings.serving.registry_poll_seconds,
        _freeze_garbage_collector,
        settings.tasks,
        unledgered=settings.serving.unledgered,
    )
    intake = EventIntake(settings, workspace)
    bystander = Bystander(lambda: Observations(workspace.releases), LocalCopies(workspace).folder_of)
    with (
        PredictionLog.of(workspace, settings.records, BUSY_SECONDS, may_be_away=True) as log,
        pruning(log, settings.records.keep_days),
        champions,
        closing(intake),
        closing(bystander),
        JobKeeper(config, workspace),
    ):
        reader = LazyFeatureReader(workspace)
        opening = [reader.preload(), intake.preload()]
        left, access = leavers(settings, workspace), access_control(settings.access, workspace)
        app = create_app(
            champions,
            reader,
            log,
            settings,
            events=intake,
            left=left,
            access=access,
            workspace=workspace,
            observer=bystander,
        )
        champions.wait(START_SECONDS)  # a worker takes no traffic before it can answer, or knows why it cannot
        for thread in opening:
            thread.join(START_SECONDS)
        with _graceful_shutdown(app, settings.serving.drain_seconds):
            yield app


def leavers(settings: Settings, workspace: Workspace) -> Leavers:
    """Tells who has left: by the label of the load that is used; else nobody, as labels are of the past."""
    if settings.churn.kind != "label":
        return lambda ids: set()

    def left(ids: Sequence[str]) -> set[str]:
        persons = load_alias_map(workspace.tables).of(ids)
        known = left_by_label(workspace.tables, persons)
        return {i for i, person in zip(ids, persons, strict=True) if person in known}

    return left


def _freeze_garbage_collector() -> None:
    """Take what is loaded for good out of the garbage collector's sight: searching it all stops answers for 0.1 s."""
    gc.collect()
    gc.freeze()


@contextmanager
def _graceful_shutdown(app: Starlette, seconds: float) -> Iterator[None]:
    """Let SIGTERM first turn ``/readyz`` to 503, and stop the server only some seconds later.

    A server that stops listening at once breaks the requests that a load balancer still sends. A second SIGTERM
    stops it at once. So does the first, once the process that started this one is gone: whoever starts the service
    again waits for its port.
    """
    stop, parent = signal.getsignal(signal.SIGTERM), os.getppid()
    if threading.current_thread() is not threading.main_thread() or not callable(stop):
        yield
        return

    def drain(number: int, frame: FrameType | None) -> None:
        if app.state.draining or not seconds or os.getppid() != parent:
            stop(number, frame)
            return
        logger.info("told to stop: not ready from now on, stopping in %g seconds", seconds)
        app.state.draining = True
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop)


def _stop_without_parent(poll_seconds: float = 1.0) -> None:
    """Stop this worker when the process that started it is gone: after a kill -9 nobody else would."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_seconds)
        logger.error("the process that started this worker is gone: stopping")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


@asynccontextmanager
async def _lifespan(shell: Starlette) -> AsyncIterator[None]:
    hide_deprecations()
    _log_to_stdout()
    launch.disable_telemetry()
    _stop_without_parent()
    sys.setswitchinterval(SWITCH_SECONDS)
    config, workspace = launch.from_environment()
    keep_counts(os.environ.get(launch.COUNTS))
    with application(config, workspace) as app:
        shell.state.app = app
        async with connections.watched(app.state.flood), app.router.lifespan_context(app):
            yield


async def _forward(scope: Scope, receive: Receive, send: Send) -> None:
    await asgi_shell.state.app(scope, receive, send)


asgi_shell = Starlette(routes=[Mount("/", app=_forward)], lifespan=_lifespan)


class BypassMiddleware:
    """Hands every request to the mounted app before BentoML's own routes see it, its probes among them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no HTTP, such as the lifespan, to BentoML."""
        await (_forward if scope["type"] == "http" else self.app)(scope, receive, send)


@bentoml.service(
    name="staycast",
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},  # see `_without_spans`
)
@bentoml.asgi_app(asgi_shell)
class Staycast:
    """Who will leave, what each customer is worth, why, and what to do."""


def _without_spans() -> None:
    """Make none in this thread's context, and in those that are copied from it.

    Nothing reads spans: making them took a third of what a request costs its thread, looking whether to a tenth.
    """
    context.attach(context.set_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY, True))


_without_spans()
connections.install()
Staycast.add_asgi_middleware(BypassMiddleware)  # type: ignore[attr-defined]  # the decorator made it a Service


def _log_to_stdout() -> None:
    """Show the logs of this package; BentoML sets up only its own."""
    package = logging.getLogger("serving")
    if not package.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] [%(name)s] %(message)s"))
        package.addHandler(handler)
        package.setLevel(logging.INFO)
        package.propagate = False
