"""Delimited text as exports really hold it: any encoding, any delimiter, quoted newlines, cut-off lines.

The file is read block by block with pyarrow, every value as text; nothing of its size stands in memory.
(DuckDB's own CSV reader was tried: read in parallel, it invented rows in a file with quoted newlines.)
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as pacsv

from configs.errors import ConfigError, DataError
from features.sources.encodings import question, readings, sure_reading

DELIMITERS = (",", ";", "\t", "|")
BLOCK = 1 << 22
HEAD = 1 << 16
BROKEN = "\ufffd"
MOSTLY_TEXT = 20  # at most one NUL byte in so many is a fault in a text
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Delimited:
    """An open delimited file.

    Attributes
    ----------
    names
        The header, each name once.
    batches
        The rows below it, as text columns named ``f0``, ``f1``, ...; to be read once.
    note
        How the file is read, with every guess.
    rejected
        One reason for each line that is no row; complete when `batches` is read to its end.
    """

    names: list[str]
    batches: Iterator[pa.RecordBatch]
    note: str
    rejected: Sequence[str]


def open_delimited(path: Path, folder: Path, encoding: str | None = None, delimiter: str | None = None) -> Delimited:
    """Open a delimited text file, gzipped or not.

    Parameters
    ----------
    path
        Of the file; one that ends in ``.gz`` is unpacked.
    folder
        An existing folder for a copy in UTF-8, where one is needed.
    encoding, delimiter
        As given; None: inferred, see `features.sources.encodings`.

    Raises
    ------
    ConfigError
        The encoding does not exist.
    DataError
        The file is empty, is not text, holds a NUL anywhere, cannot be read in that encoding, or may be in several.
    """
    try:
        name, guess = _given_encoding(path, encoding) if encoding else _infer_encoding(path)
        in_utf8 = (
            path if name == "utf-8" and path.suffix != ".gz" else _copy_in_utf8(path, folder, name, bool(encoding))
        )
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DataError(f"cannot read '{path}': {error}; correct `encoding`, or export it again") from None
    head = _head(in_utf8)
    if not head.strip():
        raise DataError(f"'{path}' is empty; export it again, with a header line")
    first_line = re.split(r"[\r\n]", head, maxsplit=1)[0].strip() if head.startswith("sep=") else ""
    delimiter = delimiter or (first_line[4:5] if first_line else _infer_delimiter(head))
    rows = _Rows(path, in_utf8, delimiter, skip_first=bool(first_line))
    batches = iter(rows)
    first = next(batches, None)
    if first is None:
        raise DataError(f"'{path}' is empty; export it again, with a header line")
    return Delimited(
        names=unique_names([column[0].as_py() for column in first.columns]),
        batches=chain([first.slice(1)], batches),
        note=f"{path.name}: read as {guess}, delimiter {delimiter!r}",
        rejected=rows.rejected,
    )


def _given_encoding(path: Path, encoding: str) -> tuple[str, str]:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(f"no encoding '{encoding}'; say for example utf-8, utf-16, cp1252 or latin-1") from None
    if name in ("utf-8", "utf-8-sig"):
        return "utf-8-broken" if _count_characters(path)[0] else "utf-8", "UTF-8 as told"
    return name, f"{name} as told"


def _binary(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _infer_encoding(path: Path) -> tuple[str, str]:
    """Name of the encoding, and how sure it is; the whole file is looked through."""
    if unicode := _unicode(path):
        return unicode
    found = readings(_beyond_ascii(path))
    reading = sure_reading(found)
    if reading is None:
        raise DataError(f"'{path}': {question(found)}")
    return reading.encoding, f"{reading.encoding}, as its words tell (it is not UTF-8; give `encoding` to be sure)"


def likely_encoding(path: Path) -> str | None:
    """What to propose as `encoding` where `open_delimited` would ask for it; None where it would not."""
    if _unicode(path):
        return None
    found = readings(_beyond_ascii(path))
    return None if sure_reading(found) else found[0].encoding


def _unicode(path: Path) -> tuple[str, str] | None:
    """As `_infer_encoding`, of a file in UTF-8, UTF-16 or UTF-32; None of any other."""
    with _binary(path) as file:
        head = file.read(HEAD)
    for bom, name in BOMS:
        if head.startswith(bom):
            return ("utf-8", "UTF-8") if name == "utf-8-sig" else (name, name.upper())
    if b"\0" in head:
        return _utf16(path, head)
    broken, fine = _count_characters(path)
    if not broken:
        return "utf-8", "UTF-8"
    return ("utf-8-broken", f"UTF-8 with {broken:,} broken characters") if broken * 10 <= fine else None


def _beyond_ascii(path: Path) -> bytes:
    """Whole lines that hold something beyond ASCII, up to about `HEAD` bytes; the whole file is looked through."""
    lines, size, rest = [], 0, b""
    with _binary(path) as file:
        while size < HEAD and (block := file.read(BLOCK)):
            whole, end, rest = (rest + block).replace(b"\r", b"\n").rpartition(b"\n")
            rest = rest[-BLOCK:]
            for line in re.finditer(rb"[^\n]*[\x80-\xff][^\n]*", whole + end):
                lines.append(line[0])
                size += len(line[0])
                if size >= HEAD:
                    break
    return b"\n".join([*lines, rest] if size < HEAD else lines)


def _utf16(path: Path, head: bytes) -> tuple[str, str]:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) // 8:
        raise DataError(_not_text(path, head))
    name = "utf-16-le" if odd > even else "utf-16-be"
    return name, f"{name.upper()} (a guess: it has no byte order mark; say `encoding` to be sure)"


def _not_text(path: Path, head: bytes) -> str:
    """What is said of a file with NUL bytes that is not UTF-16: where the first stands, and what to do."""
    count = head.count(0)
    if count * MOSTLY_TEXT > len(head):
        return f"'{path}' is not text ({count:,} NUL bytes in its first {len(head):,}); export it as CSV or parquet"
    return _nul_in_text(path, _first_nul_line(path))


def _nul_in_text(path: Path, line: int) -> str:
    return (
        f"'{path}' holds NUL bytes, the first in line {line:,}, and is else text: a file that was "
        "cut off while it was written, or binary fields; export it again, or remove them (tr -d '\\000' < FILE > NEW)"
    )


def _count_characters(path: Path) -> tuple[int, int]:
    """Broken characters, and fine ones beyond ASCII, if the file is taken as UTF-8; one with NUL bytes is refused."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = fine = 0
    with _binary(path) as file:
        while block := file.read(BLOCK):
            if 0 in block:
                raise DataError(_nul_in_text(path, _first_nul_line(path)))
            if block.isascii() and not decoder.getstate()[0]:
                continue
            text = decoder.decode(block)
            lost = text.count(BROKEN)
            broken += lost
            fine += len(text) - len(text.encode("ascii", "ignore")) - lost
    return broken + len(decoder.decode(b"", final=True)), fine


