"""From a source to checked tables: every row is either used, or stands in quarantine with its reason.

Rows of erased persons are the exception: they are counted and kept nowhere, see `features.people.suppression_list`.

Write, judge, publish: tables, quarantine, report and verdict are written aside as one load, and become visible together
by one atomic step (`configs.loads`). A load that is not good enough to use (`features.quality.quality_gate`) is kept to
be looked at; the one before stays current.

A table of events of more than `features.quality.chunks.CHUNK_ROWS` rows goes the same way chunk by chunk, see
`features.quality.chunks`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from configs.files import scratch
from configs.loads import QUARANTINE, REPORT, TABLES
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels import ready_label
from features.people.identity import propose_aliases, resolve_if_given, write_repairs
from features.people.suppression_list import EMPTY, drop_suppressed, load_suppression_list
from features.quality import quality_gate, quality_report
from features.quality.anomalies import Profile
from features.quality.check import ValidatedTable, check_tables
from features.quality.chunks import CHUNK_ROWS, ChunkedCheck, ValidatedChunkedTable
from features.quality.contract_rows import contract_notes, with_announcement
from features.quality.dates.load_facts import with_load_facts
from features.quality.dates.outlying_dates import set_outlying_aside
from features.quality.dates.sign_ups import with_first_signs
from features.quality.first_events import customers_of
from features.quality.outlying_amounts import set_outliers_aside
from features.quality.quarantine import kept_columns
from features.sources.dated_numbers import with_dated_numbers
from features.sources.fingerprint import ingest_fingerprint
from features.sources.loaders import loader, opened
from features.sources.mapping import entries_of, id_repairs
from features.sources.one_currency import convert_currencies
from features.sources.order_counts import with_counts
from features.sources.rows.copies import without_copies
from features.sources.rows.words import words_of, write_words
from features.sources.staging import Raw
from features.tables import day_over, is_date_alone, local_times


def ingest(
    settings: Settings,
    workspace: Workspace,
    now: datetime | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
    chunk_rows: int = CHUNK_ROWS,
) -> dict[str, object]:
    """Load, check and judge the tables of a business, and publish them with quarantine, report and verdict.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Gets the load; what is current stays so unless this one may be used.
    now
        The present, in UTC; a row that happened later is not believed.
    on_progress
        Called with what is being done.
    chunk_rows
        Of a larger table, so many rows stand in memory at once; the result does not depend on it.

    Returns
    -------
    dict
        The quality report, see `features.quality.quality_report`; ``load`` names the load.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    BusyError
        Another process changes the workspace.
    """
    workspace.claim(settings.name)
    with workspace.exclusive("ingest"):
        return _ingest(settings, workspace, now or datetime.now(UTC), on_progress, chunk_rows)


def _ingest(
    settings: Settings, workspace: Workspace, now: datetime, on_progress: Callable[[str], None], chunk_rows: int
) -> dict[str, object]:
    workspace.loads.adopt()
    with workspace.loads.staged() as load, scratch(workspace.loads.folder) as folder:
        judged = judge_source(settings, workspace, now, folder, on_progress, chunk_rows)
        checked, verdict = judged.checked, judged.verdict
        of_source = {"same_person": judged.same_person, "reading": judged.notes}
        earlier = quality_gate.history(workspace)
        report = {"load": load.name} | quality_report.describe(checked, settings) | of_source
        report |= quality_gate.describe(earlier, verdict, settings)
        on_progress("Writing tables, quarantine and report")
        _write(checked, report, settings, load)
        quality_gate.save(load, verdict, judged.profile, earlier)
        workspace.loads.publish(load, not verdict.stops, verdict.fingerprint)
    return report


@dataclass(frozen=True)
class JudgedLoad:
    """What a source holds, checked and judged; nothing of it is published.

    Attributes
    ----------
    checked
        The tables after their check.
    verdict, profile
        See `features.quality.quality_gate.judge`.
    notes
        How the files were read, one sentence each.
    same_person
        Customers with the same e-mail or telephone number, see `features.people.identity`.
    """

    checked: dict[str, ValidatedTable]
    verdict: quality_gate.Verdict
    profile: Profile
    notes: list[str]
    same_person: list[dict[str, str]]


def judge_source(
    settings: Settings,
    workspace: Workspace | None,
    now: datetime,
    folder: Path,
    on_progress: Callable[[str], None] = lambda text: None,
    chunk_rows: int = CHUNK_ROWS,
) -> JudgedLoad:
    """Read, check and judge the tables of a business: what `ingest` publishes and ``--check`` tells.

    Parameters
    ----------
    settings, now, on_progress, chunk_rows
        As of `ingest`.
    workspace
        Of the business: who was erased, and the load to compare with; None: nobody, and there is none.
    folder
        Where the rows of tables in chunks are kept for as long as the result is used.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    """
    on_progress(f"Reading {settings.source.loader}")
    source = loader(settings.source.loader)
    suppressed = EMPTY if workspace is None else load_suppression_list(workspace)
    reference = None if workspace is None else quality_gate.reference_profile(workspace)
    with opened(source, settings.source.options, chunk_rows, settings.time_zone) as raw:
        on_progress("Checking every row")
        remaining = prepared_tables(drop_suppressed(raw, suppressed), settings, now)
        del raw  # a table without its erased rows is a copy: the two must not stand in memory side by side
        checked = checked_tables(remaining, settings, now, folder)
        notes = [f"{name}: {note}" for name, table in remaining.items() for note in table.attrs.get("notes", ())]
        same_person = _proposals(remaining)
        del remaining
    notes += contract_notes(checked, now) + attribute_notes(checked, settings)
    verdict, profile = quality_gate.judge(checked, settings, reference, now, ingest_fingerprint(settings))
    return JudgedLoad(checked, verdict, profile, notes, same_person)


def prepared_tables(raw: Mapping[str, Raw], settings: Settings, now: datetime) -> dict[str, Raw]:
    """Raw tables as they are checked: names of a ready export made simple, copies of customers once, one currency.

    Raises
    ------
    DataError
        See `features.labels.ready_label.prepare`, `features.sources.dated_numbers.with_dated_numbers` and
        `features.sources.one_currency.convert_currencies`.
    """
    prepared = without_copies(ready_label.prepare(raw, settings, now))
    prepared = with_dated_numbers(prepared, settings.columns.numbers)
    return convert_currencies(with_counts(prepared, settings), settings)


def checked_tables(
    raw: Mapping[str, Raw], settings: Settings, now: datetime, folder: Path
) -> dict[str, ValidatedTable]:
    """Check raw tables and give the rows of aliases to their persons.

    Parameters
    ----------
    raw
        Frames, and tables in chunks, as `prepared_tables` gives them; they are not changed.
    settings, now
        As of `ingest`.
    folder
        Where the rows of tables in chunks are kept for as long as the result is used.
    """
    check = ChunkedCheck(folder, partial(with_local_time, zone=ZoneInfo(settings.time_zone)))
    origin = settings.source.customers_from
    latest = now + settings.quality.clock_skew
    checked = check_tables(raw, settings.columns, latest, settings.churn.kind, check, origin)
    checked = set_outlying_aside(checked, settings.quality)
    checked = resolve_if_given(set_outliers_aside(checked, settings.quality.outlying_amounts))
    checked = with_announcement(checked, settings.churn.ends, settings.data_until_utc, now)
    checked = with_load_facts(checked, settings, now)
    return {"customers": customers_of(checked[origin]), **checked} if origin else with_first_signs(checked)


def attribute_notes(checked: Mapping[str, ValidatedTable], settings: Settings) -> list[str]:
    """What is said of attributes that are kept out, as nothing says since when they hold."""
    names = settings.columns.changing_attributes
    if settings.churn.kind == "label" or not names or "attribute_changes" in checked:
        return []
    return [
        f"customers: {', '.join(names)}: nothing says since when these attributes hold, and today's value in every "
        "moment of the past would tell what came later: they are kept out of the features. List under "
        "columns.constant what never changes; give the changes of the others as the table attribute_changes"
    ]


def _proposals(raw: Mapping[str, Raw]) -> list[dict[str, str]]:
    """Customers with the same e-mail or telephone number: reported, never merged; without the number itself."""
    customers = raw.get("customers")
    if not isinstance(customers, pd.DataFrame) or not {"customer_id", "signed_up_at"} <= set(customers.columns):
        return []
    proposals = propose_aliases(customers).astype(str).to_numpy().tolist()
    return [dict(zip(("customer_id", "alias", "source"), row, strict=True)) for row in proposals]


def _write(checked: dict[str, ValidatedTable], report: dict[str, object], settings: Settings, load: Path) -> None:
    """Fill the folder of a load."""
    zone = ZoneInfo(settings.time_zone)
    for name, one in checked.items():
        to = load / QUARANTINE / f"{name}.parquet"
        if isinstance(one, ValidatedChunkedTable):
            shutil.move(one.quarantine_file, to)
        else:
            kept_columns(one.table, one.quarantined).to_parquet(to, index=False)
        write_used_rows(one, zone, load / TABLES / f"{name}.parquet")
    table = settings.source.customers_from or ("profiles" if settings.churn.kind == "label" else "customers")
    options = settings.source.options
    write_repairs(load / TABLES, id_repairs(options, table))
    write_words(load / TABLES, words_of({name: entries_of(options, name) for name in checked}))
    quality_report.write(report, load / REPORT)


def write_used_rows(one: ValidatedTable, zone: ZoneInfo, to: Path) -> None:
    """Put the used rows where they are kept; a file of theirs moves there."""
    if isinstance(one, ValidatedChunkedTable):
        shutil.move(one.used_file, to)
    else:
        with_local_time(one, zone).to_parquet(to, index=False)


def with_local_time(one: ValidatedTable, zone: ZoneInfo) -> pd.DataFrame:
    """Add hour, weekday (Monday 0) and day (since 1970) of the customers' own clock to the orders.

    A time at exactly midnight UTC is a date alone: that date in every zone, and the hour is missing. Contracts get
    ``ended_day_over``: when the day of an ``ended_at`` that is a date alone is over, in UTC.
    """
    if one.table.name == "subscriptions":
        return one.used.assign(ended_day_over=day_over(one.used["ended_at"], zone))
    if one.table.name != "orders":
        return one.used
    times = one.used["ordered_at"]
    local = local_times(times, zone)
    return one.used.assign(
        local_hour=local.dt.hour.astype("Int64").mask(is_date_alone(times)),
        local_weekday=local.dt.weekday.astype("int64"),
        local_day=(local.dt.normalize() - pd.Timestamp("1970-01-01")).dt.days.astype("int64"),
    )
