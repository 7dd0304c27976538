from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from configs.errors import ConfigError, DataError
from features.sources import delimited
from features.sources.delimited import Delimited, likely_encoding, open_delimited


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
            "\nä,b\n1,2\n".replace("\n", "\r\n").encode(),
            "x.csv: read as UTF-8, delimiter ','",
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
        (b"GIF89" * 20 + bytes(9), "x.csv", {}, DataError, "is not text"),
        (b"id,n\n" + b"1,2\n" * 30 + b"7\0,3\n", "x.csv", {}, DataError, "NUL bytes, the first in line 32, and"),
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


@pytest.mark.parametrize("encoding", [None, "utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_nul_far_behind_is_refused_with_its_line(tmp_path: Path, name: str, encoding: str | None) -> None:
    end = "\n" if encoding else "\r"
    lines = ["id,n", *["1,2"] * (delimited.HEAD // 2), "7\0,3", ""]
    text = end.join(lines).encode(encoding or "utf-8")
    content = gzip.compress(text, mtime=0) if name.endswith(".gz") else text
    with pytest.raises(DataError, match="NUL bytes, the first in line 32,770, and"):
        read(tmp_path, content, name, **({"encoding": encoding} if encoding else {}))


def test_a_broken_character_in_told_utf8_is_marked_as_one(tmp_path: Path) -> None:
    assert read(tmp_path, b"a,b\n\xff,1\n", encoding="utf-8")[1] == [("\ufffd", "1")]


@pytest.mark.parametrize(
    "content",
    ["a,b\r1,2\r3,4\r", "a,b\r1,2\r3,4", 'sep=,\ra,b\r1,2\r"3",4\r', "\r\ra,b\r1,2\r3,4"],
)
def test_lines_may_end_by_a_carriage_return_alone(tmp_path: Path, content: str) -> None:
    opened, rows = read(tmp_path, content.encode())
    assert (opened.names, rows, opened.rejected) == (["a", "b"], [("1", "2"), ("3", "4")], [])


def test_a_quote_that_is_never_closed_is_found_where_lines_end_by_a_carriage_return(tmp_path: Path) -> None:
    opened, rows = read(tmp_path, b'a,b\r1,"x\ry"\r3,"z')
    assert rows == [("1", "x\ry")] and len(opened.rejected) == 1


def test_an_encoding_that_is_sure_is_taken_and_noted(tmp_path: Path) -> None:
    opened, rows = read(tmp_path, "kunde,stadt\n1,Köln\n2,Größe\n".encode("cp1252"))
    assert rows == [("1", "Köln"), ("2", "Größe")]
    assert "read as cp1252, as its words tell (it is not UTF-8" in opened.note


def test_an_encoding_that_is_not_sure_is_asked_for_with_what_each_would_say(tmp_path: Path) -> None:
    content = "id,name\n1,王芳\n".encode("gb18030")
    with pytest.raises(DataError, match="`encoding: gb18030` if it says '王芳'"):
        read(tmp_path, content)
    assert read(tmp_path, content, encoding="gb18030")[1] == [("1", "王芳")]


def test_a_proposal_names_the_likeliest_encoding_only_where_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "sure.csv").write_text("a\nGröße\n", "cp1252")
    (tmp_path / "utf8.csv").write_text("a\n王芳\n", "utf-8")
    (tmp_path / "ask.csv").write_text("name\nиван\nпетрова\n", "cp1251")
    assert [likely_encoding(tmp_path / f"{n}.csv") for n in ("sure", "utf8", "ask")] == [None, None, "cp1251"]


def test_a_character_cut_in_half_marks_its_row_and_does_not_hide_the_encoding(tmp_path: Path) -> None:
    names = [
        "王小明",
        "陳美玲",
        "台北市",
        "客戶訂單",
        "林志豪",
        "黃淑芬",
        "張雅婷",
        "李志明",
        "吳佳玲",
        "高雄市",
        "新竹縣",
    ]
    cut = "台北市".encode("big5")[:-1]
    content = b"id,name\n" + b"".join(f"{n},{x}\n".encode("big5") for n, x in enumerate(names)) + b"99," + cut
    rows = read(tmp_path, content + b"\n")[1]
    assert rows[1] == ("1", "陳美玲") and "\ufffd" in str(rows[-1][1])