def _first_nul_line(path: Path) -> int:
    feeds = returns = 0
    with _binary(path) as file:
        while block := file.read(BLOCK):
            before, nul, _ = block.partition(b"\0")
            feeds, returns = feeds + before.count(b"\n"), returns + before.count(b"\r")
            if nul:
                break
    return max(feeds, returns) + 1


def _copy_in_utf8(path: Path, folder: Path, encoding: str, given: bool) -> Path:
    copy = folder / f"{len(list(folder.iterdir()))}.csv"
    name, errors = ("utf-8", "replace") if encoding in ("utf-8", "utf-8-broken") else (encoding, "strict")
    if not given or encoding == "cp1252":
        errors = "replace"  # what cannot be read is marked, and its row has a reason against it
    with _binary(path) as raw, copy.open("w", encoding="utf-8", newline="") as out:
        text = io.TextIOWrapper(raw, encoding=name, errors=errors, newline="")
        has_nul = False
        while not has_nul and (block := text.read(BLOCK)):
            out.write(block)
            has_nul = "\0" in block
    if has_nul:
        raise DataError(_nul_in_text(path, _first_nul_line(copy)))
    return copy


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(HEAD).decode("utf-8-sig", "ignore")


def _infer_delimiter(head: str) -> str:
    """The delimiter that most lines agree on with the header; of those, the one that gives most columns."""

    def score(delimiter: str) -> tuple[float, int]:
        rows = [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row][:200]
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        return (same > 0.5 and len(rows[0]) > 1, len(rows[0]))

    return max(DELIMITERS, key=score)


