"""What releases that run, and the last that ended, showed: gathered from the ledger, the record of answers and beside.

The record of answers is what tells of answers: of all workers and over restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pandas as pd

from configs.workspace import Workspace
from features.people.identity import load_alias_map
from serving.records.evidence import Answers
from serving.records.outcome_log import OutcomeLog
from serving.release.comparison import compare
from serving.release.observations import Observations
from training.model.proof import ledger
from training.model.proof.releases import Release, all_releases, to_dict

ENDED = 3  # of those that ended, so many
MOST_ANSWERS = 20_000  # the newest of a release that are read: half a second's work
TELLING = ("left", "kept")  # of outcomes
NO_SHADOW = pd.DataFrame({"prediction_id": pd.Series(dtype=object), "champion": [], "shadow": []})
NO_OUTCOMES = pd.DataFrame(
    {
        "customer_id": pd.Series(dtype=object),
        "outcome": pd.Series(dtype=object),
        "happened_at": pd.Series(dtype="datetime64[us, UTC]"),
    }
)


def newest_releases(workspace: Workspace) -> list[Release]:
    """Those that run, and the last that ended, the newest first.

    Raises
    ------
    DataError
        The ledger is broken.
    """
    found = all_releases(ledger.read(workspace.ledger))[::-1]
    ended = [release for release in found if release.ended_at is not None][:ENDED]
    return [release for release in found if release.ended_at is None or release in ended]


def status(
    workspace: Workspace, answers: Answers, notices: Mapping[str, str] | None = None, most: int = MOST_ANSWERS
) -> list[dict[str, Any]]:
    """What the `newest_releases` showed, as JSON can hold it, see `serving.release.comparison.compare`.

    Parameters
    ----------
    workspace
        Of the business.
    answers
        Its record of answers.
    notices
        By model, what is to be known of it, see `serving.answer.champion.Champions.notices`.
    most
        How many answers of a release are read, the newest.
    """
    releases = newest_releases(workspace)
    if not releases:
        return []
    outcomes = _outcomes(workspace)
    observations = Observations(workspace.releases) if workspace.releases.is_file() else None
    try:
        return [_told(release, answers, observations, outcomes, notices or {}, most) for release in releases]
    finally:
        if observations is not None:
            observations.close()


def _told(
    release: Release,
    answers: Answers,
    observations: Observations | None,
    outcomes: pd.DataFrame,
    notices: Mapping[str, str],
    most: int,
) -> dict[str, Any]:
    given = answers.read(start=release.since, end=release.ended_at, newest=most)
    counts = observations.counts(release.id) if observations else {}
    shadow = observations.scores(release.id) if observations else NO_SHADOW
    notice = notices.get(release.model, "") if release.ended_at is None else ""
    found = compare(release, given, counts, shadow, outcomes)
    return {
        **to_dict(release),
        "of_newest": most if len(given) == most else None,
        "notice": notice,
        **found,
    }


def _outcomes(workspace: Workspace) -> pd.DataFrame:
    """Who left and who was kept, as the CRM told, by person, oldest first."""
    if not workspace.outcomes.is_file():
        return NO_OUTCOMES
    with closing(OutcomeLog(workspace.outcomes)) as log:
        found = log.read()
    found = found[found["outcome"].isin(TELLING)]
    return found.assign(customer_id=load_alias_map(workspace.tables).of(found["customer_id"]))[list(NO_OUTCOMES)]
