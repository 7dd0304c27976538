"""The promotion ledger: it only grows, shows where it was touched, and knows the way back."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from training.model.proof import ledger
from training.model.proof.ledger import Entry, append, champions, champions_since, previous_champion, read, to_dict

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def entry(action="promote", version="1", model="churn", **more):
    result = {"previous": None, "by": "ana", "reason": "better than the champion", "at": NOON}
    return Entry(action=action, model=model, version=version, **(result | more))


def written(path, *entries):
    for single in entries:
        append(path, single)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records" / "ledger.jsonl"


def test_entry_is_read_back_as_written(path):
    checks = ({"name": "min_auc", "value": 0.8, "limit": 0.6, "passed": True, "text": "AUC 0.8 is at least 0.6"},)
    record = append(path, entry(previous="3", checks=checks, reason="größer"))
    assert read(path) == [record]
    assert (record.entry, record.version, record.previous, record.checks) == (1, "1", "3", checks)
    assert (record.at, record.reason, record.previous_sha256) == (NOON, "größer", "0" * 64)


def test_line_holds_what_the_reviewer_needs_and_nothing_else(path):
    line = json.loads(written(path, entry()).read_text())
    assert list(line) == [
        "entry", "action", "model", "version", "previous", "by", "reason", "checks", "manifest", "at",
        "previous_sha256",
    ]  # fmt: skip
    assert line["at"] == "2024-05-01T12:00:00.000000Z"


def test_each_line_carries_the_hash_of_the_one_before(path):
    lines = written(path, entry(), entry(version="2"), entry(version="3")).read_bytes().splitlines()
    for before, after in pairwise(lines):
        assert json.loads(after)["previous_sha256"] == sha256(before).hexdigest()
    assert [record.sha256 for record in read(path)] == [sha256(line).hexdigest() for line in lines]


def test_no_ledger_yet_is_an_empty_one(path):
    assert read(path) == [] and champions(path, "churn") == [] and previous_champion(path, "churn") is None


def test_times_are_kept_in_utc(path):
    append(path, entry(at=datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))))
    assert read(path)[0].at == NOON and read(path)[0].at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("broken", [0, 1])
def test_changed_line_is_found_at_the_next_one(path, broken):
    written(path, entry(), entry(version="2"), entry(version="3"))
    lines = path.read_text().splitlines(keepends=True)
    lines[broken] = lines[broken].replace("ana", "eva")
    path.write_text("".join(lines))
    with pytest.raises(DataError, match=rf"broken at line {broken + 2}: it follows a line with hash"):
        read(path)


@pytest.mark.parametrize(("kept", "line"), [([1, 2], 1), ([0, 2], 2), ([0, 2, 1], 2), ([0, 0, 1, 2], 2)])
def test_line_that_was_removed_moved_or_repeated_is_named(path, kept, line):
    written(path, entry(), entry(version="2"), entry(version="3"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[i] for i in kept))
    with pytest.raises(DataError, match=f"broken at line {line}"):
        read(path)


@pytest.mark.parametrize("junk", ["not json", "[]", "{}", '{"entry": 1}', ""])
def test_line_that_is_no_entry_is_named(path, junk):
    written(path, entry())
    path.write_text(path.read_text() + junk + "\n")
    with pytest.raises(DataError, match=r"broken at line 2: it is not an entry"):
        read(path)


def test_wrong_number_is_named(path):
    line = json.loads(written(path, entry()).read_text())
    path.write_text(json.dumps(line | {"entry": 7}) + "\n")
    with pytest.raises(DataError, match="broken at line 1: it says it is entry 7"):
        read(path)


def test_line_cut_short_is_named_and_nothing_is_written_after_it(path):
    written(path, entry(), entry(version="2"))
    cut = path.read_bytes()[:-20]
    path.write_bytes(cut)
    for touch in (read, lambda p: append(p, entry(version="3"))):
        with pytest.raises(DataError, match=r"broken at line 2: it has no line end.*remove that line"):
            touch(path)
    assert path.read_bytes() == cut


def test_broken_ledger_is_not_added_to(path):
    written(path, entry(), entry(version="2"))
    path.write_text(path.read_text().replace("ana", "eva", 1))
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 2"):
        append(path, entry(version="3"))
    assert path.read_bytes() == before


def test_writers_at_the_same_time_take_turns(path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda v: append(path, entry(version=str(v))), range(40)))
    records = read(path)
    assert [record.entry for record in records] == list(range(1, 41))
    assert {record.version for record in records} == {str(v) for v in range(40)}


def test_earlier_lines_are_never_touched(path):
    before = written(path, entry()).read_bytes()
    assert written(path, entry(version="2")).read_bytes().startswith(before)


def test_write_that_is_done_in_parts_is_finished(path, monkeypatch):
    whole = ledger.os.write
    monkeypatch.setattr(ledger.os, "write", lambda file, data: whole(file, data[:7]))
    append(path, entry())
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"action": "delete"}, "unknown action 'delete'; use one of promote, reject, rollback"),
        ({"at": datetime(2024, 5, 1)}, "no time zone"),
        ({"by": " "}, "'by' must be a text"),
        ({"version": 3}, "'version' must be a text that is not empty, got 3"),
    ],
)
def test_entry_that_could_not_be_read_back_is_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        entry(**wrong)


def test_check_that_json_cannot_hold_is_refused_before_anything_is_written(path):
    with pytest.raises(DataError, match="checks of churn/1 are not JSON"):
        append(path, entry(checks=({"value": float("nan")},)))
    assert read(path) == []


def test_record_becomes_strict_json(path):
    content = json.loads(json.dumps(to_dict(append(path, entry())), allow_nan=False))
    assert content["entry"] == 1 and content["at"] == "2024-05-01T12:00:00.000000Z" and len(content["sha256"]) == 64


def test_rolling_back_twice_goes_further_back_and_not_to_and_fro(path):
    written(path, entry(version="1"), entry(version="2"), entry(version="3"))
    assert previous_champion(path, "churn") == "2"
    written(path, entry("rollback", "2", previous="3"))
    assert (champions(path, "churn")[-1], previous_champion(path, "churn")) == ("2", "1")
    written(path, entry("rollback", "1", previous="2"))
    assert (champions(path, "churn"), previous_champion(path, "churn")) == (["1"], None)


def test_promotion_after_a_rollback_returns_to_what_was_rolled_back_to(path):
    written(path, entry(version="1"), entry(version="2"), entry("rollback", "1"), entry(version="3"))
    assert previous_champion(path, "churn") == "1"


def test_rejections_and_other_models_change_nothing(path):
    written(path, entry(version="1"), entry("reject", "2"), entry(version="9", model="clv"), entry(version="3"))
    assert champions(path, "churn") == ["1", "3"] and champions(path, "clv") == ["9"]


def test_promoting_the_champion_again_adds_nothing(path):
    written(path, entry(version="1"), entry(version="2"), entry(version="2"))
    assert previous_champion(path, "churn") == "1"


def test_rollback_to_a_version_named_by_hand(path):
    written(path, entry(version="1"), entry(version="2"), entry(version="3"), entry("rollback", "1"))
    assert champions(path, "churn") == ["1"]
    written(path, entry("rollback", "3"))
    assert champions(path, "churn") == ["1", "3"]


@given(st.integers(1, 6), st.integers(1, 8))
def test_rollbacks_end_at_the_first_version(tmp_path_factory, promotions, rollbacks):
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    written(path, *(entry(version=str(v)) for v in range(1, promotions + 1)))
    for _ in range(rollbacks):
        target = previous_champion(path, "churn")
        if target:
            append(path, entry("rollback", target))
    assert champions(path, "churn")[-1] == str(max(1, promotions - rollbacks))


def test_champions_of_a_year_are_those_in_charge_within_it_but_none_that_was_rolled_back(path):
    months = [NOON - timedelta(days=30 * n) for n in (20, 14, 10, 5, 4, 1)]
    first, second, third, fourth = (entry(version=str(i), at=at) for i, at in zip((1, 2, 3, 4), months, strict=False))
    written(path, first, second, third, fourth, entry("rollback", "3", at=months[4]), entry(version="5", at=months[5]))
    assert champions_since(path, "churn", NOON - timedelta(days=365)) == ["2", "3", "5"]
    assert champions_since(path, "churn", NOON) == ["5"] and champions_since(path, "clv", NOON) == []
