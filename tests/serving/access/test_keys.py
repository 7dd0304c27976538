"""Keys are shown once, hold until they are revoked or end, and stand nowhere but as hashes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import serving.access.keys
from configs.errors import ConfigError
from serving.access.keys import ApiKeys, KeyCheck
from serving.access.roles import Caller, NotAuthenticatedError

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Iterator[ApiKeys]:
    with ApiKeys(tmp_path / "access.db", clock) as opened:
        yield opened


@pytest.fixture
def check(keys: ApiKeys, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> KeyCheck:
    monkeypatch.setattr(serving.access.keys, "BELIEVED_SECONDS", 0.0)
    return KeyCheck(keys, clock)


def test_a_key_tells_its_name_and_role_and_a_changed_one_nothing(keys: ApiKeys, check: KeyCheck) -> None:
    _, secret = keys.create("crm of the shop", "crm")
    assert check(secret) == Caller("crm of the shop", "crm")
    for wrong in (secret[:-1], f"{secret}x", secret.replace(secret[-1], "!"), "staycast_", "staycast_a_b", "", "x"):
        with pytest.raises(NotAuthenticatedError, match="not known"):
            check(wrong)


def test_the_secret_stands_in_no_file(keys: ApiKeys, tmp_path: Path) -> None:
    _, key = keys.create("crm", "crm")
    secret = key.split("_", 2)[2].encode()
    files = list(tmp_path.iterdir())
    assert files and all(secret not in path.read_bytes() for path in files)
    assert (tmp_path / "access.db").stat().st_mode & 0o077 == 0


def test_a_revoked_key_is_refused_within_what_is_believed(keys: ApiKeys, check: KeyCheck) -> None:
    _, first = keys.create("crm", "crm")
    _, other = keys.create("bi", "analyst")
    assert [key.name for key in keys.revoke("crm")] == ["crm"]
    with pytest.raises(NotAuthenticatedError, match="revoked"):
        check(first)
    assert check(other).role == "analyst"


def test_a_rotated_key_holds_for_its_grace_and_the_new_one_from_now_on(
    keys: ApiKeys, check: KeyCheck, clock: Clock
) -> None:
    _, old = keys.create("crm", "crm", days=400)
    _, new = keys.rotate("crm", grace_hours=2)
    assert check(old) == check(new) == Caller("crm", "crm")
    clock.now += timedelta(hours=2)
    with pytest.raises(NotAuthenticatedError, match="expired"):
        check(old)
    assert check(new).name == "crm"


def test_a_key_that_was_to_end_is_rotated_into_one_that_ends_as_late_after_it(keys: ApiKeys, clock: Clock) -> None:
    keys.create("crm", "crm", days=30)
    clock.now += timedelta(days=10)
    rotated, _ = keys.rotate("crm")
    assert rotated.expires_at == clock.now + timedelta(days=30)


def test_revoking_a_rotated_key_ends_both(keys: ApiKeys, check: KeyCheck) -> None:
    _, old = keys.create("crm", "crm")
    _, new = keys.rotate("crm")
    assert len(keys.revoke("crm")) == 2
    for key in (old, new):
        with pytest.raises(NotAuthenticatedError, match="revoked"):
            check(key)
    assert check.any()


def test_a_key_ends_after_its_days(keys: ApiKeys, check: KeyCheck, clock: Clock) -> None:
    _, key = keys.create("crm", "crm", days=1)
    clock.now += timedelta(days=1) - timedelta(seconds=1)
    assert check(key).name == "crm"
    clock.now += timedelta(seconds=1)
    with pytest.raises(NotAuthenticatedError, match="expired"):
        check(key)
    assert check.any()


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [
        ("", "crm", "1 to 64"),
        ("a\nb", "crm", "1 to 64"),
        ("crm", "boss", "none of crm, analyst"),
        ("taken", "crm", "rotate"),
    ],
)
def test_a_key_that_cannot_be_made_says_why(keys: ApiKeys, name: str, role: str, said: str) -> None:
    keys.create("taken", "crm")
    with pytest.raises(ConfigError, match=said):
        keys.create(name, role)


@pytest.mark.parametrize("do", ["rotate", "revoke"])
def test_a_name_without_a_valid_key_is_said_with_those_there_are(keys: ApiKeys, do: str) -> None:
    keys.create("bi", "analyst")
    with pytest.raises(ConfigError, match="no valid key is named 'crm'; there are: bi"):
        getattr(keys, do)("crm")
