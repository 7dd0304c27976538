"""What the ledger decided serves; what an alias alone names does not, unless it may."""

from __future__ import annotations

import pytest

from configs.errors import DataError, RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.model.catalog import Version
from training.model.proof import ledger
from training.model.proof.decisions import decided


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> dict[str, Version]:
    """Three versions of churn, and the one that the alias names."""
    versions = {str(n): Version("churn", str(n), "run", (), {"manifest": f"hash-{n}"}) for n in (1, 2, 3)}
    at = {"churn": versions["1"]}
    monkeypatch.setattr(catalog, "champions", lambda workspace, tasks: (dict(at), {}))
    monkeypatch.setattr(catalog, "versions", lambda workspace, task: list(versions.values()))

    class Alias(dict[str, Version]):
        def __setitem__(self, task: str, number: str) -> None:  # type: ignore[override]
            at[task] = versions[number]

    return Alias()


def decide(workspace: Workspace, action: str, version: str, manifest: str = "") -> None:
    entry = ledger.Entry(
        action=action, model="churn", version=version, previous=None, by="ada", reason="r", manifest=manifest
    )
    ledger.append(workspace.ledger, entry)


def test_what_was_decided_and_is_named_serves_without_a_word(workspace: Workspace, named) -> None:
    decide(workspace, "promote", "1", "hash-1")
    decide(workspace, "reject", "2")
    found = decided(workspace, ["churn"])
    assert (found.versions["churn"].version, found.unserved, found.notices) == ("1", {}, {})


def test_an_alias_moved_by_hand_is_told_and_what_was_decided_serves(workspace: Workspace, named) -> None:
    decide(workspace, "promote", "1", "hash-1")
    decide(workspace, "promote", "2", "hash-2")
    decide(workspace, "rollback", "1", "hash-1")
    named["churn"] = "3"
    found = decided(workspace, ["churn"])
    assert found.versions["churn"].version == "1" and found.unserved == {}
    assert found.notices["churn"].startswith(
        "the alias 'champion' was moved to churn/3 outside the ledger: churn/1 ser"
    )
    may = decided(workspace, ["churn"], "serve")
    assert may.versions["churn"].version == "3" and "outside the ledger: it serves" in may.notices["churn"]


def test_while_a_decision_is_being_made_the_alias_that_follows_is_no_news(workspace: Workspace, named) -> None:
    decide(workspace, "promote", "2", "hash-2")
    workspace.decision.write_text("{}", "utf-8")
    found = decided(workspace, ["churn"])
    assert found.versions["churn"].version == "2" and found.notices == {}


def test_where_nothing_was_decided_nothing_serves(workspace: Workspace, named) -> None:
    found = decided(workspace, ["churn"])
    assert found.versions == {} and "churn/1 outside the ledger: it does not serve" in found.unserved["churn"]


def test_a_hash_that_is_not_the_ledgers_is_refused(workspace: Workspace, named) -> None:
    decide(workspace, "promote", "1", "hash-of-other-files")
    with pytest.raises(RegistryError, match=r"churn/1: the registry notes the hash hash-1… .*the ledger hash-of-othe…"):
        decided(workspace, ["churn"])


def test_a_broken_ledger_decides_nothing(workspace: Workspace, named) -> None:
    decide(workspace, "promote", "1")
    workspace.ledger.write_text("{}\n", "utf-8")
    with pytest.raises(DataError, match="broken at line 1"):
        decided(workspace, ["churn"])
