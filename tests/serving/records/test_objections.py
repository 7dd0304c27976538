from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.workspace import Workspace
from features.people.suppression_list import suppress
from serving.records.objections import TABLE, Objection, ObjectionLog, Objections, persons_who_object

NOW = datetime(2024, 3, 1, tzinfo=UTC)
ADD, WITHDRAW = True, False


def tell(objections: Objections, *told: tuple[str, bool]) -> list[str]:
    return list(objections.take([Objection(i, objects) for i, objects in told], "key:crm", NOW))


def link(workspace: Workspace, alias: str, person: str) -> None:
    workspace.tables.mkdir(parents=True, exist_ok=True)
    row = {"customer_id": [person], "alias": [alias], "seen_at": [pd.Timestamp("2024-01-01")]}
    pd.DataFrame(row).to_parquet(workspace.tables / "identities.parquet", index=False)


def test_who_objects_is_known_from_the_acknowledgement_on_to_every_process_until_it_is_withdrawn(
    workspace: Workspace,
) -> None:
    with closing(Objections(workspace)) as one, closing(Objections(workspace)) as other:
        assert other.among(["ann", "bob"]) == set()
        assert tell(one, ("ann", ADD), ("cid", ADD), ("ann", ADD)) == ["accepted", "accepted", "known"]
        assert one.among(["ann", "bob"]) == other.among(["ann", "bob"]) == {"ann"}
        assert tell(other, ("ann", WITHDRAW), ("bob", WITHDRAW)) == ["accepted", "known"]
        assert one.among(["ann", "bob", "cid"]) == {"cid"}
    assert persons_who_object(workspace) == {"cid"}


def test_all_that_was_told_is_kept_with_when_and_by_whom(workspace: Workspace) -> None:
    with closing(Objections(workspace)) as objections:
        assert objections.history() == []
        tell(objections, ("ann", ADD), ("ann", WITHDRAW))
        common = {"customer_id": "ann", "at": "2024-03-01T00:00:00+00:00", "by": "key:crm"}
        assert objections.history() == [{**common, "objects": True}, {**common, "objects": False}]


def test_an_objection_is_of_the_person_by_whichever_id(workspace: Workspace) -> None:
    link(workspace, "web-7", "ann")
    with closing(Objections(workspace)) as objections:
        tell(objections, (" web-7 ", ADD))
        assert objections.persons() == {"ann"}
        assert objections.among(["ann", "web-7", "bob"]) == {"ann", "web-7"}
        assert tell(objections, ("ann", ADD)) == ["known"]
        assert tell(objections, ("ann", WITHDRAW)) == ["accepted"]
        assert objections.among(["ann", "web-7"]) == set()


def test_an_id_that_is_found_to_be_an_alias_later_objects_for_its_person(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.records.objections.ALIASES_SECONDS", 0.0)
    with closing(Objections(workspace)) as objections:
        tell(objections, ("web-7", ADD))
        assert objections.among(["ann"]) == set()
        link(workspace, "web-7", "ann")
        assert objections.among(["ann"]) == {"ann"}


def test_nobody_is_kept_who_was_erased_and_erasing_removes_the_rows(workspace: Workspace, tmp_path: Path) -> None:
    with closing(Objections(workspace)) as objections:
        tell(objections, ("ann", ADD), ("bob", ADD))
        suppress(workspace, ["ann"])
        with pytest.raises(ConfigError, match="erased"):
            tell(objections, ("bob", WITHDRAW), ("ann", ADD))
        assert objections.persons() == {"ann", "bob"}
    with ObjectionLog(workspace.objections) as log:
        assert log.erase(TABLE, ["ann"]) == 1
    assert persons_who_object(workspace) == {"bob"}


def test_objections_that_cannot_be_written_are_none(workspace: Workspace) -> None:
    with closing(Objections(workspace, busy_seconds=0.02)) as objections:
        tell(objections, ("ann", ADD))
        with closing(sqlite3.connect(workspace.objections, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                tell(objections, ("bob", ADD))
            assert objections.persons() == {"ann"}
            other.execute("ROLLBACK")
