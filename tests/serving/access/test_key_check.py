"""A key is known as its file says now; a damaged or missing one lets nobody in, one put back does again."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

import serving.access.key_check
from serving.access.key_check import KeyCheck
from serving.access.keys import ApiKeys
from serving.access.roles import AccessUnavailableError, Caller, NotAuthenticatedError
from tests.serving.access.clock import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.db"


@pytest.fixture
def keys(path: Path, clock: Clock) -> ApiKeys:
    return ApiKeys(path, clock)


@pytest.fixture
def check(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> KeyCheck:
    monkeypatch.setattr(serving.access.key_check, "BELIEVED_SECONDS", 0.0)
    return KeyCheck(path, clock)


def test_a_key_tells_its_name_and_role_and_a_changed_one_nothing(keys: ApiKeys, check: KeyCheck) -> None:
    _, secret = keys.create("crm of the shop", "crm")
    assert check(secret) == Caller("crm of the shop", "crm", "key")
    for wrong in (secret[:-1], f"{secret}x", secret.replace(secret[-1], "!"), "staycast_", "staycast_a_b", "", "x"):
        with pytest.raises(NotAuthenticatedError, match="not known"):
            check(wrong)


def test_a_revoked_key_is_refused_within_what_is_believed(keys: ApiKeys, check: KeyCheck) -> None:
    _, first = keys.create("crm", "crm")
    _, other = keys.create("bi", "analyst")
    assert check(first).name == "crm"
    assert [key.name for key in keys.revoke("crm")] == ["crm"]
    with pytest.raises(NotAuthenticatedError, match="revoked"):
        check(first)
    assert check(other).role == "analyst" and check.is_closed()


def test_a_rotated_key_holds_for_its_grace_and_the_new_one_from_now_on(
    keys: ApiKeys, check: KeyCheck, clock: Clock
) -> None:
    _, old = keys.create("crm", "crm", days=400)
    _, new = keys.rotate("crm", grace_hours=2)
    assert check(old) == check(new) == Caller("crm", "crm", "key")
    clock.now += timedelta(hours=2)
    with pytest.raises(NotAuthenticatedError, match="expired"):
        check(old)
    assert check(new).name == "crm"


def test_a_key_ends_after_its_days(keys: ApiKeys, check: KeyCheck, clock: Clock) -> None:
    _, key = keys.create("crm", "crm", days=1)
    clock.now += timedelta(days=1) - timedelta(seconds=1)
    assert check(key).name == "crm"
    clock.now += timedelta(seconds=1)
    with pytest.raises(NotAuthenticatedError, match="expired"):
        check(key)
    assert check.is_closed()


def test_without_a_file_the_service_is_open_and_none_is_made(check: KeyCheck, path: Path) -> None:
    assert not check.is_closed() and not path.exists()
    check.require_readable()
    with pytest.raises(NotAuthenticatedError):
        check("staycast_a_b")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_file_that_is_gone_lets_nobody_in_and_one_put_back_lets_in_again(
    keys: ApiKeys, check: KeyCheck, path: Path, clock: Clock, restarted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = keys.create("crm", "crm")
    keys.close()
    assert check(secret).name == "crm"
    path.rename(path.with_name("kept.db"))
    check = KeyCheck(path, clock) if restarted else check
    assert check.is_closed()
    for _ in range(2):
        with pytest.raises(AccessUnavailableError):
            check(secret)
    assert caplog.text.count("is gone: put a copy back") == 1
    shutil.copy(path.with_name("kept.db"), path)
    assert check(secret).name == "crm"


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_lets_nobody_in_says_why_and_heals(
    keys: ApiKeys,
    check: KeyCheck,
    path: Path,
    clock: Clock,
    restarted: bool,
    damage: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, secret = keys.create("crm", "crm")
    keys.close()
    good = path.read_bytes()
    assert check(secret).name == "crm"
    path.write_bytes(damage)
    check = KeyCheck(path, clock) if restarted else check
    assert check.is_closed()
    with pytest.raises((AccessUnavailableError, NotAuthenticatedError)):
        check(secret)
    assert not damage or "put a copy back" in caplog.text
    path.write_bytes(good)
    assert check(secret).name == "crm"


def test_a_file_of_others_in_its_place_is_noticed(keys: ApiKeys, check: KeyCheck, path: Path, tmp_path: Path) -> None:
    _, secret = keys.create("crm", "crm")
    keys.close()
    assert check(secret).name == "crm"
    with ApiKeys(tmp_path / "other.db") as others:
        _, theirs = others.create("bi", "analyst")
    (tmp_path / "other.db").replace(path)
    assert check(theirs).name == "bi"
    with pytest.raises(NotAuthenticatedError):
        check(secret)


def test_a_file_that_has_not_changed_is_not_read_again(
    keys: ApiKeys, check: KeyCheck, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = keys.create("crm", "crm")
    keys.close()
    os.utime(path, (1e9, 1e9))
    assert check(secret).name == "crm"
    monkeypatch.setattr(serving.access.key_check, "ApiKeys", lambda *a, **k: pytest.fail("read again"))
    assert check(secret).name == "crm"
