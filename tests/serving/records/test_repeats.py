from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from serving.records import repeats
from serving.records.repeats import KEEP, Given, Key, RepeatLog


def key(text: str, caller: str = "key:crm", body: bytes = b"{}") -> Key:
    found = Key.of(text, caller, body)
    assert found is not None
    return found


@pytest.fixture
def log(tmp_path: Path) -> RepeatLog:
    return RepeatLog(tmp_path / "state" / "repeats.db", 1.0)


def test_a_key_is_of_one_caller_and_one_body(log: RepeatLog, now: datetime) -> None:
    log.keep(key("k"), ["a", "b"], [3], now)
    assert log.find(key("k"), now) == Given(key("k").body, ["a", "b"], [3])
    assert log.find(key("k", caller="key:other"), now) is None
    other = log.find(key("k", body=b"{} "), now)
    assert other is not None and other.body != key("k", body=b"{} ").body


def test_who_keeps_first_is_who_counts_whichever_process_it_is(log: RepeatLog, now: datetime, tmp_path: Path) -> None:
    others = [RepeatLog(tmp_path / "state" / "repeats.db", 5.0) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda n: others[n % 4].keep(key("k"), [f"id{n}"], [], now), range(40)))
    assert len({tuple(given.answers) for given in kept}) == 1 and log.find(key("k"), now) == kept[0]


def test_a_key_holds_for_a_day_and_is_then_free(log: RepeatLog, now: datetime) -> None:
    log.keep(key("k"), ["a"], [], now)
    assert log.find(key("k"), now + KEEP) is not None
    later = now + KEEP + timedelta(microseconds=1)
    assert log.find(key("k"), later) is None
    assert log.keep(key("k"), ["b"], [], later).answers == ["b"]
    log.forget(key("k"))
    assert log.find(key("k"), later) is None


def test_the_oldest_keys_go_where_there_are_too_many_answers(
    log: RepeatLog, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "MOST_ANSWERS", 10)
    monkeypatch.setattr(repeats, "PRUNED_EVERY", 1)
    for place in range(30):
        log.keep(key(f"k{place}"), ["a", "b"], [], now + timedelta(seconds=place))
    left = [place for place in range(30) if log.find(key(f"k{place}"), now + timedelta(seconds=30))]
    assert left == [24, 25, 26, 27, 28, 29]  # five of two answers each, and the one that came after the last look


def test_neither_key_nor_body_can_be_read_from_the_file(log: RepeatLog, now: datetime, tmp_path: Path) -> None:
    log.keep(key("secret-key-1", body=b'{"customer_id": "jane"}'), ["a"], [], now)
    log.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"repeats" in content and b"secret" not in content and b"jane" not in content and b"crm" not in content


@pytest.mark.parametrize("text", ["", '"', '""', '"a', 'a"', "a b", "ä", "x" * 256, '"a\\b"', "a\tb", '"a" "b"'])
def test_what_is_no_key_is_none(text: str) -> None:
    assert Key.of(text, "crm", b"") is None
