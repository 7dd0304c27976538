from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.records import audit
from serving.records.checkpoints import HEAD, LINES
from serving.records.envelope import name_in
from serving.records.prediction_log import PredictionLog
from serving.replay import Witness

OpenLog = Callable[..., PredictionLog]
both = pytest.mark.parametrize("place", ["file", "database"], indirect=True)
Verdict = Callable[[Path], audit.Verdict]
START = datetime(2024, 3, 1, tzinfo=UTC)
SECOND = "person = (SELECT person FROM entries WHERE position = 2)"
DONE = [
    ("UPDATE entries SET at = at + 1 WHERE position = 4", 4, "not what was written"),
    ("UPDATE entries SET summary = zeroblob(1) WHERE position = 10", 10, "not what was written"),
    ("DELETE FROM entries WHERE position IN (4, 5)", 4, "entries 4 to 5 are missing"),
    ("DELETE FROM entries WHERE position > 7", 8, "cut off: entries 8 to 10 are missing"),
    ("DELETE FROM entries WHERE position < 3", 1, "not removed by age"),
    ("DELETE FROM entries", 1, "cut off: entries 1 to 10"),
    (f"DELETE FROM persons WHERE {SECOND}", 2, "its key is gone"),
    (f"UPDATE persons SET key = zeroblob(length(key)) WHERE {SECOND}", 2, "its key was changed"),
    (
        f"UPDATE persons SET key = (SELECT key FROM persons WHERE NOT {SECOND} LIMIT 1) WHERE {SECOND}",
        2,
        "key was changed",
    ),
    (f"UPDATE persons SET pseudonym = randomblob(32) WHERE {SECOND}", 2, "not found by its customer"),
]


@pytest.fixture(scope="module")
def answers(champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame) -> list[dict[str, Any]]:
    return score(customers.head(5), champions, settings, now, 1)


@pytest.fixture
def path(tmp_path: Path, answers: list[dict[str, Any]], open_log: OpenLog) -> Path:
    """A record of ten answers, one a day, of five customers."""
    with open_log(tmp_path / "p.db", clock=lambda: START) as log:
        for day in range(10):
            at = (START + timedelta(days=day)).isoformat()
            log.append([{**answers[day % 5], "scored_at": at, "prediction_id": f"day{day}"}])
    return tmp_path / "p.db"


@pytest.fixture
def tamper(path: Path, tell: Callable[..., list[Any]]) -> Callable[[str], Any]:
    return lambda statement: tell(path, statement)


@pytest.fixture
def verdict(open_log: OpenLog) -> Verdict:
    def told(path: Path) -> audit.Verdict:
        with open_log(path) as log:
            return audit.verify(log, path.parent / "records")

    return told


@both
def test_a_record_that_nobody_touched_is_whole(path: Path, verdict: Verdict) -> None:
    found = verdict(path)
    assert (found.faults, found.first, found.last, found.checkpoints) == ([], 1, 10, 1)


@pytest.mark.parametrize(("statement", "where", "what"), DONE)
def test_what_was_done_to_the_database_is_found_and_where(
    statement: str, where: int, what: str, path: Path, tamper: Callable[[str], Any], verdict: Verdict
) -> None:
    tamper(statement)
    fault = verdict(path).faults[0]
    assert what in fault.what
    assert fault.position == where


@pytest.mark.parametrize("place", ["database"], indirect=True)
def test_what_was_done_to_a_database_of_a_server_is_found_and_where(
    path: Path, tamper: Callable[[str], Any], open_log: OpenLog
) -> None:
    tamper("CREATE TABLE entries_before AS TABLE entries; CREATE TABLE persons_before AS TABLE persons")
    with open_log(path) as log:
        for statement, where, what in DONE:
            tamper(statement)
            fault = audit.verify(log, path.parent / "records").faults[0]
            assert what in fault.what
            assert fault.position == where
            tamper("TRUNCATE entries, persons; INSERT INTO entries TABLE entries_before")
            tamper("INSERT INTO persons TABLE persons_before")
        assert audit.verify(log, path.parent / "records").faults == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [("DELETE FROM contexts", "is gone"), ("UPDATE contexts SET sealed = zeroblob(length(sealed))", "was changed")],
)
def test_what_answers_share_cannot_go_or_change_unseen(
    statement: str,
    what: str,
    path: Path,
    tamper: Callable[[str], Any],
    answers: list[dict[str, Any]],
    champions: Champions,
    settings: Settings,
    customers: pd.DataFrame,
    verdict: Verdict,
    open_log: OpenLog,
) -> None:
    with open_log(path, clock=lambda: START) as log:
        log.append(Witness(settings)(answers, customers.head(5), champions, [1] * 5))
    assert verdict(path).faults == []
    tamper(statement)
    assert [(fault.position, fault.what) for fault in verdict(path).faults] == [
        (11, f"cannot be replayed: what it shares with others {what}")
    ]


