"""Which arm of a canary answers a customer: by a hash of the id, so the same wherever and whenever it is asked.

A customer's place in [0, 1) follows from the release and the id alone: the first 52 bits of the SHA-256 of
``{release}:{customer}``. Below the share, the canary answers, so that a growing share adds customers and moves none;
another release has another id, and so other customers. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import pandas as pd

from serving.answer.champion import Champions
from training.model.proof.releases import Release

CHAMPION, CANARY = "champion", "canary"
HEX_DIGITS = 13
Answer = TypeVar("Answer")
OnFailure = Callable[[Champions, Exception], None]


def place(release_id: str, customer_id: str) -> float:
    """Where in [0, 1) a customer lies.

    >>> f"{place('0123456789abcdef', '1349'):.4f}"
    '0.3139'
    """
    digest = hashlib.sha256(f"{release_id}:{customer_id}".encode()).hexdigest()
    return float(int(digest[:HEX_DIGITS], 16) / 16**HEX_DIGITS)


def takes(release: Release, customer_id: str) -> bool:
    """Whether a release answers a customer; a shadow answers nobody."""
    return release.kind == CANARY and place(release.id, customer_id) < release.percent / 100


def of_customer(champions: Champions, customer_id: str) -> Champions:
    """The models that answer a customer."""
    return by_arm(champions, [customer_id])[0][0]


def by_arm(champions: Champions, customer_ids: Iterable[str]) -> list[tuple[Champions, list[int]]]:
    """The models of each arm that some of these customers are in, with the positions of those.

    Two models that each have a canary make up to four arms.
    """
    canaries = [running.release for running in champions.releases.values() if running.release.kind == CANARY]
    arms: dict[tuple[str, ...], list[int]] = {}
    for position, customer_id in enumerate(customer_ids):
        chosen = tuple(release.model for release in canaries if takes(release, customer_id))
        arms.setdefault(chosen, []).append(position)
    return [(_of_arm(champions, chosen), positions) for chosen, positions in arms.items()]


def answers_by_arm(
    frame: pd.DataFrame,
    champions: Champions,
    answer: Callable[[Champions, list[int] | None], Sequence[Answer]],
    on_failure: OnFailure = lambda models, error: None,
) -> list[Answer]:
    """The answers for all rows, each by the models of its arm, in the order of the rows.

    Parameters
    ----------
    frame
        Feature rows with their ``customer_id``.
    champions
        The models that serve, and the releases beside them.
    answer
        Answers for the rows at these positions, None for all, by these models.
    on_failure
        Told what a canary failed with. Whom it cannot answer, the champions do: that depends on the customer's row
        alone, not on who else is asked for.
    """
    if not champions.has_canary:
        return list(answer(champions, None))
    found: dict[int, Answer] = {}
    for models, rows in by_arm(champions, frame["customer_id"]):
        found |= zip(rows, _of_one_arm(champions, models, rows, answer, on_failure), strict=True)
    return [found[row] for row in range(len(frame))]


def _of_one_arm(
    champions: Champions,
    models: Champions,
    rows: list[int],
    answer: Callable[[Champions, list[int] | None], Sequence[Answer]],
    on_failure: OnFailure,
) -> Sequence[Answer]:
    if all(arm["arm"] == CHAMPION for arm in models.arms.values()):
        return answer(models, rows)
    try:
        return answer(models, rows)
    except Exception as error:
        if len(rows) > 1:
            return [each for row in rows for each in _of_one_arm(champions, models, [row], answer, on_failure)]
        on_failure(models, error)
        return answer(_of_arm(champions, ()), rows)


def _of_arm(champions: Champions, chosen: Collection[str]) -> Champions:
    """The models of the arm in which these are canaries."""
    canaries = {task: running for task, running in champions.releases.items() if running.release.kind == CANARY}
    models = {task: canaries[task].model if task in chosen else model for task, model in champions.by_task.items()}
    names = {task: CANARY if task in chosen else CHAMPION for task in canaries}
    arms = {task: {"release": canaries[task].release.id, "arm": name} for task, name in names.items()}
    return replace(champions, churn=models["churn"], clv=models["clv"], releases={}, arms=arms)
