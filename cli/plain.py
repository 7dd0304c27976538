r"""What stands in the data, on a screen: shown as it is, and never obeyed.

A terminal obeys escape sequences, rich obeys square brackets, and both turn the order of a line on a sign that nobody
sees. The console of the command line knows no markup, and shows such signs by their code (``\x1b``); letters of
right-to-left scripts are letters. What the program itself wants coloured is a `rich.text.Text`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

KEPT = "\n"
INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
JOINERS = "\u200c\u200d"  # of Persian and Indian scripts and of emoji


def visible(text: str) -> str:
    r"""Text whose control and direction signs are shown by their code.

    >>> visible("\x1b[31mred\x1b[0m [/x] שלום \u202edcba")
    '\\x1b[31mred\\x1b[0m [/x] שלום \\u202edcba'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_code(letter) if _is_control(letter) else letter for letter in text)


def _is_control(letter: str) -> bool:
    return letter not in KEPT and letter not in JOINERS and unicodedata.category(letter) in INVISIBLE


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


class PlainConsole(Console):
    """A console that takes every text for data, see `visible`.

    Parameters
    ----------
    options
        As of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with the signs of data made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
