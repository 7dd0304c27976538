from __future__ import annotations

import json
import sys
from importlib.metadata import version

from training.registry.environment import code_version, differences, environment

NAMES = ("lightgbm", "numpy", "optuna", "pandas")


def test_the_environment_names_interpreter_code_and_every_package() -> None:
    result = environment()
    assert result["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {name: result["packages"][name] for name in NAMES} == {name: version(name) for name in NAMES}
    assert result["processors"] > 0 and len(result["code"]) == 16
    assert json.loads(json.dumps(result)) == result


def test_nothing_differs_from_itself() -> None:
    assert differences(environment(), environment()) == []


def test_a_package_that_came_changed_or_went_is_one_line_each() -> None:
    then = {"python": "3.11.1", "packages": {"a": "1", "b": "1"}, "packages_hash": "x"}
    now = {"python": "3.11.2", "packages": {"b": "2", "c": "3"}, "packages_hash": "y"}
    assert differences(then, now) == [
        "python: 3.11.1 then, 3.11.2 now",
        "package a: 1 then, none now",
        "package b: 1 then, 2 now",
        "package c: none then, 3 now",
    ]


def test_the_code_has_a_hash_with_and_without_git(monkeypatch) -> None:
    with_git = code_version()
    monkeypatch.setenv("PATH", "/nowhere")
    assert code_version() == {"code": with_git["code"]}
