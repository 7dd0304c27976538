"""A season that two cycles show, though hardly any past moment with a known outcome knew it.

A season is known after two years of orders, and the first moment that knew one has an outcome a horizon later still. In
between no fold and no hold-out can judge it. It counts all the same: past moments, lent the season that the newest one
knows of their time of the year, say how much of each column models lack. That was learned from them among others, and
fits them better than it foretells, so as much of it counts as one year foretells the other (`features.seasons.index`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from configs.settings import Settings
from configs.workspace import Workspace
from features.seasons.curve import load_curve
from training.data.dataset import Dataset
from training.data.early_seasons import LEAST_DATES, lent_seasons
from training.data.split import AsOfs
from training.fit.boosters import SEASON_OF
from training.fit.level.season import index_of, moments_in_season, season_params
from training.fit.search import SearchResult
from training.model.bundle import Bundle


def with_lent_season(data: Dataset, workspace: Workspace) -> Dataset:
    """Labelled rows of values whose moments have the season that the newest one lends them; as they came elsewhere.

    That is where fewer than three of them knew a season, so that none can judge it, and the newest moment knows one.
    """
    if data.task != "clv" or data.by != "as_of" or len(moments_in_season(index_of(data.frame, data))) >= LEAST_DATES:
        return data
    lent = lent_seasons(load_curve(workspace.features), data.as_ofs)
    knows = any(name in lent and lent[name].any() for name in SEASON_OF["value"].values())
    return replace(data, lent=lent) if knows else data


def unjudged_season(
    data: Dataset, as_ofs: AsOfs, settings: Settings, agreement: Mapping[str, float]
) -> dict[str, float] | None:
    """How much of each column of a lent season counts; None: nothing is lent.

    Parameters
    ----------
    data, as_ofs
        The labelled rows, and the dates that may be learned from.
    settings
        Of the business.
    agreement
        By column how far one year foretells the other, within [0, 1].
    """
    if data.lent is None:
        return None
    columns, found = SEASON_OF["value"], season_params(data, as_ofs, settings)
    return {name: round(share * agreement.get(columns[name], 0.0), 2) for name, share in found.items()}


def in_season(result: SearchResult, season: Mapping[str, float] | None) -> SearchResult:
    """What a search chose, with so much of the season in place of what its folds knew; None: as it came."""
    if season is None:
        return result
    none = dict.fromkeys(SEASON_OF["value"], 0.0)
    members = (replace(member, params={**member.params, **none, **season}) for member in result.members)
    return replace(result, members=tuple(members))


def with_season_facts(bundle: Bundle, data: Dataset, season: Mapping[str, float] | None) -> Bundle:
    """The model that serves with what people are told of its season: known, and not helpful; not judged."""
    facts = {} if season is None else {"season_unjudged": True}
    known = season is not None or (data.by == "as_of" and not index_of(data.frame, data).empty)
    if known and not bundle.info.get("season"):
        facts["season"] = False
    return replace(bundle, info={**bundle.info, **facts})
