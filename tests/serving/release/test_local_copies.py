"""Copies of what served: whole, few, and no reason to stop where they cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from configs.workspace import Workspace
from serving.answer.champion import Champions, LoadedModel
from serving.release import local_copies
from serving.release.local_copies import KEPT, LocalCopies
from training.model.catalog import Version


def untried(folder: Path, sealed: str) -> None:
    """Nothing is tried."""


@pytest.fixture
def made(workspace: Workspace, champions: Champions) -> list[tuple[Version, LoadedModel]]:
    """Five versions of churn, as MLflow would lay them out."""
    out = []
    for number in range(1, 6):
        bundle = replace(champions.churn.bundle, info={"number": number})
        folder = workspace.mlruns / "artifacts" / f"m-{number}"
        from training.model.proof import manifest

        sealed = manifest.verify(bundle.save(folder / "artifacts" / "bundle"))
        address = f"{workspace.artifacts_uri}/m-{number}"
        version = Version("churn", str(number), "run", ("champion",), {"manifest": sealed}, address=address)
        out.append((version, LoadedModel.from_bundle(bundle, str(number), sealed)))
    return out


def test_the_last_that_served_is_found_and_few_older_ones_are_kept(
    workspace: Workspace, made: list[tuple[Version, LoadedModel]]
) -> None:
    copies = LocalCopies(workspace, untried)
    assert copies.last("churn") is None
    for version, model in made:
        assert copies.take(version).info == model.bundle.info
        copies.note([model])
    served, bundle = copies.last("churn") or pytest.fail("nothing is found")
    assert (served.version, bundle.info) == ("5", {"number": 5})
    assert len(list((workspace.state / "serving" / "churn").glob("[!.]*"))) == KEPT


def test_a_model_is_tried_once_and_anew_where_the_packages_are_others(
    workspace: Workspace, made: list[tuple[Version, LoadedModel]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []
    copies = LocalCopies(workspace, lambda folder, sealed: tried.append(folder))
    for _ in range(2):
        copies.take(made[0][0])
    assert len(tried) == 1 and made[0][0].address not in str(tried[0])
    monkeypatch.setattr(local_copies, "_environment", lambda: {"lightgbm": "another"})
    copies.take(made[0][0])
    assert len(tried) == 2


def test_a_disk_that_cannot_be_written_to_keeps_no_model_from_serving(
    workspace: Workspace, made: list[tuple[Version, LoadedModel]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    tried: list[Path] = []
    monkeypatch.setattr(local_copies, "replacing", full)
    copies = LocalCopies(workspace, lambda folder, sealed: tried.append(folder))
    assert copies.take(made[0][0]).info == {"number": 1} and len(tried) == 1
    monkeypatch.setattr(local_copies, "write_text", lambda path, text: full(path))
    copies.note([made[0][1]])
    assert copies.last("churn") is None
