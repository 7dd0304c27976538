from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from serving.api.app import create_app
from serving.records.prediction_log import PredictionLog


@pytest.fixture
def make(
    models: Any, reader: Any, log: PredictionLog, settings: Settings, now: datetime, workspace: Workspace, calling: Any
) -> Callable[..., Any]:
    """Makes clients of an app that keeps its files in the workspace."""

    def client(**others: Any) -> Any:
        given = {"workspace": workspace, **others}
        return calling(create_app(models, reader, log, settings, clock=lambda: now, **given))

    return client
