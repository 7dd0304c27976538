"""Answers for many customers in parts: whoever is killed goes on with the parts that are missing.

A part is the customers from one id on to the next bound, so that each falls into exactly one, whoever joins meanwhile.
Its files appear whole or not at all. ``plan.json`` binds the parts to what they rest on.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Self

from configs.files import write_text

PLAN = "plan.json"
LONGEST = timedelta(days=1)  # what was begun earlier is begun anew: its first answers would be as old


@dataclass(frozen=True)
class Plan:
    """What the parts rest on.

    Attributes
    ----------
    inputs
        A hash of features, models, settings and code.
    scored_at
        When it was begun, ISO 8601, UTC: the time of all answers.
    bounds
        The first id of each part, rising; that of the first is empty.
    customers
        How many there were when it was begun.
    """

    inputs: str
    scored_at: str
    bounds: tuple[str, ...]
    customers: int


@dataclass(frozen=True)
class Parts:
    """The parts of one plan in a folder."""

    folder: Path
    plan: Plan

    @classmethod
    def begin(cls, folder: Path, inputs: str, ids: Callable[[], Iterable[str]], rows: int, now: datetime) -> Self:
        """Go on with what was begun with the same inputs within a day; anything else that lies there is removed.

        Parameters
        ----------
        folder
            Where the parts are.
        inputs
            A hash of all that the answers rest on.
        ids
            Gives all customers in the order of their ids.
        rows
            Customers a part.
        now
            UTC.
        """
        found = _read(folder / PLAN)
        if found and found.inputs == inputs and now - datetime.fromisoformat(found.scored_at) < LONGEST:
            return cls(folder, found)
        shutil.rmtree(folder, ignore_errors=True)
        bounds, customers = [], 0
        for customer_id in ids():
            if customers % rows == 0:
                bounds.append(customer_id)
            customers += 1
        plan = Plan(inputs, now.isoformat(), ("", *bounds[1:]), customers)
        write_text(folder / PLAN, json.dumps(asdict(plan)))
        return cls(folder, plan)

    def stem(self, number: int) -> Path:
        """Path of the files of a part, without their suffix."""
        return self.folder / f"{number:06d}"

    def is_done(self, number: int) -> bool:
        """Whether a part is whole."""
        return self.stem(number).with_suffix(".parquet").is_file()

    @property
    def numbers(self) -> range:
        """Of all parts."""
        return range(len(self.plan.bounds))

    def slices(self, ids: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """The customers of each part, none of some, from all in the order of their ids.

        >>> parts = Parts(Path("x"), Plan("", "", ("", "c"), 4))
        >>> list(parts.slices(["a", "b", "c", "d"]))
        [(0, ['a', 'b']), (1, ['c', 'd'])]
        """
        following = 0
        for number, members in groupby(ids, lambda i: bisect_right(self.plan.bounds, i) - 1):
            yield from ((empty, []) for empty in range(following, number))
            yield number, list(members)
            following = number + 1
        yield from ((empty, []) for empty in range(following, len(self.plan.bounds)))

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> Plan | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        return Plan(**{**content, "bounds": tuple(content["bounds"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
