"""Erase persons from a workspace for good: who asked, when and why is kept, who they were is not.

Everything about them is removed: see `features.erasure` for what features rest on; here the answers, in the files of
all customers and in the log of those that were served. A keyed hash of each id stays, so that the next ingest of the
same export leaves them out and counts them (`features.people.suppression_list`).

What stays is said: models learned from data that included them, and what lies outside the workspace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from configs.errors import ConfigError
from configs.files import replacing_file, sweep
from configs.settings import Records
from configs.workspace import SCORE_CSV, SCORE_LINES, SCORE_TABLE, Workspace
from features import erasure
from features.people.suppression_list import known_among, note_unfound, suppress
from features.tables import id_of
from serving.bulk.csv_file import write_csv
from serving.records.objections import TABLE as OBJECTIONS
from serving.records.objections import ObjectionLog
from serving.records.outcome_log import OutcomeLog
from serving.records.prediction_log import PredictionLog

NOT_ERASED = (
    "models trained before keep parameters that were learned from data with this person in it: "
    "train again to learn without",
    "the files or the database the data comes from: erase the person there, too; until then every ingest leaves the "
    "person's rows out",
    "copies and backups of this workspace, and what other systems took from it, such as files of `score --csv` and of "
    "score jobs",
)


def erase(
    workspace: Workspace,
    ids: Sequence[str],
    by: str,
    reason: str,
    records: Records,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Remove persons, with all their aliases, from everything the workspace holds.

    Doing it again is no error. A server that runs answers 404 for them from then on. An id under which nothing is found
    is kept out of later exports, too.

    Parameters
    ----------
    workspace
        Of the business.
    ids
        Customer ids or aliases, at least one.
    by, reason
        Who asked for it and why; both are kept, so they must not name the person.
    records
        Where the keys of the record of answers are.
    now
        The present, UTC.

    Returns
    -------
    dict
        The entry of the record: ``at``, ``by``, ``reason``, ``ids`` (how many ids the persons had), ``unknown`` (how
        many of those given nothing was found under, now or before) and ``rows`` (rows removed, by place); beside it
        ``not_found``, the unknown ids, and ``remains``: what could not be removed.

    Raises
    ------
    ConfigError
        No id, or no reason is given, or the reason names one of the ids.
    BusyError
        Another process changes the workspace.
    """
    _require(ids, reason)
    with workspace.exclusive("erase"):
        return _erase(workspace, sorted({*map(id_of, ids)} - {""}), by, reason, records, now or datetime.now(UTC))


def _erase(
    workspace: Workspace, ids: Sequence[str], by: str, reason: str, records: Records, now: datetime
) -> dict[str, Any]:
    all_ids = erasure.with_aliases(workspace, ids)
    if any(_names(text, i) for text in (by, reason) for i in all_ids):
        raise ConfigError("--reason and --by are kept: leave the person's id out of them")
    doubtful = _doubtful(workspace, ids, all_ids)
    suppress(workspace, all_ids)
    apart = [(own, _erase_rows(workspace, sorted(own), records)) for own in doubtful]
    is_all = set().union(*doubtful).issuperset(ids)
    rows = sum((more for _, more in apart), Counter() if is_all else _erase_rows(workspace, all_ids, records))
    unfound = set[str]().union(*(own for own, more in apart if not more))
    note_unfound(workspace, unfound, set(all_ids) - unfound)
    not_found = [i for i in ids if i in unfound]
    entry = {
        "at": now.isoformat(timespec="seconds"),
        "by": by,
        "reason": reason,
        "ids": len(all_ids),
        "unknown": len(not_found),
        "rows": dict(rows),
    }
    _append(workspace.erased / "record.jsonl", entry)
    return {**entry, "not_found": not_found, "remains": list(NOT_ERASED)}


