"""Erase persons from what this package stores: tables, quarantine, events, feature rows, labels, online rows, reports.

A person is erased with all aliases. `serving.erasure` erases the answers, too, and keeps the record.
"""

from __future__ import annotations

import json
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


def with_aliases(workspace: Workspace, ids: Iterable[str]) -> list[str]:
    """The persons behind these ids, with all aliases that any load knows of them, sorted."""
    found = {i.strip() for i in ids}
    maps = [load_alias_map(folder) for folder in _parts(workspace, TABLES)]
    while more := {i for known in maps for i in known.all_ids(found)} - found:
        found |= more
    return sorted(found)


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
    rows = {_name(workspace, p): drop_rows(p, erased) for p in sorted(files, key=lambda p: p.name == ALIAS_FILE)}
    quarantine = sorted(path for folder in _parts(workspace, QUARANTINE) for path in folder.glob("*.parquet"))
    rows |= {_name(workspace, p): drop_rows(p, erased, any_column=True) for p in quarantine}
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
    return rows


def drop_rows(path: Path, erased: set[str], any_column: bool = False) -> int:
    """Write a parquet file anew without the rows of some ids, row group by row group; how many there were.

    Parameters
    ----------
    path
        The file; one without such a row stays as it is.
    erased
        Ids to be dropped, wherever they stand in ``customer_id`` or ``alias``.
    any_column
        Also drop rows that name one of them in any other column: quarantine holds rows as they came.
    """
    with pq.ParquetFile(path) as file:
        groups = range(file.num_row_groups)
        rows = sum(pc.sum(_mentions(file.read_row_group(n), erased, any_column)).as_py() or 0 for n in groups)
        if rows:
            with replacing_file(path) as part, pq.ParquetWriter(part, file.schema_arrow) as writer:
                for table in map(file.read_row_group, groups):
                    writer.write_table(table.filter(pc.invert(_mentions(table, erased, any_column))))
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


def _mentions(table: pa.Table, erased: set[str], any_column: bool) -> pa.ChunkedArray | pa.Array:
    """True for each row that is about one of these ids."""
    mask = pa.array([False] * table.num_rows) if table.num_rows else pa.array([], type=pa.bool_())
    values = pa.array(sorted(erased | {f"{i}.0" for i in erased}) if any_column else sorted(erased), type=pa.string())
    for name in table.column_names if any_column else [c for c in IDS if c in table.column_names]:
        column = table.column(name).cast(pa.string())
        mask = pc.or_(mask, pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(column), value_set=values), False))
    if any_column and "reason" in table.column_names:
        named = [bool(erased.intersection(WORDS.findall(text or ""))) for text in table.column("reason").to_pylist()]
        mask = pc.or_(mask, pa.array(named, type=pa.bool_()))
    return mask


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
    return str(path.relative_to(workspace.state).with_suffix(""))
