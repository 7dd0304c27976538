from __future__ import annotations

from typing import Any

import pytest

from cli.screens.audit import objections_screen, verdict_screen

FAULT = {"position": 4, "what": "entry 4 is missing"}


@pytest.mark.parametrize(
    ("faults", "told"), [([], ["is whole: entries 1 to 9"]), ([FAULT], ["is not whole", "4 entry 4 is missing"])]
)
def test_a_person_is_told_whether_the_record_is_whole_and_where_not(
    faults: list[dict[str, Any]], told: list[str], printed: Any
) -> None:
    text = printed(verdict_screen({"faults": faults, "first": 1, "last": 9, "checkpoints": 2}))
    assert all(part in text for part in told)


def test_a_person_is_told_who_objects_since_when_and_what_was_so_before(printed: Any) -> None:
    entry = {"customer_id": "ann", "objects": True, "at": "2024-03-01T00:00:00+00:00", "by": "ada"}
    taken = [{"customer_id": "ann", "status": "known"}]
    text = printed(objections_screen({"taken": taken, "objecting": ["ann"], "history": [entry]}))
    assert "1 customers object" in text and "ann objects ada" in text and "It was so before: ann" in text
