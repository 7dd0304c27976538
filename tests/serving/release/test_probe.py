"""What a malformed model does to a process, it does to a child."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from configs.errors import RegistryError
from serving.answer.champion import Champions
from serving.release.probe import answer, probe
from training.model.proof import manifest
from training.model.trees.forest import Forest


@pytest.fixture
def bundle(champions: Champions, tmp_path: Path) -> Path:
    return champions.churn.bundle.save(tmp_path / "bundle")


def malformed(folder: Path, line: str, by: str) -> str:
    """Trees that no LightGBM wrote, sealed anew: the hash is right."""
    trees = folder / "leave.txt"
    trees.write_text(re.sub(rf"(?m)^{line}=.*$", f"{line}={by}", trees.read_text("utf-8")), "utf-8")
    return manifest.seal(folder)


def test_a_good_model_passes_and_one_with_another_hash_does_not(bundle: Path) -> None:
    probe(bundle, manifest.verify(bundle))
    with pytest.raises(RegistryError, match=r"it failed: .*manifest\.json was altered"):
        probe(bundle, "0" * 64)


@pytest.mark.slow
def test_a_malformed_booster_with_a_right_hash_ends_a_child_and_not_this_process(bundle: Path) -> None:
    sealed = malformed(bundle, "left_child", "100000000 1 2 3 4 5")
    with pytest.raises(RegistryError, match=r"in a process of its own, it (crashed|failed)"):
        probe(bundle, sealed)


def test_one_that_does_not_answer_in_time_is_ended(bundle: Path) -> None:
    with pytest.raises(RegistryError, match=r"it did not answer in 0\.05 s"):
        probe(bundle, manifest.seal(bundle), timeout_seconds=0.05)


@pytest.mark.slow
def test_trees_that_lead_back_to_themselves_are_refused(bundle: Path) -> None:
    """Whether they crash, go on for ever, or are seen for what they are, it is in a process of its own."""
    malformed(bundle, "left_child", "0 0 0 0 0 0")
    malformed(bundle, "right_child", "0 0 0 0 0 0")
    with pytest.raises(RegistryError, match=r"it did not answer in 9 s|it crashed|a booster is damaged"):
        probe(bundle, manifest.seal(bundle), timeout_seconds=9)


def test_a_model_that_answers_a_customer_alone_otherwise_than_among_others_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Forest.scores
    monkeypatch.setattr(Forest, "scores", lambda forest, matrix: read(forest, matrix) + 1e-9)
    with pytest.raises(RegistryError, match="gives a customer alone"):
        answer(bundle, manifest.seal(bundle))


def test_what_gives_no_number_is_refused(champions: Champions, bundle: Path, tmp_path: Path) -> None:
    path = bundle / "bundle.json"
    path.write_text(path.read_text("utf-8").replace('"slope": 0.8', '"slope": NaN'), "utf-8")
    with pytest.raises(RegistryError, match="not a number"):
        answer(bundle, manifest.seal(bundle))
    shutil.rmtree(bundle)
