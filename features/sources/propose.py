"""A first configuration from a user's files: which table each is, which column is which, and why it looks so.

Names are compared with what such columns are called in many systems, contents with what the column must hold. Every
guess is written beside its line, so that the user can see at a glance what to correct.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from configs.errors import DataError
from features.sources.delimited import likely_encoding, open_delimited
from features.sources.spreadsheet import XLSX, sheet_sample
from features.tables import TABLES, Field, Table

NAMES: dict[str, tuple[str, ...]] = {
    "order_id": ("order", "invoice", "invoiceno", "basket", "transaction", "receipt", "ordernumber", "bestellung"),
    "customer_id": ("customer", "client", "household", "member", "user", "account", "buyer", "kunde", "cust", "guest"),
    "ordered_at": ("date", "orderdate", "invoicedate", "timestamp", "purchasedate", "time", "created", "datum"),
    "amount": ("total", "revenue", "sales", "value", "price", "sum", "net", "betrag", "dollars", "salesvalue"),
    "quantity": ("qty", "units", "items", "count", "menge", "cds"),
    "channel": ("store", "shop", "source", "branch", "filiale"),
    "category": ("department", "productcategory", "class", "kategorie"),
    "discount": ("rebate", "coupon", "reduction", "rabatt", "retaildisc"),
    "recorded_at": ("recorded", "loadedat", "insertedat", "updatedat", "bookedat"),
    "signed_up_at": ("signup", "registered", "joined", "customersince", "created", "firstseen", "since"),
    "interaction_id": ("interaction", "event", "ticket", "call", "case"),
    "occurred_at": ("date", "eventdate", "time", "timestamp", "openedat", "created"),
    "kind": ("type", "eventtype", "category", "reason"),
    "value": ("score", "rating", "answer"),
    "contact_id": ("contact", "mailing", "message"),
    "contacted_at": ("sent", "sentat", "date", "startdate", "contactdate"),
    "campaign": ("campaignid", "campaignname", "mailing", "offer"),
    "arm": ("group", "variant", "treatment"),
    "cost": ("costs", "price"),
    "redeemed_at": ("redemptiondate", "redeemed", "convertedat"),
}
SENSITIVE = ("age", "birth", "gender", "sex", "income", "marital", "religion", "ethnic", "race", "nationality", "disab")
FORMATS = (
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y",
)  # fmt: skip
SAMPLE = 20_000
FITS = 0.95
MOST_VALUES = 30


@dataclass(frozen=True)
class Guess:
    """A column of the table, the file's column it seems to be, how sure that is (0 to 1), and why."""

    field: Field
    source_name: str
    score: float
    why: str


@dataclass(frozen=True)
class TableGuess:
    """What a file seems to be, with the matched columns, the required ones that are missing, and date formats."""

    table: Table
    path: Path
    guesses: tuple[Guess, ...]
    missing: tuple[str, ...]
    formats: Mapping[str, tuple[str, ...]]
    spare: tuple[str, ...]

    @property
    def score(self) -> float:
        """Share of the required columns matched, weighed by how sure each is."""
        required = [f.name for f in self.table.fields if f.required]
        return sum(g.score for g in self.guesses if g.field.name in required) / len(required)


def propose_config(paths: Sequence[Path], name: str | None = None) -> tuple[str, list[TableGuess]]:
    """Look at a user's files and propose the configuration that reads them.

    Parameters
    ----------
    paths
        CSV or parquet files, one a table.
    name
        Of the business; None: from the files' folder.

    Returns
    -------
    str, list of TableGuess
        The YAML text, and what each file seems to be, customers first.

    Raises
    ------
    DataError
        A file is missing or unreadable or fits no table, or two files seem to be the same table.
    """
    samples = {path: read_sample(path) for path in paths}
    order = list(TABLES)
    tables = sorted((guess_table(p, s) for p, s in samples.items()), key=lambda g: order.index(g.table.name))
    for first, second in pairwise(tables):
        if first.table.name == second.table.name:
            raise DataError(
                f"'{first.path}' and '{second.path}' both look like {first.table.name}: propose from one of them, "
                "then list both under `path` in the YAML"
            )
    text = to_yaml(name or business_name(paths), tables, {g.table.name: samples[g.path] for g in tables})
    return text, tables