@both
def test_two_entries_that_changed_places_are_found(path: Path, tamper: Callable[[str], Any], verdict: Verdict) -> None:
    for old, new in ((3, -1), (4, 3), (-1, 4)):
        tamper(f"UPDATE entries SET position = {new} WHERE position = {old}")
    assert [fault.position for fault in verdict(path).faults] == [3, 4, 5]


def test_without_valid_checkpoints_a_record_is_not_whole(path: Path, verdict: Verdict, open_log: OpenLog) -> None:
    head = path.parent / "records" / HEAD
    content = head.read_text()
    head.write_text(content.replace('"position":10', '"position":9'))
    assert "no valid signature" in verdict(path).faults[0].what
    with open_log(path) as log:
        assert "are missing" in audit.verify(log, path.parent / "nowhere").faults[0].what
    head.write_text(content)
    assert verdict(path).faults == []


@both
def test_what_is_too_old_is_removed_and_the_rest_is_whole_and_knows_it(
    path: Path, verdict: Verdict, open_log: OpenLog
) -> None:
    with open_log(path) as log:
        assert audit.prune(log, START + timedelta(days=14), 10) == 4
        assert audit.prune(log, START + timedelta(days=14), 10) == 0
        assert log.read()["prediction_id"].tolist() == [f"day{i}" for i in range(4, 10)]
        assert len(log.store.keys()) == 5
        assert audit.prune(log, START + timedelta(days=18), 10) == 4
        assert len(log.store.keys()) == 2
    found = verdict(path)
    assert (found.faults, found.first, found.last) == ([], 9, 12)


def test_where_everything_is_too_old_the_chain_goes_on_behind_it(
    path: Path, answers: list[dict[str, Any]], verdict: Verdict, open_log: OpenLog
) -> None:
    with open_log(path) as log:
        assert audit.prune(log, START + timedelta(days=400), 10) == 10
        assert log.read().empty
    assert (verdict(path).faults, verdict(path).first, verdict(path).last) == ([], 11, 11)
    with open_log(path) as log:
        log.append([{**answers[0], "prediction_id": "later"}])
    assert (verdict(path).faults, verdict(path).last) == ([], 12)


@pytest.mark.parametrize("gone", [[HEAD], [HEAD, LINES]], ids=["head", "all"])
def test_a_record_without_a_signed_head_is_not_called_whole(
    gone: list[str], path: Path, tamper: Callable[[str], Any], verdict: Verdict
) -> None:
    for file in gone:
        (path.parent / "records" / file).unlink(missing_ok=True)
    tamper("DELETE FROM entries WHERE position > 8")
    assert "no signed head" in verdict(path).faults[0].what


@both
def test_many_are_removed_in_parts_each_of_which_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, open_log: OpenLog
) -> None:
    monkeypatch.setattr(audit, "AT_ONCE", 2)
    with open_log(path) as log:
        assert audit.prune(log, START + timedelta(days=15), 10) == 5
    assert (verdict(path).faults, verdict(path).first) == ([], 6)
    assert len((path.parent / "records" / LINES).read_text().splitlines()) == 3


def test_an_answer_of_a_clock_that_was_ahead_keeps_those_behind_it_until_it_is_old_itself(
    path: Path, answers: list[dict[str, Any]], open_log: OpenLog
) -> None:
    with open_log(path) as log:
        assert audit.prune(log, START - timedelta(days=400), 10) == 0
        log.append([{**answers[0], "scored_at": "2024-01-01T00:00:00Z", "prediction_id": "behind"}])
        assert audit.prune(log, START + timedelta(days=12), 10) == 2
        assert "behind" in set(log.read()["prediction_id"])


def test_what_is_not_whole_is_not_removed(path: Path, tamper: Callable[[str], Any], open_log: OpenLog) -> None:
    tamper("UPDATE entries SET at = at - 1 WHERE position = 2")
    with open_log(path) as log, pytest.raises(ConfigError, match="not whole"):
        audit.prune(log, START + timedelta(days=20), 10)


@both
def test_a_rotation_changes_the_master_key_of_all_keys_and_no_entry(
    path: Path, answers: list[dict[str, Any]], verdict: Verdict, open_log: OpenLog
) -> None:
    master = path.parent / "records" / "master.key"
    old = master.read_text()
    with open_log(path) as log, open_log(path) as running:
        before = list(log.store.entries())
        names = {name_in(key) for key in log.store.keys().values()}
        assert audit.rotate(log) == 5
        assert list(log.store.entries())[:10] == before
        assert names.isdisjoint({name_in(key) for key in log.store.keys().values()})
        running.append([{**answers[0], "prediction_id": "by who began before", "customer_id": "new"}])
        running.append([{**answers[1], "prediction_id": "again"}])
    assert set(master.read_text().split()).isdisjoint(old.split())
    with open_log(path) as log:
        assert len(log.read()) == 12
    assert verdict(path).faults == []
    master.write_text(old)
    with pytest.raises(ConfigError, match="which is not in"):
        open_log(path)
