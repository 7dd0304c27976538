from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError
from serving.records.chain import Link
from serving.records.checkpoints import HEAD, LINES, PUBLIC_KEY, Checkpoints, load_checkpoints

KEY = bytes(range(32))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    made = Checkpoints(tmp_path / "outside", KEY)
    yield made
    made.close()


def link(position: int) -> Link:
    return Link(position, bytes([position % 256]) * 32)


def test_what_is_noted_and_added_is_read_back_the_head_last(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.note(link(5), 77)
    checkpoints.sign()
    checkpoints.add(link(3), 50, "erased")
    found = load_checkpoints(tmp_path / "outside")
    assert [(c.link, c.at, c.why) for c in found] == [(link(3), 50, "erased"), (link(5), 77, "head")]


def test_the_head_never_goes_back_whichever_process_notes_it(checkpoints: Checkpoints, tmp_path: Path) -> None:
    other = Checkpoints(tmp_path / "outside", KEY)
    other.note(link(9), 2)
    other.sign()
    checkpoints.note(link(8), 1)
    checkpoints.sign()
    assert load_checkpoints(tmp_path / "outside")[-1].position == 9
    other.close()


def test_a_note_waits_for_nobody(checkpoints: Checkpoints, tmp_path: Path) -> None:
    held = os.open(tmp_path / "outside" / HEAD, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    checkpoints.note(link(4), 1)
    checkpoints.sign()
    assert load_checkpoints(tmp_path / "outside") == []
    os.close(held)
    checkpoints.note(link(5), 1)
    checkpoints.sign()
    assert load_checkpoints(tmp_path / "outside")[-1].position == 5


def test_every_thousand_entries_a_checkpoint_stays(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for position in (999, 1000, 1001, 1999, 2003, 2500):
        checkpoints.note(link(position), position)
        checkpoints.sign()
    lines = (tmp_path / "outside" / LINES).read_text().splitlines()
    assert [json.loads(line)["position"] for line in lines] == [1000, 2003]


@pytest.mark.parametrize("file", [HEAD, LINES])
def test_what_was_changed_or_signed_by_another_is_refused(file: str, checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "outside"
    checkpoints.note(link(5), 1)
    checkpoints.sign()
    checkpoints.add(link(5), 1, "so far")
    other = base64.b64encode(bytes(32)).decode()
    with pytest.raises(ConfigError):
        load_checkpoints(folder, other)
    path = folder / file
    path.write_text(path.read_text().replace('"position":5', '"position":4'))
    with pytest.raises(ConfigError, match=r"entry 4 in .* has no valid signature"):
        load_checkpoints(folder)


@pytest.mark.parametrize("file", [HEAD, PUBLIC_KEY])
def test_a_file_that_is_missing_or_no_checkpoint_is_said_to_be(
    file: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "outside"
    checkpoints.note(link(5), 1)
    checkpoints.sign()
    (folder / file).write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_checkpoints(folder)
    (folder / file).unlink()
    with pytest.raises(ConfigError, match=f"missing: no file .*{file}"):
        load_checkpoints(folder)