def read_sample(path: Path) -> pd.DataFrame:
    """Read the first rows of a file; those of a CSV as text.

    Raises
    ------
    DataError
        The file is missing or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"no file at '{path}'; name existing CSV or parquet files")
    if path.suffix == ".parquet":
        return next(pq.ParquetFile(path).iter_batches(SAMPLE)).to_pandas()
    if path.suffix.lower() in XLSX:
        return sheet_sample(path, SAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        opened = open_delimited(path, Path(folder), likely_encoding(path))
        first = next(opened.batches, None)
        if first is None or not first.num_rows:
            raise DataError(f"'{path}' holds a header and no row; export it again")
        return first.rename_columns(opened.names).to_pandas().head(SAMPLE).replace("", None)


def guess_table(path: Path, sample: pd.DataFrame) -> TableGuess:
    """Guess which table a file is.

    Parameters
    ----------
    path
        Where the file lies.
    sample
        Its first rows; every value as text, or typed.

    Raises
    ------
    DataError
        The file fits no table.
    """
    guesses = [_fit(table, path, sample) for table in TABLES.values()]
    best = max(guesses, key=lambda g: (not g.missing, g.score, len(g.guesses)))
    if best.score < 0.5:
        raise DataError(
            f"'{path}' is none of {', '.join(TABLES)}: its columns are {', '.join(map(str, sample.columns))}; "
            "write its mapping by hand, see docs/own-data.md"
        )
    return best


def to_yaml(name: str, tables: Sequence[TableGuess], samples: Mapping[str, pd.DataFrame]) -> str:
    """Write the configuration of a business, each guess explained beside its line."""
    lines = [
        "# Proposed from your files: read every line, correct what is wrong, then run `staycast ingest --check`.",
        f"name: {name}",
        "currency: USD   # not told by the files: correct it",
        "time_zone: UTC  # where the customers live; not told by the files: correct it",
        "source:",
        "  loader: files",
        "  options:",
    ]
    for table in tables:
        lines += _table_lines(table)
    return "\n".join([*lines, *_column_lines(tables, samples)]) + "\n"


def _table_lines(guess: TableGuess) -> list[str]:
    table = guess.table
    lines = [f"    {table.name}:  # one row per {table.grain}", f"      path: {guess.path}"]
    encoding = (
        likely_encoding(guess.path) if guess.path.is_file() and guess.path.suffix not in (".parquet", *XLSX) else None
    )
    if encoding:
        lines.append(f"      encoding: {encoding}  # NOT SURE: see whether names are spelled right")
    lines.append("      columns:")
    lines += [f"        {g.field.name}: {_quoted(g.source_name)}  # {g.why}" for g in guess.guesses]
    lines += [f"        # {name}: ?  # required, and not found among the columns" for name in guess.missing]
    if guess.formats:
        lines.append("      times:")
    for name, formats in guess.formats.items():
        doubt = "  # AMBIGUOUS: day and month could be the other way round" if len(formats) > 1 else ""
        lines.append(f'        {name}: {{format: "{formats[0]}"}}{doubt}')
    if guess.spare:
        lines.append(f"      # not used: {', '.join(guess.spare)}")
    return lines


def _column_lines(tables: Sequence[TableGuess], samples: Mapping[str, pd.DataFrame]) -> list[str]:
    customers = next((t for t in tables if t.table.name == "customers"), None)
    if customers is None:
        return []
    sample = samples["customers"]
    categories = [name for name in customers.spare if sample[name].nunique() <= MOST_VALUES]
    sensitive = [name for name in categories if any(word in name.lower() for word in SENSITIVE)]
    attributes = [name for name in categories if name not in sensitive]
    return [
        "columns:",
        "  # few different values: features; take out what was not known from the sign-up on",
        f"  attributes: [{', '.join(map(_quoted, attributes))}]",
        "  # by their names: used to audit fairness, never as features",
        f"  sensitive: [{', '.join(map(_quoted, sensitive))}]",
    ]


def _fit(table: Table, path: Path, sample: pd.DataFrame) -> TableGuess:
    scored = sorted(
        (guess for field in table.fields for name in sample.columns if (guess := _guess(field, name, sample, table))),
        key=lambda g: (-g.score, table.names.index(g.field.name)),
    )
    matches: dict[str, Guess] = {}
    for guess in scored:
        if guess.field.name not in matches and guess.source_name not in {g.source_name for g in matches.values()}:
            matches[guess.field.name] = guess
    guesses = tuple(matches[name] for name in table.names if name in matches)
    missing = tuple(f.name for f in table.fields if f.required and f.name not in matches)
    times = [g for g in guesses if g.field.kind == "time"]
    formats = {g.field.name: f for g in times if (f := date_formats(sample[g.source_name]))}
    used = {g.source_name for g in guesses}
    return TableGuess(table, path, guesses, missing, formats, tuple(str(c) for c in sample.columns if c not in used))


def _guess(field: Field, name: str, sample: pd.DataFrame, table: Table) -> Guess | None:
    score, why = _match_names(field.name, str(name))
    fits, content = _match_values(field, sample[name], field.name == table.key)
    return Guess(field, str(name), score, f"{why}; {content}") if score and fits else None


def _match_names(name: str, source_name: str) -> tuple[float, str]:
    letters = _letters(source_name)
    if letters == _letters(name):
        return 1.0, "the same name"
    synonyms = {_letters(word) for word in NAMES.get(name, ())}
    stems = {letters, re.sub(r"(id|no|nr|number|code|key)$", "", letters)}
    if stems & synonyms:
        return 0.9, "such columns are often called so"
    if any(word in letters for word in synonyms if len(word) > 3):
        return 0.6, "its name holds a usual word"
    return 0.0, ""


def _match_values(field: Field, values: pd.Series, key: bool) -> tuple[bool, str]:
    filled = values.dropna()
    if filled.empty:
        return not field.required, "empty in the sample"
    if field.kind == "time":
        share = _time_share(filled)
        return share >= FITS, f"{share:.0%} are times"
    if field.kind == "number":
        share = float(
            pd.to_numeric(filled.astype(str).str.replace(",", ".", regex=False), errors="coerce").notna().mean()
        )
        return share >= FITS, f"{share:.0%} are numbers"
    distinct = filled.nunique()
    return not key or distinct > 1, f"{distinct:,} different values in {len(filled):,} rows"


def _time_share(filled: pd.Series) -> float:
    if pd.api.types.is_datetime64_any_dtype(filled):
        return 1.0
    if pd.api.types.is_numeric_dtype(filled):
        return 0.0
    text = filled.astype(str)
    iso = float(pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601").notna().mean())
    return max([iso, *(_share_of(text, f) for f in FORMATS)])


def date_formats(values: pd.Series) -> tuple[str, ...]:
    """The formats that all times of a column fit, the likeliest first; none if they are plain ISO 8601 already.

    >>> date_formats(pd.Series(["31.12.2024", "01.02.2024"]))
    ('%d.%m.%Y',)
    >>> date_formats(pd.Series(["01/02/2024"]))
    ('%d/%m/%Y', '%m/%d/%Y')
    >>> date_formats(pd.Series(["2024-12-31"]))
    ()
    """
    filled = values.dropna()
    if pd.api.types.is_datetime64_any_dtype(filled) or filled.empty:
        return ()
    text = filled.astype(str)
    if pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601").notna().all():
        return ()
    return tuple(f for f in FORMATS if _share_of(text, f) >= FITS)


def _share_of(text: pd.Series, form: str) -> float:
    return float(pd.to_datetime(text, errors="coerce", format=form).notna().mean())


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w]*", name) else f'"{name}"'


def business_name(paths: Iterable[Path]) -> str:
    """A name for the business, from the folder of its files."""
    first = next(iter(paths)).resolve().parent.name.lower()
    name = re.sub(r"[^a-z0-9]+", "_", first).strip("_")
    return name if re.match("[a-z]", name) else "business"
