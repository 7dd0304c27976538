"""A YAML file as its writer means it: YAML 1.2, read by ruamel.yaml, every doubt named with its line.

Of plain words only ``true``, ``false`` and ``null`` are not words: ``on``, ``no``, ``Yes`` and ``NA`` stay as they are.
A number that would be written otherwise is a text (``010``, ``1_000``), and so is a date: who needs one reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver

from configs.errors import ConfigError

PLAIN: dict[str, tuple[str, Sequence[str]]] = {
    "bool": ("^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": ("^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (
        r"^[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
    "null": ("^(?:~|null|Null|NULL|)$", ("~", "n", "N", "")),
    "merge": ("^<<$", "<"),
}


BY_FIRST = {
    first: [
        (f"tag:yaml.org,2002:{name}", re.compile(pattern))
        for name, (pattern, _) in PLAIN.items()
        if first in PLAIN[name][1]
    ]
    for first in {first for _, firsts in PLAIN.values() for first in firsts}
}


class _Resolver(VersionedResolver):
    """Which plain scalars are more than text, whatever version the file says it is written in."""

    @property
    def versioned_resolver(self) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
        return BY_FIRST


def read_yaml(path: Path) -> Any:
    """Read the one document of a YAML file.

    Raises
    ------
    ConfigError
        The file is not UTF-8 or not YAML, or a key stands twice in one mapping; with the line.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Resolver = _Resolver
    try:
        return reader.load(path.read_text("utf-8"))
    except DuplicateKeyError as error:
        raise ConfigError(f"{path}, {_line(error)}: {_duplicate(error)}") from None
    except MarkedYAMLError as error:
        problem = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        raise ConfigError(f"{path}, {_line(error)}: not valid YAML: {problem}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _line(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}" if mark else "somewhere"


def _duplicate(error: DuplicateKeyError) -> str:
    key = re.match(r"found duplicate key \"?(.*?)\"? with", error.problem or "", re.DOTALL)
    return (
        f"the key '{key[1] if key else '?'}' stands twice in one mapping: the first would be lost; remove one of them"
    )
