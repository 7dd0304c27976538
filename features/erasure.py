"""Erase persons from what this package stores: tables, quarantine, events, feature rows, labels, online rows, reports.

A person is erased with all aliases. `serving.erasure` erases the answers, too, and keeps the record.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.files import replacing_file, sweep, write_text
from configs.loads import QUARANTINE, REPORT, TABLES
from configs.workspace import Workspace
from features import refresh
from features.people.identity import FILE as ALIAS_FILE
from features.people.identity import load_alias_map
from features.people.suppression_list import IDS, WORDS
from features.quality import quality_report
from features.store.event_log import EventLog
from features.store.feature_store import OnlineWriter
from features.tables import TABLES as TABLES_BY_NAME
from features.tables import id_of

REASON_COLUMN = "reason"
_EMPTY = ["", "None", "nan", "NaN", "<NA>", "NaT"]  # how a missing value stands in quarantine
_NOT_TEXT = {f.name for table in TABLES_BY_NAME.values() for f in table.fields if f.kind in ("number", "time")}


def with_aliases(workspace: Workspace, ids: Iterable[str]) -> list[str]:
    """The persons behind these ids, with all aliases that any load knows of them, sorted; and the ids as given."""
    found = set(map(id_of, ids))
    found.update(load_alias_map(workspace.tables).repaired(sorted(found)))
    maps = [load_alias_map(folder) for folder in _parts(workspace, TABLES)]
    while more := {i for known in maps for i in known.all_ids(found)} - found:
        found |= more
    return sorted(found)


def in_tables(workspace: Workspace, ids: Iterable[str]) -> set[str]:
    """Of these ids, those that stand in the newest tables or feature rows, as a customer's or as an alias."""
    wanted, found = pa.array(sorted(ids), type=pa.string()), set[str]()
    for path in (*workspace.tables.glob("*.parquet"), *workspace.features.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            names = [name for name in IDS if name in file.schema_arrow.names]
            for group in range(file.num_row_groups if names else 0):
                for column in file.read_row_group(group, columns=names).columns:
                    text = column.combine_chunks().cast(pa.string())
                    found.update(text.filter(pc.is_in(text, value_set=wanted)).unique().to_pylist())
    return found


def erase_customers(workspace: Workspace, ids: Iterable[str]) -> dict[str, int]:
    """Remove every row about these ids; who is whom goes last, so that what was broken off can be done again.

    What killed processes left half done goes whole, see `configs.workspace.scratch`.

    Parameters
    ----------
    workspace
        Holds what is to be erased.
    ids
        All ids of the persons, see `with_aliases`.

    Returns
    -------
    dict
        Rows removed, by the file they stood in.
    """
    erased = set(ids)
    sweep(workspace.state)
    workspace.loads.sweep()
    was_current = refresh.sorted_copy_is_current(workspace)
    files = [
        *(path for folder in _parts(workspace, TABLES) for path in folder.glob("*.parquet")),
        *workspace.features.glob("*.parquet"),
        *workspace.refresh.rglob("*.parquet"),
    ]
    rows: Counter[str] = Counter()  # the same rows may stand in several loads: each copy counts
    for path in sorted(files, key=lambda p: p.name == ALIAS_FILE):
        rows[_name(workspace, path)] += drop_rows(path, erased)
    quarantine = sorted(path for folder in _parts(workspace, QUARANTINE) for path in folder.glob("*.parquet"))
    for path in quarantine:
        rows[_name(workspace, path)] += drop_rows(path, erased, in_quarantine=True)
    if was_current:
        refresh.confirm_sorted_copy(workspace)
    if workspace.events.is_file():
        with EventLog(workspace.events) as log:
            rows["events"] = log.erase("events", erased)
    if (workspace.feast / "registry.db").is_file():
        online = OnlineWriter(workspace, filling=True)
        rows["online"] = online.erase(sorted(erased))
        online.close()
    rows["reports"] = _clean_reports(workspace, erased)
    return dict(rows)


def drop_rows(path: Path, erased: set[str], in_quarantine: bool = False) -> int:
    """Write a parquet file anew without the rows of some ids, row group by row group; how many there were.

    Parameters
    ----------
    path
        The file; one without such a row stays as it is.
    erased
        Ids to be dropped, wherever they stand in ``customer_id`` or ``alias``.
    in_quarantine
        The rows are as they came, and so is the id: with blanks, or as a number with decimals. A row whose customer is
        not known is dropped, too, if one of the ids stands in another of its ids or texts, or in the reason against it.
        A row of another customer stays, whatever it holds.
    """
    about = _about_in_quarantine if in_quarantine else _about
    with pq.ParquetFile(path) as file:
        groups = range(file.num_row_groups)
        rows = sum(pc.sum(about(file.read_row_group(n), erased)).as_py() or 0 for n in groups)
        if rows:
            with replacing_file(path) as part, pq.ParquetWriter(part, file.schema_arrow) as writer:
                for table in map(file.read_row_group, groups):
                    writer.write_table(table.filter(pc.invert(about(table, erased))))
    return rows


def remove_entries(content: Any, erased: set[str]) -> tuple[Any, int]:
    """Leave entries about some ids out of nested JSON; how many there were.

    >>> remove_entries({"same_person": [{"customer_id": "ann", "alias": "a2"}, {"customer_id": "bob"}]}, {"a2"})
    ({'same_person': [{'customer_id': 'bob'}]}, 1)
    """
    if isinstance(content, dict):
        parts = {key: remove_entries(value, erased) for key, value in content.items()}
        return {key: value for key, (value, _) in parts.items()}, sum(n for _, n in parts.values())
    if not isinstance(content, list):
        return content, 0
    others = [entry for entry in content if not (isinstance(entry, dict) and erased & {str(entry.get(c)) for c in IDS})]
    inner = [remove_entries(entry, erased) for entry in others]
    return [value for value, _ in inner], len(content) - len(others) + sum(n for _, n in inner)


def _about(table: pa.Table, erased: set[str]) -> pa.Array:
    """True for each row that is about one of these ids."""
    return _stands_in(table, [c for c in IDS if c in table.column_names], erased)


def _about_in_quarantine(table: pa.Table, erased: set[str]) -> pa.Array:
    """As `_about`, of rows as they came, see `drop_rows`."""
    spelled = erased | {f"{i}.0" for i in erased}
    own = _stands_in(table, [c for c in IDS if c in table.column_names], spelled)
    others = [c for c in table.column_names if c not in (*IDS, *_NOT_TEXT)]
    return pc.or_(own, pc.and_(_nobody_known(table), pc.or_(_stands_in(table, others, spelled), _named(table, erased))))


def _stands_in(table: pa.Table, columns: Iterable[str], values: set[str]) -> pa.Array:
    """True for each row that holds one of these values in one of these columns."""
    mask, wanted = _all(False, table), pa.array(sorted(values), type=pa.string())
    for name in columns:
        text = pc.utf8_trim_whitespace(table.column(name).combine_chunks().cast(pa.string()))
        mask = pc.or_(mask, pc.fill_null(pc.is_in(text, value_set=wanted), False))
    return mask


def _nobody_known(table: pa.Table) -> pa.Array:
    """True for each row that has no customer, or one that is not known: it may be anybody's."""
    if "customer_id" not in table.column_names or REASON_COLUMN not in table.column_names:
        return _all(True, table)
    customer = pc.utf8_trim_whitespace(table.column("customer_id").combine_chunks().cast(pa.string()))
    empty = pc.fill_null(pc.is_in(customer, value_set=pa.array(_EMPTY)), True)
    reason = table.column(REASON_COLUMN).combine_chunks().cast(pa.string())
    return pc.or_(empty, pc.fill_null(pc.match_substring(reason, "customer_id: "), False))


def _named(table: pa.Table, erased: set[str]) -> pa.Array:
    """True for each row against which a reason names one of these ids."""
    if REASON_COLUMN not in table.column_names:
        return _all(False, table)
    reasons = table.column(REASON_COLUMN).to_pylist()
    return pa.array([bool(erased.intersection(WORDS.findall(text or ""))) for text in reasons], type=pa.bool_())


def _all(value: bool, table: pa.Table) -> pa.Array:
    return pa.array([value] * table.num_rows, type=pa.bool_())


def _clean_reports(workspace: Workspace, erased: set[str]) -> int:
    """Leave the persons out of the quality report, for people and for programs, and of what the stages recorded."""
    reports, count = [folder / "quality.json" for folder in _parts(workspace, REPORT)], 0
    for path in [*reports, *sorted((workspace.state / "stages").glob("*.json"))]:
        content, rows = remove_entries(json.loads(path.read_text("utf-8")), erased) if path.is_file() else ({}, 0)
        if rows and path in reports:
            quality_report.write(content, path.parent)
        elif rows:
            write_text(path, json.dumps(content, indent=1))
        count += rows
    return count


def _parts(workspace: Workspace, part: str) -> list[Path]:
    """The folders of one part of all loads that are kept, used or refused."""
    return sorted({*(load / part for load in workspace.loads.all()), workspace.loads.newest(part)})


def _name(workspace: Workspace, path: Path) -> str:
    """As ``tables/orders``, whatever load it is of."""
    place = path.relative_to(workspace.state).with_suffix("")
    is_of_load = place.parts[0] == workspace.loads.folder.name
    return "/".join(place.parts[2:] if is_of_load else place.parts)