def _doubtful(workspace: Workspace, ids: Sequence[str], all_ids: Sequence[str]) -> list[set[str]]:
    """Of `ids`, those of whom no table knows and under which nothing was erased before, with all ids of each person.

    They may be found elsewhere, so they are erased one person after the other.
    """
    known = erasure.in_tables(workspace, all_ids) | known_among(workspace, all_ids)
    persons = [set(erasure.with_aliases(workspace, [i])) for i in ids if i not in known]
    return _joined(own for own in persons if known.isdisjoint(own))


def _joined(sets: Iterable[set[str]]) -> list[set[str]]:
    """The same ids in sets of which no two meet.

    >>> [sorted(one) for one in _joined([{"p", "q"}, {"r"}, {"q", "s"}])]
    [['r'], ['p', 'q', 's']]
    """
    joined: list[set[str]] = []
    for one in sets:
        met = [other for other in joined if not other.isdisjoint(one)]
        joined = [*(other for other in joined if other not in met), one.union(*met)]
    return joined


def _erase_rows(workspace: Workspace, ids: Sequence[str], records: Records) -> Counter[str]:
    """Rows removed, by place; places without any are not named."""
    return +Counter(_erase_answers(workspace, set(ids), records) | erasure.erase_customers(workspace, ids))


def history(workspace: Workspace) -> list[dict[str, Any]]:
    """Every erasure, oldest first; empty if there was none."""
    path = workspace.erased / "record.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _require(ids: Sequence[str], reason: str) -> None:
    if not any(map(id_of, ids)):
        raise ConfigError("say who is to be erased: give a customer id or an alias")
    if not reason.strip():
        raise ConfigError("say why with --reason: the record keeps it for whoever asks later")


def _names(text: str, customer_id: str) -> bool:
    """Whether an id stands in a text, whatever the signs around it, in whatever case and form of Unicode.

    >>> [_names(text, "k 441") for text in ("asked by (K 441).", "k 4411 wrote")]
    [True, False]
    """
    said, sought = (unicodedata.normalize("NFKC", t).casefold().strip() for t in (text, customer_id))
    return re.search(rf"(?<!\w){re.escape(sought)}(?!\w)", said) is not None


def _erase_answers(workspace: Workspace, ids: set[str], records: Records) -> dict[str, int]:
    """Rows removed from the files of all customers and from the log, by place."""
    rows = {}
    shutil.rmtree(workspace.scoring, ignore_errors=True)  # what was cut short is begun anew
    sweep(workspace.scores)
    for folder in sorted(p for p in workspace.scores.glob("[!.]*") if p.is_dir()):
        rows[f"scores/{folder.name}"] = _erase_scores(folder, ids)
    if records.database or workspace.prediction_log.is_file():
        with PredictionLog.of(workspace, records) as log:
            rows["predictions"] = log.erase(ids)
    if workspace.objections.is_file():
        with ObjectionLog(workspace.objections) as objections:
            rows["objections"] = objections.erase(OBJECTIONS, ids)
    if workspace.outcomes.is_file():
        with OutcomeLog(workspace.outcomes) as outcomes:
            rows["outcomes"] = outcomes.erase("outcomes", ids)
    return rows


def _erase_scores(folder: Path, ids: set[str]) -> int:
    """Rows removed from the answers for all customers of a moment; a CSV is written anew from the table."""
    csv = folder / SCORE_CSV
    had_csv = csv.is_file()
    csv.unlink(missing_ok=True)  # first, so that none is left with the person in it, whatever is cut short
    rows = erasure.drop_rows(folder / SCORE_TABLE, ids)
    lines = folder / SCORE_LINES
    with lines.open("rb") as old, replacing_file(lines) as part, part.open("wb") as new:
        new.writelines(line for line in old if orjson.loads(line)["customer_id"] not in ids)
    if had_csv:
        write_csv(folder / SCORE_TABLE, csv)
    return rows


def _append(path: Path, entry: dict[str, Any]) -> None:
    """Add a line and sync it to disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
