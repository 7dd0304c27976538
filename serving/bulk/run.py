"""The answers for every customer, from the newest feature row of each: that which the service answers from."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from configs.errors import NotReadyError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import count_known_to_have_left
from features.people.identity import load_alias_map
from features.quality import quality_verdict
from features.store.online_rows import OnlineFeatures
from serving.answer.champion import Champions
from serving.bulk.fingerprints import scoring_fingerprint
from serving.bulk.parts import Parts
from serving.bulk.publish import publish
from serving.bulk.work import CHUNK_ROWS, SMALL_PARTS, PartWriter, Willing, write_all, write_all_in_processes
from serving.records.objections import persons_who_object

PART_ROWS = 10_000


def score_newest(
    settings: Settings,
    workspace: Workspace,
    on_progress: Callable[[int, int], None] | None = None,
    part_rows: int = PART_ROWS,
    workers: int | None = None,
    spared_cores: int = 0,
) -> dict[str, Any]:
    """Answer for every customer who is online and write the answers, see `serving.bulk.publish.publish`.

    What was killed goes on where it was, if features, models, settings and code are the same and less than a day has
    passed. Who is known to have left can no longer be kept and gets no answer, nor does who objects to being forecast;
    ``left`` and ``opposed`` are how many they are.

    Parameters
    ----------
    settings, workspace
        Of the business.
    on_progress
        Called with (customers done, customers in all).
    part_rows
        Customers a part: what a kill loses at most of each process.
    workers
        Processes; None: one a core, and this one alone for few customers.
    spared_cores
        How many cores are left to others where `workers` is None.

    Raises
    ------
    NotReadyError, RegistryError
        There are no features of the current load, or no champion that fits them.
    QualityError
        The newest load is not good enough, and nobody accepted it.
    """
    quality_verdict.require(workspace)
    if not (workspace.features / "rows.parquet").is_file():
        raise NotReadyError(f"no features in workspace '{workspace.root}': run `staycast features` first")
    quality_verdict.require_newest_features(workspace)
    champions = Champions.serving(workspace, settings)
    inputs = scoring_fingerprint(settings, workspace)
    with closing(OnlineFeatures(workspace)) as online:
        customers = Willing(online, persons_who_object(workspace))
        parts = Parts.begin(workspace.scoring, inputs, customers.ids, part_rows, datetime.now(UTC))
        aliases = load_alias_map(workspace.tables).aliases()
        writer = PartWriter(customers, champions, settings, aliases, parts, settings.serving.top_reasons, CHUNK_ROWS)
        few = len(parts.numbers) <= SMALL_PARTS
        count = workers or (1 if few else max(1, len(os.sched_getaffinity(0)) - spared_cores))
        if count == 1:
            write_all(writer, on_progress)
        else:
            write_all_in_processes(writer, workspace, count, on_progress)
    result = publish(parts, champions, settings, workspace)
    parts.remove()
    return {**result, "left": count_known_to_have_left(workspace.features), "opposed": customers.opposed}
