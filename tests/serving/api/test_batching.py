"""Requests that wait together share a call, and nobody's fault, wait or departure is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from serving.api.batching import Batcher, CallCost
from serving.api.endpoints import CUSTOMERS_AT_ONCE, CUSTOMERS_IN_PART
from serving.api.problems import OverloadedError, UnavailableError


class Gate:
    """Work that waits until it is let go, and notes what came together."""

    def __init__(self) -> None:
        self.open, self.calls = threading.Event(), []

    def __call__(self, items: list[Any]) -> Sequence[Any]:
        self.open.wait(10)
        self.calls.append(items)
        return [f"answer to {item}" for item in items]


def run(scene: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(scene(), 20))


async def settled(*tasks: asyncio.Task[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def start(*asked: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in asked]
    await asyncio.sleep(0.01)
    return tasks


def test_what_waits_while_a_call_runs_goes_into_the_next_together() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 100)
        first = await start(batcher.ask("a"))
        rest = await start(*(batcher.ask(c) for c in "bcde"))
        work.open.set()
        assert await settled(*first, *rest) == [f"answer to {c}" for c in "abcde"]
        assert work.calls == [["a"], ["b", "c", "d", "e"]]

    run(scene)


def test_a_call_takes_no_more_than_it_may_and_what_is_larger_goes_alone() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 3)
        tasks = await start(batcher.ask("first"))
        tasks += await start(*(batcher.ask(c, size) for c, size in (("a", 2), ("b", 1), ("c", 9), ("d", 1), ("e", 1))))
        work.open.set()
        await settled(*tasks)
        assert work.calls == [["first"], ["a", "b"], ["c"], ["d", "e"]]

    run(scene)


def test_single_requests_overtake_long_lists_which_still_move_in_every_call() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, CUSTOMERS_AT_ONCE)
        tasks = await start(batcher.ask("first"))
        tasks += await start(batcher.ask_in_parts([(f"part {i}", CUSTOMERS_IN_PART) for i in range(5)]))
        tasks += await start(*(batcher.ask(c) for c in "ab"), batcher.ask("many", CUSTOMERS_IN_PART))
        work.open.set()
        answers = await settled(*tasks)
        assert answers[1] == [f"answer to part {i}" for i in range(5)]
        assert work.calls == [["first"], ["part 0", "a", "b"], ["part 1", "many"], ["part 2", "part 3"], ["part 4"]]

    run(scene)


def test_a_list_is_admitted_as_a_whole_and_again_once_its_cost_is_known() -> None:
    async def scene() -> None:
        work = Gate()
        work.open.set()
        batcher = Batcher[int, str](work, 2, max_wait_seconds=0.0)
        batcher._cost.learn(2, 5.0)
        for _ in range(2):
            assert len(await batcher.ask_in_parts([(i, 1) for i in range(40)])) == 40

    run(scene)


def test_a_list_may_wait_as_long_as_it_takes_itself_and_no_longer() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[int, str](work, 2, max_wait_seconds=1.0)
        batcher._cost.learn(2, 1.0)
        (first,) = await start(batcher.ask_in_parts([(i, 1) for i in range(20)]))
        with pytest.raises(OverloadedError):
            await batcher.ask_in_parts([(i, 1) for i in range(4)])
        (second,) = await start(batcher.ask_in_parts([(i, 1) for i in range(24)]))
        work.open.set()
        assert [len(answers) for answers in await settled(first, second)] == [20, 24]

    run(scene)


def test_a_single_request_waits_for_no_more_of_a_list_than_the_part_beside_it() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[int, str](work, 2, max_wait_seconds=1.5)
        batcher._cost.learn(2, 1.0)
        (long,) = await start(batcher.ask_in_parts([(i, 1) for i in range(40)]))
        (single,) = await start(batcher.ask(99))
        work.open.set()
        await settled(long, single)
        assert [99 in call for call in work.calls].index(True) == 1

    run(scene)


def test_who_leaves_a_list_is_worked_for_no_more_and_everyone_else_is_answered() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 2)
        (first,) = await start(batcher.ask("a"))
        gone, last = await start(batcher.ask_in_parts([("b", 1), ("c", 1), ("d", 1)]), batcher.ask("e"))
        gone.cancel()
        await asyncio.sleep(0)
        work.open.set()
        await settled(first, gone, last)
        assert work.calls == [["a"], ["e"]]

    run(scene)


@pytest.mark.parametrize("items", [[], ["a", "b"]])
def test_work_that_gives_another_number_of_results_is_an_error_and_the_next_is_answered(items: list[str]) -> None:
    async def scene() -> None:
        batcher = Batcher[str, str](lambda asked: items if asked == ["bad"] else asked, 10)
        with pytest.raises(RuntimeError, match="results for 1 items"):
            await batcher.ask("bad")
        assert await batcher.ask("good") == "good"

    run(scene)


def test_a_call_of_nothing_costs_what_it_took_and_stops_nobody() -> None:
    async def scene() -> None:
        batcher = Batcher[str, str](lambda items: items, 10, max_wait_seconds=1.0)
        assert await batcher.ask("nothing", 0) == "nothing"
        assert await settled(*await start(*(batcher.ask(c) for c in "abc"))) == ["a", "b", "c"]

    run(scene)


def test_the_fault_of_one_is_told_to_nobody_else() -> None:
    def work(items: list[str]) -> list[str]:
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]

    async def scene() -> None:
        batcher = Batcher[str, str](work, 100)
        answers = await settled(*await start(*(batcher.ask(item) for item in ("a", "bad", "b"))))
        assert (answers[0], answers[2]) == ("A", "B")
        assert isinstance(answers[1], ValueError)

    run(scene)


def test_what_the_service_lacks_is_told_to_all_at_once_and_not_tried_for_each() -> None:
    calls = []

    def work(items: list[str]) -> list[str]:
        calls.append(items)
        raise UnavailableError("the feature store cannot be read now")

    async def scene() -> None:
        batcher = Batcher[str, str](work, 100)
        answers = await settled(*await start(*(batcher.ask(item) for item in "abc")))
        assert [type(a) for a in answers] == [UnavailableError] * 3
        assert calls == [["a", "b", "c"]]

    run(scene)


def test_who_asks_while_the_server_stops_is_told_so() -> None:
    async def scene() -> None:
        batcher = Batcher[str, str](lambda items: items, 100)
        assert await batcher.ask("a") == "a"
        batcher.close()
        with pytest.raises(UnavailableError, match="stopping"):
            await batcher.ask("b")

    run(scene)


def test_a_result_that_is_an_error_is_raised_to_who_asked() -> None:
    async def scene() -> None:
        batcher = Batcher[str, str](lambda items: [KeyError(i) if i == "b" else i for i in items], 100)
        answers = await settled(*await start(*(batcher.ask(item) for item in "abc")))
        assert [type(a) for a in answers] == [str, KeyError, str]

    run(scene)


def test_who_has_gone_is_not_worked_for() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 100)
        (first,) = await start(batcher.ask("a"))
        gone, last = await start(batcher.ask("b"), batcher.ask("c"))
        gone.cancel()
        work.open.set()
        await settled(first, gone, last)
        assert work.calls == [["a"], ["c"]]

    run(scene)


def test_who_would_wait_longer_than_allowed_is_refused_and_the_rest_is_answered() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 1, max_wait_seconds=1.0)
        batcher._cost.learn(1, 0.4)
        tasks = await start(*(batcher.ask(str(i)) for i in range(10)))
        work.open.set()
        answers = await settled(*tasks)
        refused = [a for a in answers if isinstance(a, OverloadedError)]
        assert answers[:2] == ["answer to 0", "answer to 1"]
        assert len(refused) == 10 - len(work.calls) and 3 <= len(work.calls) <= 4
        assert await batcher.ask("later") == "answer to later"  # the queue is empty again

    run(scene)


def test_behind_a_call_that_hangs_nobody_queues_up() -> None:
    async def scene() -> None:
        work = Gate()
        batcher = Batcher[str, str](work, 100, max_wait_seconds=0.02)
        tasks = await start(batcher.ask("first"))
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError):
            await batcher.ask("second")
        work.open.set()
        assert await settled(*tasks) == ["answer to first"]
        assert await batcher.ask("third") == "answer to third"

    run(scene)


def test_without_a_limit_nobody_is_refused() -> None:
    async def scene() -> None:
        batcher = Batcher[int, int](lambda items: items, 1)
        batcher._cost.learn(1, 1e6)
        assert await settled(*await start(*(batcher.ask(i) for i in range(50)))) == list(range(50))

    run(scene)


@pytest.mark.parametrize(("start_seconds", "each"), [(0.01, 0.001), (0.0, 0.002), (0.05, 0.0)])
def test_the_cost_of_a_call_is_learned(start_seconds: float, each: float) -> None:
    cost = CallCost()
    for size in (1, 4, 16, 2, 64, 1):
        cost.learn(size, start_seconds + each * size)
    assert cost.seconds(128) == pytest.approx(start_seconds + each * 128)


def test_the_cost_follows_a_change() -> None:
    cost = CallCost()
    for seconds in (0.01, 0.1):
        for _ in range(150):
            cost.learn(8, seconds)
    assert cost.seconds(8) == pytest.approx(0.1, rel=0.02)


def test_a_larger_call_is_never_taken_to_be_quicker() -> None:
    cost = CallCost()
    for size, seconds in ((1, 0.05), (64, 0.01)):
        cost.learn(size, seconds)
    assert cost.seconds(200) == cost.seconds(1) == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize("stalls", [[5.0], [5.0, 12.0]])
def test_a_call_that_hung_tells_nothing_of_the_next(stalls: list[float]) -> None:
    cost = CallCost()
    for seconds in [*stalls, *[0.005] * (len(stalls) + 1)]:
        cost.learn(1, seconds)
    assert cost.seconds(1) == pytest.approx(0.005)
