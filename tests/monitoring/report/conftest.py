from __future__ import annotations

import html
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="module")
def _no_network() -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise AssertionError("a report must not open a connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="session")
def outer() -> Callable[[Path], str]:
    """The page without a frame in it."""
    return lambda page: re.sub(r"<iframe.*</iframe>", "", page.read_text("utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="session")
def words(outer: Callable[[Path], str]) -> Callable[[Path], str]:
    """What a reader reads, in one line."""

    def read(page: Path) -> str:
        body = re.sub(r"<(style|script|svg).*?</\1>", "", outer(page), flags=re.DOTALL)
        text = re.sub(r"<wbr>|<[^>]*>", lambda tag: "" if tag[0] == "<wbr>" else " ", body)
        return " ".join(html.unescape(text).split())

    return read


@pytest.fixture(scope="session")
def loads_nothing() -> Callable[[str], bool]:
    """Whether a document names nothing to be loaded."""
    address = r"""(src|href)\s*=\s*["']?\s*(https?:)?//|@import|url\(\s*["']?http"""
    return lambda document: not re.search(address, document)
