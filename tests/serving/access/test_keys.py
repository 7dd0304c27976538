"""Keys are shown once, hold until they are revoked or end, stand nowhere but as hashes; who did what is on record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from configs.errors import ConfigError
from serving.access.keys import ApiKeys, closed_mark
from tests.serving.access.clock import START, Clock


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Iterator[ApiKeys]:
    with ApiKeys(tmp_path / "access.db", clock, who="ada") as opened:
        yield opened


def states(keys: ApiKeys, clock: Clock) -> list[str]:
    return [key.state(clock()) for key in keys.all()]


def test_the_secret_stands_in_no_file_and_only_their_owner_reads_them(keys: ApiKeys, tmp_path: Path) -> None:
    _, key = keys.create("crm", "crm")
    secret = key.split("_", 2)[2].encode()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["access.closed", "access.db", "access.db-shm", "access.db-wal"]
    for path in tmp_path.iterdir():
        assert secret not in path.read_bytes() and path.stat().st_mode & 0o077 == 0


def test_files_that_others_could_read_are_closed_to_them(keys: ApiKeys, tmp_path: Path) -> None:
    files = [tmp_path / f"access.db{end}" for end in ("", "-wal", "-shm")]
    for path in files:
        path.chmod(0o644)
    with ApiKeys(tmp_path / "access.db"):
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_rotated_key_ends_after_its_grace_and_the_new_one_never(keys: ApiKeys, clock: Clock) -> None:
    keys.create("crm", "crm")
    keys.rotate("crm", grace_hours=2)
    assert states(keys, clock) == ["valid", "valid"]
    clock.now += timedelta(hours=2)
    assert sorted(states(keys, clock)) == ["expired", "valid"]


def test_a_key_that_was_to_end_is_rotated_into_one_that_ends_as_late_after_it(keys: ApiKeys, clock: Clock) -> None:
    keys.create("crm", "crm", days=30)
    clock.now += timedelta(days=10)
    rotated, _ = keys.rotate("crm")
    assert rotated.expires_at == clock.now + timedelta(days=30)


def test_a_rotation_that_is_cut_short_leaves_the_old_key_as_it_was(
    keys: ApiKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create("crm", "crm")
    before = keys.all()
    monkeypatch.setattr(keys, "_update", lambda *row: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        keys.rotate("crm")
    assert keys.all() == before


def test_whom_a_key_sees_stays_with_it_when_it_is_rotated(keys: ApiKeys) -> None:
    rows = frozenset({("branch", "north"), ("branch", "south")})
    keys.create("crm", "crm", rows=rows)
    keys.rotate("crm")
    assert [key.rows for key in keys.all()] == [rows, rows]


def test_revoking_a_rotated_key_ends_both(keys: ApiKeys, clock: Clock) -> None:
    keys.create("crm", "crm")
    keys.rotate("crm")
    keys.create("bi", "analyst")
    assert len(keys.revoke("crm")) == 2
    assert sorted(states(keys, clock)) == ["revoked", "revoked", "valid"]


def test_who_made_rotated_and_revoked_a_key_is_on_record(keys: ApiKeys, clock: Clock, tmp_path: Path) -> None:
    first, _ = keys.create("crm", "crm")
    clock.now += timedelta(days=1)
    with ApiKeys(tmp_path / "access.db", clock, who="bob") as other:
        second, _ = other.rotate("crm")
    clock.now += timedelta(hours=1)
    keys.revoke("crm")
    done = {key.key_id: [(c.what, c.by, c.at - START) for c in key.changes] for key in keys.all()}
    day, later = timedelta(days=1), timedelta(days=1, hours=1)
    assert done == {
        first.key_id: [("made", "ada", timedelta()), ("rotated", "bob", day), ("revoked", "ada", later)],
        second.key_id: [("made", "bob", day), ("revoked", "ada", later)],
    }


def test_keys_of_a_file_from_before_changes_were_recorded_are_still_known(tmp_path: Path) -> None:
    with ApiKeys(tmp_path / "access.db") as keys:
        keys.create("crm", "crm")
    with sqlite3.connect(tmp_path / "access.db") as old:
        old.execute("DROP TABLE key_changes")
    with ApiKeys(tmp_path / "access.db") as keys:
        assert [(key.name, key.changes) for key in keys.all()] == [("crm", ())]


@pytest.mark.parametrize(
    ("name", "role", "days", "said"),
    [
        ("", "crm", None, "1 to 64"),
        ("  ", "crm", None, "1 to 64"),
        (" crm", "crm", None, "1 to 64"),
        ("a\nb", "crm", None, "1 to 64"),
        ("crm\n", "crm", None, "1 to 64"),
        ("x" * 65, "crm", None, "1 to 64"),
        ("crm", "boss", None, "none of crm, analyst"),
        ("taken", "crm", None, "rotate"),
        ("crm", "crm", 99_999_999, "1 to 36500 days, not 99999999"),
        ("crm", "crm", 0, "1 to 36500 days"),
    ],
)
def test_a_key_that_cannot_be_made_says_why(keys: ApiKeys, name: str, role: str, days: int | None, said: str) -> None:
    keys.create("taken", "crm")
    with pytest.raises(ConfigError, match=said):
        keys.create(name, role, days)
    assert [key.name for key in keys.all()] == ["taken"]


@pytest.mark.parametrize("hours", [1e300, float("inf"), float("nan"), -1.0])
def test_a_grace_that_cannot_be_said_is_refused_and_changes_nothing(keys: ApiKeys, hours: float) -> None:
    keys.create("crm", "crm")
    before = keys.all()
    with pytest.raises(ConfigError, match="0 to 8784 hours more"):
        keys.rotate("crm", hours)
    assert keys.all() == before


@pytest.mark.parametrize("do", ["rotate", "revoke"])
def test_a_name_without_a_valid_key_is_said_with_those_there_are(keys: ApiKeys, do: str) -> None:
    keys.create("bi", "analyst")
    with pytest.raises(ConfigError, match="no valid key is named 'crm'; there are: bi"):
        getattr(keys, do)("crm")


@pytest.mark.parametrize("content", [b"no database at all, but text", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "access.db").write_bytes(content)
    with pytest.raises(ConfigError, match="put a copy back"):
        ApiKeys(tmp_path / "access.db")


def test_that_there_are_keys_is_put_down_beside_the_first(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    with ApiKeys(path) as keys:
        assert not closed_mark(path).exists()
        keys.create("crm", "crm")
    assert closed_mark(path).exists()
