"""Text of the data in a terminal is data."""

from __future__ import annotations

import pytest

from cli.plain import PlainConsole, visible


@pytest.mark.parametrize("text", ["[/x]", "[bold]", ":smile:", "Müller", "王芳", "שלום", "محمد", "می‌خواهم", "a\nb"])
def test_letters_of_all_scripts_and_markup_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        ("\x1b", "\\x1b"), ("\x07", "\\x07"), ("\r", "\\r"), ("\t", "\\t"), ("\x9b", "\\x9b"), ("\x00", "\\x00"),
        ("\u202e", "\\u202e"), ("\u2066", "\\u2066"), ("\u200b", "\\u200b"), ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
    ],
)  # fmt: skip
def test_signs_that_a_terminal_would_obey_are_shown_by_their_code(sign: str, code: str) -> None:
    assert visible(f"a{sign}b") == f"a{code}b"


def test_a_console_neither_obeys_nor_loses_what_it_prints() -> None:
    console = PlainConsole(width=80)
    with console.capture() as capture:
        console.print("[/INST] \x1b[2J [link=x]y")
    assert capture.get() == "[/INST] \\x1b[2J [link=x]y\n"
