"""Which release runs follows from the ledger alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from configs.workspace import Workspace
from training.model import catalog
from training.model.catalog import Version
from training.model.proof import ledger
from training.model.proof.releases import ID_LENGTH, all_releases, moved_aliases, running, to_dict


def decide(workspace: Workspace, action: str, version: str, model: str = "churn", **more: Any) -> ledger.Record:
    words = {"previous": "1", "by": "ada", "reason": "try it", "manifest": f"hash-{version}"}
    return ledger.append(workspace.ledger, ledger.Entry(action=action, model=model, version=version, **(words | more)))


def now(workspace: Workspace) -> dict[str, tuple[str, str, float]]:
    found = running(ledger.read(workspace.ledger))
    return {task: (r.version, r.kind, r.percent) for task, r in found.items()}


def test_a_release_begins_grows_under_its_id_and_ends_with_a_stop(workspace: Workspace) -> None:
    assert now(workspace) == {}
    first = decide(workspace, "shadow", "2")
    canary = decide(workspace, "canary", "2", percent=5.0, by="ben", reason="the shadow is well")
    last = decide(workspace, "canary", "2", percent=20.0)
    (release,) = running(ledger.read(workspace.ledger)).values()
    assert (release.kind, release.percent, release.champion, release.manifest) == ("canary", 20.0, "1", "hash-2")
    assert release.id == first.sha256[:ID_LENGTH]
    assert (release.began_at, release.since, release.changed_at) == (first.at, canary.at, last.at)
    end = decide(workspace, "stop", "2")
    assert now(workspace) == {}
    (ended,) = all_releases(ledger.read(workspace.ledger))
    assert (ended.id, ended.percent, ended.ended_at, ended.ended) == (release.id, 20.0, end.at, "stop")
    again = decide(workspace, "canary", "2", percent=20.0)
    assert running(ledger.read(workspace.ledger))["churn"].id == again.sha256[:ID_LENGTH] != release.id


@pytest.mark.parametrize("ends", ["promote", "rollback"])
def test_the_next_decision_on_the_champion_ends_it_and_no_other_does(workspace: Workspace, ends: str) -> None:
    decide(workspace, "canary", "2", percent=5.0)
    decide(workspace, "shadow", "7", "clv")
    decide(workspace, "reject", "3")
    decide(workspace, "accept_leaks", "2")
    assert now(workspace) == {"churn": ("2", "canary", 5.0), "clv": ("7", "shadow", 0.0)}
    decide(workspace, ends, "3")
    assert now(workspace) == {"clv": ("7", "shadow", 0.0)}


def test_a_release_can_be_told_as_json_without_the_hash_of_its_files(workspace: Workspace) -> None:
    decide(workspace, "canary", "2", percent=5.0)
    (release,) = running(ledger.read(workspace.ledger)).values()
    told = json.loads(json.dumps(to_dict(release)))
    assert told["began_at"].endswith("Z") and (told["percent"], told["by"]) == (5.0, "ada") and "manifest" not in told
    assert str(release) == "canary churn/2 at 5 %"


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ({"2": ("canary",)}, ""),
        ({"3": ("canary",)}, "the alias 'canary' was moved to churn/3 outside the ledger: the release goes on"),
        ({}, "the alias 'canary' was taken from churn/2 outside the ledger: the release goes on"),
        ({"2": ("canary", "shadow")}, "the alias 'shadow' was set on churn/2 outside the ledger: nobody is answered"),
    ],
)
def test_an_alias_that_is_not_where_the_ledger_says_is_told_of(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, aliases: dict[str, tuple[str, ...]], said: str
) -> None:
    known = [Version("churn", n, "run", aliases.get(n, ()), {}) for n in ("1", "2", "3")]
    monkeypatch.setattr(catalog, "versions", lambda workspace, task: known)
    decide(workspace, "canary", "2", percent=5.0)
    releases = running(ledger.read(workspace.ledger))
    told = moved_aliases(workspace, ["churn"], releases)
    assert told.get("churn", "").startswith(said) and bool(told) == bool(said)
    workspace.decision.write_text("{}", "utf-8")
    assert moved_aliases(workspace, ["churn"], releases) == {}
