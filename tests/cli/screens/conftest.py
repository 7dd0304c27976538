from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.plain import PlainConsole


@pytest.fixture(scope="session")
def printed() -> Callable[[Any], str]:
    """What stands on the screen, each run of blanks as one."""

    def render(renderable: Any) -> str:
        console = PlainConsole(width=200)
        with console.capture() as capture:
            console.print(renderable)
        return " ".join(capture.get().split())

    return render
