"""A first configuration from a user's files: which table each is, which column is which, and why it looks so.

Names are read in English, German, French, Spanish and Chinese, contents are held against what a column must hold, and
ids that files share say who is a customer; see `features.sources.proposal`. Every guess is written beside its line, so
that the user can see at a glance what to correct. A file that is none of the tables is named and left out.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from configs.errors import DataError
from features.sources.delimited import likely_encoding, open_delimited
from features.sources.proposal.business import Business, understand
from features.sources.proposal.samples import together
from features.sources.proposal.skeleton import refusal
from features.sources.proposal.yaml_text import comment, quoted, to_yaml
from features.sources.recipes.apply import understand_by_recipe
from features.sources.spreadsheet import XLSX, sheet_sample

SAMPLE = 50_000  # rows of one file, or of all files with the same columns, that are looked at
OF_ALL, LEAST = 200_000, 2_000  # rows of all files, and of each of many
PARQUET = (".parquet", ".pq")
ENDINGS = (*PARQUET, *XLSX, ".csv", ".csv.gz", ".tsv", ".txt")


def propose_config(paths: Sequence[Path], name: str | None = None, recipe: str | None = None) -> tuple[str, Business]:
    """Look at a user's files and propose the configuration that reads them.

    Parameters
    ----------
    paths
        CSV, XLSX or parquet files, or folders of them.
    name
        Of the business; None: from the files' folder.
    recipe
        Name of the system that wrote the files, see `features.sources.recipes`; None: they are looked at without one.

    Returns
    -------
    str, Business
        The YAML text, and what the files seem to be.

    Raises
    ------
    DataError
        A file is missing or unreadable, or no file fits any table.
    """
    files = [file for path in paths for file in _files(path)]
    rows, unread = _samples(files)
    doubts = {path: doubt for path, sample in rows.items() if (doubt := _doubt(path, sample))}
    samples = together(rows, doubts, SAMPLE)
    business = understand_by_recipe(recipe, samples) if recipe else understand(samples)
    business = replace(business, aside={**business.aside, **unread})
    if not business.tables:
        raise DataError(refusal(samples, unread))
    return to_yaml(name or business_name(files), business, doubts), business


def _doubt(path: Path, sample: pd.DataFrame) -> str:
    """What the mapping has to say of how a file is read that does not tell it: a line of YAML; empty: nothing."""
    if _is_text(path) and (encoding := likely_encoding(path)):
        return f"encoding: {encoding}  # NOT SURE: see whether names are spelled right"
    if (sheet := sample.attrs.get("sheet")) is not None:
        others = ", ".join(name for name in sample.attrs["sheets"] if name != sheet)
        return f"sheet: {quoted(sheet)}  # DOUBT: it holds most; {comment(f'the others are {others}')}"
    return ""


def _samples(files: Sequence[Path]) -> tuple[dict[Path, pd.DataFrame], dict[Path, str]]:
    """The first rows of each file that can be read, and why the others cannot; one that is not there is refused."""
    samples, unread = {}, {}
    each = min(SAMPLE, max(LEAST, OF_ALL // max(1, len(files))))
    for path in files:
        try:
            samples[path] = read_sample(path, each)
        except DataError as error:
            if len(files) == 1 or not path.is_file():
                raise
            unread[path] = str(error)
    return samples, unread


def _files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder in the order of their names."""
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.name.lower().endswith(ENDINGS) and file.is_file()]
    if not found:
        raise DataError(f"the folder '{path}' holds no file that ends in {', '.join(ENDINGS)}")
    return found


def read_sample(path: Path, most: int = SAMPLE) -> pd.DataFrame:
    """Read the first rows of a file, at most so many; those of a CSV as text.

    Raises
    ------
    DataError
        The file is missing or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"no file at '{path}'; name existing CSV, XLSX or parquet files")
    if path.suffix.lower() in PARQUET:
        with pq.ParquetFile(path) as file:
            first = next(file.iter_batches(most), None)
            if first is None:
                raise DataError(f"'{path}' holds no row; export it again")
            return _marked(first.to_pandas(), file.metadata.num_rows > first.num_rows)
    if path.suffix.lower() in XLSX:
        rows = sheet_sample(path, most)
        return _marked(rows, len(rows) == most)
    with tempfile.TemporaryDirectory() as folder:
        opened = open_delimited(path, Path(folder), likely_encoding(path))
        first = next(opened.batches, None)
        if first is None or not first.num_rows:
            raise DataError(f"'{path}' holds a header and no row; export it again")
        is_part = first.num_rows > most or next(opened.batches, None) is not None
        rows = first.slice(0, most).rename_columns(opened.names).to_pandas()
        return _marked(rows.replace("", None), is_part)


def _marked(rows: pd.DataFrame, is_part: bool) -> pd.DataFrame:
    rows.attrs["is_part"] = is_part
    return rows


def _is_text(path: Path) -> bool:
    return path.suffix.lower() not in (*PARQUET, *XLSX)


def business_name(paths: Iterable[Path]) -> str:
    """A name for the business, from the folder of its files."""
    first = next(iter(paths)).resolve().parent.name.lower()
    name = re.sub(r"[^a-z0-9]+", "_", first).strip("_")
    return name if re.match("[a-z]", name) else "business"
