"""Which fonts of the machine hold a text: names of columns and groups come in all scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import cache

from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

PLAIN = 400  # the weight
NO_FONTS = "Last Resort"  # it draws boxes, whatever the text

Characters = Mapping[str, Set[int]]


def drawable(text: str, usual: Set[int], others: Characters) -> tuple[str, str | None]:
    """A text as it can be drawn, and the font that is needed beside the usual one, if any.

    Parameters
    ----------
    text
        To draw.
    usual
        Code points of the usual font.
    others
        Those of other fonts, by name, in order of preference.

    Returns
    -------
    str, str or None
        Where no one font holds what is missing, it is written by its code points.

    Examples
    --------
    >>> drawable("城 a", {32, 97}, {"Song": {0x57CE}})
    ('城 a', 'Song')
    >>> drawable("城 a", {32, 97}, {})
    ('U+57CE a', None)
    """
    missing = {ord(sign) for sign in text} - usual
    if not missing:
        return text, None
    font = next((name for name, held in others.items() if missing <= held), None)
    if font:
        return text, font
    return "".join(f"U+{ord(sign):04X}" if ord(sign) in missing else sign for sign in text), None


def label_ticks(axis: Axis, places: Iterable[float], names: Iterable[str]) -> None:
    """Write names at ticks so that each can be read, or at least told from others, with the fonts of this machine."""
    family = FontProperties().get_family()
    usual = _characters(findfont(FontProperties()))
    told = [drawable(name, usual, {} if name.isascii() else _others()) for name in names]
    axis.set_ticks(list(places), [text for text, _ in told])
    for tick, (_, font) in zip(axis.get_ticklabels(), told, strict=True):
        if font:
            tick.set_fontfamily([*family, font])


@cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())


@cache
def _others() -> dict[str, frozenset[int]]:
    """Code points of all plain fonts of this machine, by name."""
    out: dict[str, frozenset[int]] = {}
    for font in sorted(fontManager.ttflist, key=lambda font: (font.name, font.fname)):
        if font.style == "normal" and font.weight == PLAIN and not font.name.startswith(NO_FONTS):
            try:
                out.setdefault(font.name, _characters(font.fname))
            except (OSError, RuntimeError):  # listed, and gone or unreadable
                continue
    return out
