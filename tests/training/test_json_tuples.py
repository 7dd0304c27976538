"""What goes through JSON comes back as it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from training.json_tuples import lists_to_tuples


@dataclass(frozen=True)
class Kept:
    edges: tuple[float, ...]
    name: str
    floor: float | None = None


def test_a_dataclass_comes_back_from_json_equal_and_hashable() -> None:
    single = Kept((0.5, 1.5), "x")
    back = Kept(**lists_to_tuples(json.loads(json.dumps(asdict(single)))))
    assert back == single
    assert hash(back) == hash(single)
