"""Every mutant still breaks a line that is there, and names tests that exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("mutants", ROOT / "tests" / "mutants" / "mutants.py")
assert spec is not None and spec.loader is not None
mutants = importlib.util.module_from_spec(spec)
__import__("sys").modules["mutants"] = mutants
spec.loader.exec_module(mutants)


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: f"{m.file}:{m.change.strip()[:40]}")
def test_a_mutant_changes_one_line_that_is_there_and_names_its_tests(mutant) -> None:
    content = (ROOT / mutant.file).read_text("utf-8")
    assert content.count(mutant.line) == 1
    compile(content.replace(mutant.line, mutant.change), mutant.file, "exec")
    assert all((ROOT / test).is_file() for test in mutant.tests)


def test_there_are_enough_of_them() -> None:
    assert len({(m.file, m.line, m.change) for m in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 47
