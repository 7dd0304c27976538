from __future__ import annotations

import pytest

from tests.serving.access.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