class _Rows:
    """All rows of a text file, the header included.

    Parameters
    ----------
    path
        The file as people know it.
    in_utf8
        The same text in UTF-8.
    delimiter
        What stands between two fields.
    skip_first
        The first line only names the delimiter.

    Attributes
    ----------
    rejected
        A reason for each line read so far that has another number of fields, or is never closed.
    """

    def __init__(self, path: Path, in_utf8: Path, delimiter: str, skip_first: bool) -> None:
        self.path, self.in_utf8, self.delimiter, self.skip_first = path, in_utf8, delimiter, skip_first
        self.rejected: list[str] = []

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            with self._reader() as reader:
                last: pa.RecordBatch | None = None
                for batch in reader:
                    if last is not None:
                        yield last
                    last = batch
                if last is not None:
                    yield self._without_open_end(last)
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise DataError(f"cannot read '{self.path}': {error}; export it again as CSV or parquet") from None

    def _reader(self) -> pacsv.CSVStreamingReader:
        head = _head(self.in_utf8)
        header = re.split(r"\r\n?|\n", head, maxsplit=1)[-1] if self.skip_first else head
        width = len(next(csv.reader(io.StringIO(header, newline=""), delimiter=self.delimiter)))
        read = pacsv.ReadOptions(
            autogenerate_column_names=True, skip_rows=int(self.skip_first), block_size=BLOCK, use_threads=False
        )
        parse = pacsv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=self._reject)
        texts = {f"f{n}": pa.string() for n in range(width)}
        convert = pacsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""])
        return pacsv.open_csv(self.in_utf8, read, parse, convert)

    def _reject(self, row: pacsv.InvalidRow) -> str:
        where = f"row {row.number}" if row.number else "a row"
        self.rejected.append(
            f"{self.path.name}, {where}: {row.actual_columns} fields where the header has {row.expected_columns}"
        )
        return "skip"

    def _without_open_end(self, last: pa.RecordBatch) -> pa.RecordBatch:
        """Drop the very last row if its last value opens a quote that is never closed."""
        if not last.num_rows:
            return last
        value = last.column(last.num_columns - 1)[-1].as_py() or ""
        opened = '"' + value.replace('"', '""')
        size = len(opened.encode()) + 1
        with self.in_utf8.open("rb") as file:
            file.seek(max(0, self.in_utf8.stat().st_size - size))
            tail = file.read()
        if tail not in [(before + opened).encode() for before in (self.delimiter, "\n", "\r")]:
            return last
        self.rejected.append(f"{self.path.name}, the last row: a quote is opened and never closed")
        return last.slice(0, last.num_rows - 1)


def unique_names(header: list[str | None]) -> list[str]:
    """Names of the columns: an empty one is told by its place, one that comes again by its count."""
    names: list[str] = []
    for place, given in enumerate(header, start=1):
        name = (given or "").strip() or f"column_{place}"
        again = sum(name == n or (n.startswith(f"{name}_") and n[len(name) + 1 :].isdigit()) for n in names)
        names.append(f"{name}_{again + 1}" if name in names else name)
    return names
