"""The service under BentoML: one service around a mounted Starlette app, see `serving.api.app`.

    export STAYCAST_WORKSPACE=. STAYCAST_CONFIG=completejourney BENTOML_DO_NOT_TRACK=True
    bentoml serve serving.service:Staycast

BentoML brings the process model (workers, bentos, containers); HTTP is the app's own, because BentoML's routes
answer 200 while the server stops, and its request handling costs more than the models.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from types import FrameType

import bentoml
import pandas as pd
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from configs import settings as configs
from configs.errors import StaycastError
from configs.workspace import Workspace
from features.schema import load_schema
from serving import launch
from serving.answer.champion import ChampionHolder
from serving.api.app import Reader, create_app
from serving.api.intake import Intake
from serving.launch import serve
from serving.records.prediction_log import PredictionLog

logger = logging.getLogger(__name__)
__all__ = ["Staycast", "serve"]


class LateReader:
    """Opens the feature store at the first read, and again after an opening that failed: features may come later."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._reader: Reader | None = None
        self._opening = threading.Lock()

    def warm(self) -> None:
        """Open the store in the background and read once, so that no customer waits for it."""
        threading.Thread(target=self._try_once, daemon=True, name="warm-reader").start()

    def _try_once(self) -> None:
        try:
            self.read(["nobody"])
        except StaycastError as error:
            logger.warning("%s", error)

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        """Read the newest features, see `serving.api.app.Reader`."""
        return self._opened().read(customer_ids)

    def _opened(self) -> Reader:
        with self._opening:
            if self._reader is None:
                from features.store.feature_store import OnlineFeatures

                self._reader = OnlineFeatures(self._workspace)
                _settle()
            return self._reader


@contextmanager
def running(config: str, workspace: Workspace) -> Iterator[Starlette]:
    """The app of one business with all it rests on: models that follow the registry, the feature store, the log."""
    settings = configs.load(config)
    workspace.claim(settings.name)
    holder = ChampionHolder(
        workspace,
        lambda: load_schema(workspace.features).hash,
        settings.serving.registry_poll_seconds,
        _settle,
        settings.tasks,
    )
    intake = Intake(settings, workspace)
    with PredictionLog(workspace.prediction_log) as log, holder, closing(intake):
        reader = LateReader(workspace)
        reader.warm()
        intake.warm()
        app = create_app(holder, reader, log, settings, taker=intake)
        with _draining_first(app, settings.serving.drain_seconds):
            yield app


def _settle() -> None:
    """Take what is loaded for good out of the garbage collector's sight: searching it all stops answers for 0.1 s."""
    gc.collect()
    gc.freeze()


@contextmanager
def _draining_first(app: Starlette, seconds: float) -> Iterator[None]:
    """Let SIGTERM first turn ``/readyz`` to 503, and stop the server only some seconds later.

    A server that stops listening at once breaks the requests that a load balancer still sends. A second SIGTERM
    stops it at once.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def begin(number: int, frame: FrameType | None) -> None:
        if app.state.draining or not seconds:
            before(number, frame)
            return
        logger.info("told to stop: not ready from now on, stopping in %g seconds", seconds)
        app.state.draining = True
        later = threading.Timer(seconds, stop)
        later.daemon = True
        later.start()

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@asynccontextmanager
async def _lifespan(shell: Starlette) -> AsyncIterator[None]:
    _log_to_stdout()
    launch.be_quiet()
    config, workspace = launch.told()
    with running(config, workspace) as app:
        shell.state.app = app
        async with app.router.lifespan_context(app):
            yield


async def _forward(scope: Scope, receive: Receive, send: Send) -> None:
    await mounted.state.app(scope, receive, send)


mounted = Starlette(routes=[Mount("/", app=_forward)], lifespan=_lifespan)


class Ahead:
    """Hands every request to the mounted app before BentoML's own routes see it, its probes among them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (_forward if scope["type"] == "http" else self.app)(scope, receive, send)


@bentoml.service(
    name="staycast",
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(mounted)
class Staycast:
    """Who will leave, what each customer is worth, why, and what to do."""


Staycast.add_asgi_middleware(Ahead)  # type: ignore[attr-defined]  # the decorator made it a Service


def _log_to_stdout() -> None:
    """Show the logs of this package; BentoML sets up only its own."""
    ours = logging.getLogger("serving")
    if not ours.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] [%(name)s] %(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False
