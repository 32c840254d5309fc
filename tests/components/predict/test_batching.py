"""Requests that are computed together are answered each for itself."""

import asyncio
import threading

import pytest

from longtail.components.predict import batching
from longtail.components.predict.batching import Batching, OverloadError


class Counting:
    """Doubles numbers; the first call waits until ``go`` is set, so that what follows waits together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, asked: list[int]) -> list[int]:
        self.calls.append(asked)
        if len(self.calls) == 1:
            assert self.go.wait(30)
        if -1 in asked:
            raise ValueError("-1")
        return [2 * one for one in asked]


async def ask_all(computed: Counting, requests: list[list[int]], threads: int = 1) -> list[object]:
    """The first request alone, then the others while it is being computed."""
    asker = Batching(computed, threads, 1000, 60)
    first = asyncio.ensure_future(asker.answer(requests[0]))
    while not computed.calls:
        await asyncio.sleep(0.001)
    others = [asyncio.ensure_future(asker.answer(request)) for request in requests[1:]]
    await asyncio.sleep(0.01)
    computed.go.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


def test_what_waits_is_computed_together_and_answered_in_its_order():
    computed = Counting()
    assert asyncio.run(ask_all(computed, [[1], [2, 3], [4], [5]])) == [[2], [4, 6], [8], [10]]
    assert computed.calls == [[1], [2, 3, 4, 5]]


def test_a_batch_ends_with_the_request_that_fills_it(monkeypatch):
    monkeypatch.setattr(batching, "MOST", 3)
    computed = Counting()
    assert asyncio.run(ask_all(computed, [[1], [2, 3], [4, 5], [6]])) == [[2], [4, 6], [8, 10], [12]]
    assert computed.calls == [[1], [2, 3, 4, 5], [6]]


def test_what_fails_fails_alone():
    computed = Counting()
    answers = asyncio.run(ask_all(computed, [[1], [2], [-1], [4]]))
    assert answers[0] == [2] and answers[1] == [4] and answers[3] == [8]
    assert isinstance(answers[2], ValueError)


def test_who_went_away_is_not_answered():
    async def leave() -> list[int]:
        computed = Counting()
        asker = Batching(computed, 1, 1000, 60)
        gone = asyncio.ensure_future(asker.answer([1]))
        while not computed.calls:
            await asyncio.sleep(0.001)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        computed.go.set()
        return await asker.answer([2])

    assert asyncio.run(leave()) == [4]


def test_too_many_are_turned_away_at_once_and_the_others_answered():
    async def crowd() -> list[object]:
        computed = Counting()
        asker = Batching(computed, 1, most_waiting=2, seconds=60)
        first = asyncio.ensure_future(asker.answer([1]))
        while not computed.calls:
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(asker.answer([number])) for number in (2, 3, 4)]
        with pytest.raises(OverloadError, match="2 requests are waiting"):
            await others[2]
        computed.go.set()
        return list(await asyncio.gather(first, *others[:2]))

    assert asyncio.run(crowd()) == [[2], [4], [6]]


def test_who_waited_too_long_is_told_and_not_computed():
    async def late() -> tuple[list[int], list[list[int]]]:
        computed = Counting()
        asker = Batching(computed, 1, 1000, seconds=0.5)
        first = asyncio.ensure_future(asker.answer([1]))
        while not computed.calls:
            await asyncio.sleep(0.001)
        for request in (first, asyncio.ensure_future(asker.answer([2]))):
            with pytest.raises(OverloadError, match=r"no answer within 0\.5 s"):
                await request
        computed.go.set()
        asker._seconds = 60
        return await asker.answer([3]), computed.calls

    answer, calls = asyncio.run(late())
    assert answer == [6] and all(2 not in call for call in calls)


def test_many_at_once_by_several_threads():
    computed = Counting()
    computed.go.set()

    async def ask() -> list[list[int]]:
        asker = Batching(computed, 3, 1000, 60)
        return list(await asyncio.gather(*[asker.answer([number]) for number in range(500)]))

    assert asyncio.run(ask()) == [[2 * number] for number in range(500)]
