"""A real service whose Redis is frozen, emptied and killed: an answer or a 503, never somebody taken for unknown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from bench.faults import FAULTS, Fault, Scene, during, staged
from configs.workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="Redis is not installed"),
]


@pytest.fixture(scope="module")
def scene(lived: Workspace) -> Iterator[Scene]:
    pytest.importorskip("redis", reason="redis-py is not installed (extra `redis`)")
    with staged("test", lived.root, redis=True) as scene:
        yield scene


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.scene == "redis"], ids=lambda fault: fault.name)
def test_while_redis_fails_all_are_refused_and_answered_after(scene: Scene, fault: Fault) -> None:
    seen, recovery = during(scene, fault, 1.0)
    both = [*seen["forecasts"], *seen["events"]]
    assert {each.status for each in both} == {503}
    assert max(each.seconds for each in both) < 5
    assert recovery < 20
    assert scene.whole() == []
