from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from configs.errors import ConfigError, DataError
from features.sources.delimited import Delimited, open_delimited


def read(
    tmp_path: Path, content: bytes, name: str = "x.csv", **options: str
) -> tuple[Delimited, list[tuple[str | None, ...]]]:
    """What is in a file of this content: how it was opened, and all rows."""
    (tmp_path / "copies").mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    opened = open_delimited(tmp_path / name, tmp_path / "copies", **options)
    return opened, [tuple(row.values()) for batch in opened.batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("ä;b\n1;2\n".encode(), "x.csv: read as UTF-8, delimiter ';'"),
        ("\ufeffä|b\n1|2\n".encode(), "x.csv: read as UTF-8, delimiter '|'"),
        ("ä\tb\n1\t2\n".encode("utf-16"), "x.csv: read as UTF-16, delimiter '\\t'"),
        (
            "ä,b\n1,2\n".encode("utf-16-be"),
            "x.csv: read as UTF-16-BE (a guess: it has no byte order mark; say `encoding` to be sure), delimiter ','",
        ),
        (
            "ä,b\n1,2\n".encode("cp1252"),
            "x.csv: read as Windows-1252 (a guess: it is not UTF-8; say `encoding` to be sure), delimiter ','",
        ),
        ("sep=;\nä;b\n1;2\n".encode(), "x.csv: read as UTF-8, delimiter ';'"),
    ],
)
def test_the_note_says_how_a_file_is_read_and_what_is_a_guess(tmp_path: Path, content: bytes, note: str) -> None:
    opened, rows = read(tmp_path, content)
    assert (opened.note, opened.names, rows) == (note, ["ä", "b"], [("1", "2")])


def test_commas_inside_values_do_not_hide_the_semicolon(tmp_path: Path) -> None:
    opened, rows = read(tmp_path, b'id;a;b\n1;1,5;2,5\n2;"x;y";3,5\n')
    assert opened.names == ["id", "a", "b"]
    assert rows == [("1", "1,5", "2,5"), ("2", "x;y", "3,5")]


def test_names_of_columns_are_made_different(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,,a,a\n1,2,3,4\n")[0].names == ["a", "column_2", "a_2", "a_3"]


def test_lines_that_are_no_rows_are_told_with_their_place(tmp_path: Path) -> None:
    opened, rows = read(tmp_path, b'a,b\n1,2\n3\n4,"5\n6"\n7,8,9\n\n1,"2')
    assert rows == [("1", "2"), ("4", "5\n6")]
    assert [reason.split(":")[0] for reason in opened.rejected] == [
        "x.csv, row 3",
        "x.csv, row 5",
        "x.csv, the last row",
    ]


def test_a_file_of_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n")[1] == []


def test_values_are_text_and_empty_ones_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, b'a,b,c\n007,,""\nNA,null,1\n')[1] == [("007", None, None), ("NA", "null", "1")]


@pytest.mark.parametrize(
    ("content", "name", "options", "error", "said"),
    [
        (b"", "x.csv", {}, DataError, "is empty"),
        (b" \n", "x.csv", {}, DataError, "is empty"),
        (b"GIF89" * 20 + bytes(3), "x.csv", {}, DataError, "is not text"),
        (b"a,b\n", "x.csv.gz", {}, DataError, "cannot read"),
        (gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], "x.csv.gz", {}, DataError, "cannot read"),
        (b"a\n\xff\n", "x.csv", {"encoding": "ascii"}, DataError, r"cannot read .*ascii"),
        (b"a\n", "x.csv", {"encoding": "utf-99"}, ConfigError, "no encoding 'utf-99'"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, content: bytes, name: str, options: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(tmp_path, content, name, **options)


def test_a_broken_character_in_told_utf8_is_marked_as_one(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n\xff,1\n", encoding="utf-8")[1] == [("\ufffd", "1")]
