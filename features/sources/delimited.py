"""Delimited text as exports really hold it: any encoding, any delimiter, quoted newlines, cut-off lines.

The file is read block by block with pyarrow, every value as text; nothing of its size stands in memory.
(DuckDB's own CSV reader was tried: read in parallel, it invented rows in a file with quoted newlines.)
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as pacsv

from configs.errors import ConfigError, DataError

DELIMITERS = (",", ";", "\t", "|")
BLOCK = 1 << 22
HEAD = 1 << 16
BROKEN = "\ufffd"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass
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
    rejected: list[str] = field(default_factory=list)


def open_delimited(path: Path, folder: Path, encoding: str | None = None, delimiter: str | None = None) -> Delimited:
    """Open a delimited text file, gzipped or not.

    Parameters
    ----------
    path
        Of the file; one that ends in ``.gz`` is unpacked.
    folder
        An existing folder for a copy in UTF-8, where one is needed.
    encoding, delimiter
        As told; None: found out. Text that is not UTF-8 is guessed to be Windows-1252, and the note says so.

    Raises
    ------
    ConfigError
        The encoding does not exist.
    DataError
        The file is empty, is not text, or cannot be read in that encoding.
    """
    try:
        found, guess = _known(path, encoding) if encoding else _find_encoding(path)
        plain = path if found == "utf-8" and path.suffix != ".gz" else _in_utf8(path, folder, found)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DataError(f"cannot read '{path}': {error}; correct `encoding`, or export it again") from None
    head = _head(plain)
    if not head.strip():
        raise DataError(f"'{path}' is empty; export it again, with a header line")
    told = head.split("\n", 1)[0].strip() if head.startswith("sep=") else ""
    mark = delimiter or (told[4:5] if told else _find_delimiter(head))
    opened = Delimited([], iter(()), f"{path.name}: read as {guess}, delimiter {mark!r}")
    batches = _rows(plain, path, mark, bool(told), opened.rejected)
    first = next(batches, None)
    if first is None:
        raise DataError(f"'{path}' is empty; export it again, with a header line")
    opened.names = _unique([column[0].as_py() for column in first.columns])
    opened.batches = _below(first, batches)
    return opened


def _below(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first.slice(1)
    yield from rest


def _known(path: Path, encoding: str) -> tuple[str, str]:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(f"no encoding '{encoding}'; say for example utf-8, utf-16, cp1252 or latin-1") from None
    if name in ("utf-8", "utf-8-sig"):
        return "utf-8-broken" if _count_characters(path)[0] else "utf-8", "UTF-8 as told"
    return name, f"{name} as told"


def _binary(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _find_encoding(path: Path) -> tuple[str, str]:
    """Name of the encoding, and how sure it is; the whole file is looked through."""
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
    if broken * 10 <= fine:
        return "utf-8-broken", f"UTF-8 with {broken:,} broken characters"
    return "cp1252", "Windows-1252 (a guess: it is not UTF-8; say `encoding` to be sure)"


def _utf16(path: Path, head: bytes) -> tuple[str, str]:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) // 8:
        raise DataError(f"'{path}' is not text; export it as CSV or parquet")
    name = "utf-16-le" if odd > even else "utf-16-be"
    return name, f"{name.upper()} (a guess: it has no byte order mark; say `encoding` to be sure)"


def _count_characters(path: Path) -> tuple[int, int]:
    """Broken characters, and fine ones beyond ASCII, if the file is taken as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    broken = fine = 0
    with _binary(path) as file:
        while block := file.read(BLOCK):
            if block.isascii() and not decoder.getstate()[0]:
                continue
            text = decoder.decode(block)
            lost = text.count(BROKEN)
            broken += lost
            fine += len(text) - len(text.encode("ascii", "ignore")) - lost
    return broken + len(decoder.decode(b"", final=True)), fine


def _in_utf8(path: Path, folder: Path, encoding: str) -> Path:
    copy = folder / f"{len(list(folder.iterdir()))}.csv"
    name, errors = ("utf-8", "replace") if encoding in ("utf-8", "utf-8-broken") else (encoding, "strict")
    if encoding == "cp1252":
        errors = "replace"
    with _binary(path) as raw, copy.open("w", encoding="utf-8", newline="") as out:
        text = io.TextIOWrapper(raw, encoding=name, errors=errors, newline="")
        while block := text.read(BLOCK):
            out.write(block)
    return copy


def _head(plain: Path) -> str:
    with plain.open("rb") as file:
        return file.read(HEAD).decode("utf-8-sig", "ignore")


def _find_delimiter(head: str) -> str:
    """The delimiter that most lines agree on with the header; of those, the one that gives most columns."""

    def score(mark: str) -> tuple[float, int]:
        rows = [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=mark) if row][:200]
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        return (same > 0.5 and len(rows[0]) > 1, len(rows[0]))

    return max(DELIMITERS, key=score)


def _rows(plain: Path, path: Path, mark: str, skip: bool, rejected: list[str]) -> Iterator[pa.RecordBatch]:
    """All rows, the header included; a line with another number of fields, or never closed, goes to `rejected`."""

    def reject(row: pacsv.InvalidRow) -> str:
        where = f"row {row.number}" if row.number else "a row"
        rejected.append(
            f"{path.name}, {where}: {row.actual_columns} fields where the header has {row.expected_columns}: "
            f"{row.text[:80]!r}"
        )
        return "skip"

    try:
        with _reader(plain, mark, skip, reject) as reader:
            held: pa.RecordBatch | None = None
            for batch in reader:
                if held is not None:
                    yield held
                held = batch
            if held is not None:
                yield _without_open_end(held, plain, path, mark, rejected)
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise DataError(f"cannot read '{path}': {error}; export it again as CSV or parquet") from None


def _reader(plain: Path, mark: str, skip: bool, reject: object) -> pacsv.CSVStreamingReader:
    width = len(
        next(csv.reader(io.StringIO(_head(plain).split("\n", 1)[-1] if skip else _head(plain)), delimiter=mark))
    )
    return pacsv.open_csv(
        plain,
        pacsv.ReadOptions(
            autogenerate_column_names=True, skip_rows=int(skip), block_size=BLOCK, use_threads=False, encoding="utf8"
        ),
        pacsv.ParseOptions(delimiter=mark, newlines_in_values=True, invalid_row_handler=reject),
        pacsv.ConvertOptions(
            column_types={f"f{n}": pa.string() for n in range(width)},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _without_open_end(last: pa.RecordBatch, plain: Path, path: Path, mark: str, rejected: list[str]) -> pa.RecordBatch:
    """Drop the very last row if its last value opens a quote that is never closed."""
    if not last.num_rows:
        return last
    value = last.column(last.num_columns - 1)[-1].as_py() or ""
    opened = '"' + value.replace('"', '""')
    size = len(opened.encode()) + 1
    with plain.open("rb") as file:
        file.seek(max(0, plain.stat().st_size - size))
        tail = file.read()
    if tail not in ((mark + opened).encode(), ("\n" + opened).encode()):
        return last
    rejected.append(f"{path.name}, the last row: a quote is opened and never closed: {opened[:80]!r}")
    return last.slice(0, last.num_rows - 1)


def _unique(header: list[str | None]) -> list[str]:
    """Names of the columns: an empty one is told by its place, one that comes again by its count."""
    names: list[str] = []
    for place, given in enumerate(header, start=1):
        name = (given or "").strip() or f"column_{place}"
        again = sum(name == n or (n.startswith(f"{name}_") and n[len(name) + 1 :].isdigit()) for n in names)
        names.append(f"{name}_{again + 1}" if name in names else name)
    return names
