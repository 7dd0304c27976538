"""Where a model was made: code, interpreter, machine and packages, and what has changed since."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from configs.fingerprint import code_fingerprint, fingerprint

ROOT = Path(__file__).parents[2]
THREADS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT")


def environment() -> dict[str, Any]:
    """What a training depends on beside data and settings.

    Returns
    -------
    dict
        ``python``, ``platform``, ``machine``, ``processors`` (those this process may use), ``threads`` (what the
        environment limits them to, by variable), ``packages`` (version of every installed one, by name) and
        ``packages_hash``; and all of `code_version`.
    """
    packages = dict(sorted(_packages()))
    return {
        **code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "threads": {name: os.environ.get(name) for name in THREADS},
        "packages_hash": fingerprint(packages),
        "packages": packages,
    }


def _packages() -> Iterator[tuple[str, str]]:
    """Name and version of every installed package: both stand in the head of its metadata, long texts below it."""
    for package in distributions():
        text = package.read_text("METADATA") or package.read_text("PKG-INFO") or ""
        head = HeaderParser().parsestr(text.partition("\n\n")[0])
        if head["Name"]:
            yield head["Name"].lower(), head["Version"]


def code_version() -> dict[str, str]:
    """Which code this is: ``git_commit``, ``git_dirty`` (files differ from it), ``code`` (a hash of what was run).

    The hash is of the files of all packages that models depend on, and is told without git, too.
    """
    facts = {"code": code_fingerprint("training")}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    if commit is None or changed is None:
        return facts
    return {"git_commit": commit, "git_dirty": "yes" if changed else "no", **facts}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, a line each: ``package numpy: 2.3.5 then, 2.4.0 now``.

    >>> differences({"python": "3.11.2", "packages": {"a": "1"}}, {"python": "3.11.2", "packages": {"a": "2"}})
    ['package a: 1 then, 2 now']
    """
    packages = [dict(side.get("packages", {})) for side in (then, now)]
    facts = [{k: v for k, v in side.items() if k not in ("packages", "packages_hash")} for side in (then, now)]
    return [*_lines("", *facts), *_lines("package ", *packages)]


def _lines(kind: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted({*then, *now})
    return [
        f"{kind}{name}: {_or_none(then.get(name))} then, {_or_none(now.get(name))} now"
        for name in names
        if then.get(name) != now.get(name)
    ]


def _or_none(value: Any) -> str:
    return "none" if value is None else str(value)


def _git(*arguments: str) -> str | None:
    """What git says of this checkout; None if there is no git, or no repository."""
    try:
        result = subprocess.run(  # noqa: S603 - arguments of this module
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None
