from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from configs.errors import ConfigError
from serving.records.envelope import DataKey, MasterKeys, name_in, new_key


def made(folder: Path) -> MasterKeys:
    masters = MasterKeys(folder / "records" / "master.key")
    masters.create()
    return masters


def test_what_is_sealed_is_aes_256_gcm_behind_its_nonce() -> None:
    key = new_key()
    sealed = DataKey(key).seal(b"Spent 12 EUR", b"answer 1")
    assert len(key) == 32
    assert AESGCM(key).decrypt(sealed[:12], sealed[12:], b"answer 1") == b"Spent 12 EUR"
    assert DataKey(key).seal(b"Spent 12 EUR", b"answer 1") != sealed


@pytest.mark.parametrize("changed", ["byte", "about", "key"])
def test_what_was_changed_moved_or_sealed_with_another_key_does_not_open(changed: str) -> None:
    key = DataKey(new_key())
    sealed = key.seal(b"text", b"answer 1")
    assert key.open(sealed, b"answer 1") == b"text"
    if changed == "byte":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    other = DataKey(new_key()) if changed == "key" else key
    with pytest.raises(InvalidTag):
        other.open(sealed, b"answer 2" if changed == "about" else b"answer 1")


def test_a_master_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "records" / "master.key"
    with ThreadPoolExecutor(8) as pool:
        masters = list(pool.map(lambda _: made(tmp_path), range(8)))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len({one.newest for one in masters}) == 1
    assert [p.name for p in file.parent.iterdir()] == ["master.key"]


def test_a_data_key_is_unwrapped_by_who_has_the_master_key_and_by_nobody_else(tmp_path: Path) -> None:
    masters, key = made(tmp_path / "a"), new_key()
    wrapped = masters.wrap(key, masters.newest)
    assert key not in wrapped
    assert MasterKeys(tmp_path / "a" / "records" / "master.key").unwrap(wrapped) == key
    with pytest.raises(ConfigError, match=f"master key {name_in(wrapped).hex()}, which is not in"):
        made(tmp_path / "b").unwrap(wrapped)


def test_a_rotation_by_another_process_is_noticed_and_the_old_key_goes_when_it_is_done(tmp_path: Path) -> None:
    running, rotating = made(tmp_path), MasterKeys(tmp_path / "records" / "master.key")
    old = running.wrap(new_key(), running.newest)
    rotating.add()
    key = new_key()
    new = rotating.wrap(key, rotating.newest)
    assert name_in(new) != name_in(old)
    assert running.unwrap(new) == key
    assert len(rotating.unwrap(old)) == 32
    rotating.drop_old()
    assert stat.S_IMODE((tmp_path / "records" / "master.key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError):
        MasterKeys(tmp_path / "records" / "master.key").unwrap(old)


def test_a_variable_holds_the_keys_the_newest_first_and_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    masters = MasterKeys(tmp_path / "master.key", "STAYCAST_TEST_KEY")
    with pytest.raises(ConfigError, match="STAYCAST_TEST_KEY: restore"):
        masters.newest  # noqa: B018
    monkeypatch.setenv("STAYCAST_TEST_KEY", first)
    old = masters.newest
    monkeypatch.setenv("STAYCAST_TEST_KEY", f"{second},{first}")
    assert masters.newest != old
    masters.create()
    masters.add()
    masters.drop_old()
    assert len(masters.unwrap(masters.wrap(new_key(), old))) == 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"too short").decode(), "ä"])
def test_what_is_no_key_is_said_to_be_none_and_not_repeated(text: str, tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="holds no master key") as refused:
        MasterKeys(file).newest  # noqa: B018
    assert not text or text not in str(refused.value)
