from __future__ import annotations

from typing import Any

import pytest

from cli.screens.audit import verdict_screen

FAULT = {"position": 4, "what": "entry 4 is missing"}


@pytest.mark.parametrize(
    ("faults", "told"), [([], ["is whole: entries 1 to 9"]), ([FAULT], ["is not whole", "4 entry 4 is missing"])]
)
def test_a_person_is_told_whether_the_record_is_whole_and_where_not(
    faults: list[dict[str, Any]], told: list[str], printed: Any
) -> None:
    text = printed(verdict_screen({"faults": faults, "first": 1, "last": 9, "checkpoints": 2}))
    assert all(part in text for part in told)
