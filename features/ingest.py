"""From a source to checked tables: every row is either used, or stands in quarantine with its reason.

Rows of erased persons are the exception: they are counted and kept nowhere, see `features.tombstones`.

Whatever was read is told: tables, quarantine and report are written even if they are not good enough to use. Whether
they are is one question with one answer, see `features.quality_gate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd

from configs.settings import Settings
from configs.workspace import Workspace, fingerprint, replacing
from features import quality, quality_gate, snapshot
from features.check import Checked, check_tables
from features.identity import propose, resolve_if_given
from features.sources import loader
from features.tombstones import leave_out, load_tombstones

CODE_VERSION = 2


def mark(settings: Settings) -> str:
    """A short hash of all that the checked tables depend on."""
    source = loader(settings.source.loader).mark(settings.source.options)
    return fingerprint(
        CODE_VERSION,
        source,
        settings.columns,
        settings.quality,
        settings.time_zone,
        settings.data_until,
        settings.churn.kind,
    )


def ingest(
    settings: Settings,
    workspace: Workspace,
    now: datetime | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, object]:
    """Load, check and store the tables of a business; write the quarantine and the quality report.

    Parameters
    ----------
    settings
        Of the business.
    workspace
        Where tables, quarantine and report go; what was there stays if the source cannot be read.
    now
        The present, in UTC; a row that happened later is not believed.
    say
        Told what is being done.

    Returns
    -------
    dict
        The quality report, see `features.quality.report`.

    Raises
    ------
    DataError
        A required table or column is missing, or a table is empty.
    """
    workspace.claim(settings.name)
    say(f"Reading {settings.source.loader}")
    raw = loader(settings.source.loader).load(settings.source.options)
    say("Checking every row")
    now = now or datetime.now(UTC)
    raw, erased = leave_out(raw, load_tombstones(workspace))
    checked = checked_tables(raw, settings, now)
    checked = {name: replace(one, erased=erased.get(name, 0)) for name, one in checked.items()}
    report = quality.report(checked, settings) | {"same_person": _proposals(raw), "reading": _reading(raw)}
    verdict, told = quality_gate.judge(checked, settings, quality_gate.reference(workspace), now, mark(settings))
    report |= quality_gate.chapter(workspace, verdict, settings)
    say("Writing tables, quarantine and report")
    _write(checked, report, settings, workspace)
    quality_gate.keep(workspace, verdict, told)
    return report


def checked_tables(raw: dict[str, pd.DataFrame], settings: Settings, now: datetime) -> dict[str, Checked]:
    """Check raw tables and give the rows of aliases to their persons."""
    prepared = snapshot.prepare(raw, settings, now)
    return resolve_if_given(check_tables(prepared, settings.columns, now, settings.churn.kind))


def _reading(raw: dict[str, pd.DataFrame]) -> list[str]:
    """How the files were read, with every guess, as their source tells it."""
    return [f"{name}: {note}" for name, frame in raw.items() for note in frame.attrs.get("notes", ())]


def _proposals(raw: dict[str, pd.DataFrame]) -> list[dict[str, str]]:
    """Customers with the same e-mail or telephone number: reported, never merged; without the number itself."""
    customers = raw.get("customers", pd.DataFrame())
    asked = {"customer_id", "signed_up_at"} <= set(customers.columns)
    found = propose(customers).astype(str).to_numpy().tolist() if asked else []
    return [dict(zip(("customer_id", "alias", "source"), row, strict=True)) for row in found]


def _write(checked: dict[str, Checked], report: dict[str, object], settings: Settings, workspace: Workspace) -> None:
    zone = ZoneInfo(settings.time_zone)
    with replacing(workspace.quarantine) as folder:
        for name, one in checked.items():
            one.quarantined.astype(str).to_parquet(folder / f"{name}.parquet", index=False)
    quality.write(report, workspace.reports / "quality")
    with replacing(workspace.tables) as folder:
        for name, one in checked.items():
            with_local_time(one, zone).to_parquet(folder / f"{name}.parquet", index=False)


def with_local_time(one: Checked, zone: ZoneInfo) -> pd.DataFrame:
    """Add hour, weekday (Monday 0) and day (since 1970) of the customers' own clock to the orders."""
    if one.table.name != "orders":
        return one.used
    local = one.used["ordered_at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return one.used.assign(
        local_hour=local.dt.hour.astype("int64"),
        local_weekday=local.dt.weekday.astype("int64"),
        local_day=(local.dt.normalize() - pd.Timestamp("1970-01-01")).dt.days.astype("int64"),
    )
