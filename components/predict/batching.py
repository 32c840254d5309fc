"""Requests that wait at the same time are computed together: the item matrix is then read once for all of them.

Nobody is made to wait for company: a free thread takes what is there. Who would have to wait too long is told so at once, and who
did is not computed any more.
"""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

MOST = 16  # users computed together, but for those of one request


class OverloadError(Exception):
    """There is more to do than can be done in time; asking again later may help."""


@dataclass
class Moments:
    """What a request came through, and when, by ``time.perf_counter``; NaN: it did not come so far. Who computes notes when it was taken
    from those that wait, and when it was done; who asks notes the others."""

    began: float = math.nan
    read: float = math.nan
    taken: float = math.nan
    done: float = math.nan
    ended: float = math.nan

    def phases(self) -> dict[str, tuple[float, float]]:
        """Begin and end of those that came to their end."""
        spans = {
            "reading": (self.began, self.read),
            "waiting": (self.read, self.taken),
            "scoring": (self.taken, self.done),
            "whole": (self.began, self.ended),
        }
        return {name: span for name, span in spans.items() if not math.isnan(sum(span))}


@dataclass
class _Request(Generic[Asked, Answer]):
    asked: Sequence[Asked]
    answered: "asyncio.Future[list[Answer]]"
    moments: Moments
    outcome: list[Answer] | Exception = field(default_factory=list)


class Batching(Generic[Asked, Answer]):
    """Computes answers in threads of its own.

    Args:
        answers: what is asked, of several requests, -> an answer to each.
        threads: that compute at one time.
        most_waiting: requests that may wait.
        seconds: within which a request is answered, or given up.
    """

    def __init__(
        self, answers: Callable[[list[Asked]], list[Answer]], threads: int, most_waiting: int, seconds: float
    ) -> None:
        self._answers, self._most_waiting, self._seconds = answers, most_waiting, seconds
        self._waiting: queue.SimpleQueue[_Request[Asked, Answer]] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"score-{number}", daemon=True).start()

    async def answer(self, asked: Sequence[Asked], moments: Moments | None = None) -> list[Answer]:
        """An answer to each. moments: filled in where given.

        Raises:
            OverloadError: too many wait, or it took too long.
            Exception: what ``answers`` raised for this request alone.
        """
        if self._waiting.qsize() >= self._most_waiting:
            raise OverloadError(f"{self._most_waiting} requests are waiting")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[Answer]] = loop.create_future()
        timer = loop.call_later(self._seconds, self._give_up, answered)
        self._waiting.put(_Request(asked, answered, moments or Moments()))
        try:
            return await answered
        finally:
            timer.cancel()

    def _give_up(self, answered: "asyncio.Future[list[Answer]]") -> None:
        if not answered.done():
            answered.set_exception(OverloadError(f"no answer within {self._seconds:g} s"))

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while sum(len(request.asked) for request in batch) < MOST:
                try:
                    batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            batch = [request for request in batch if not request.answered.done()]  # else nobody waits for it
            taken = time.perf_counter()
            self._compute(batch)
            done = time.perf_counter()
            for request in batch:
                request.moments.taken, request.moments.done = taken, done
            for loop in {request.answered.get_loop() for request in batch}:  # woken up once, not for each
                loop.call_soon_threadsafe(_tell, [one for one in batch if one.answered.get_loop() is loop])

    def _compute(self, batch: Sequence[_Request[Asked, Answer]]) -> None:
        try:
            answers = iter(self._answers([one for request in batch for one in request.asked]))
            for request in batch:
                request.outcome = [next(answers) for _ in request.asked]
        except Exception as error:  # noqa: BLE001  (each request gets its own, or its answer)
            if len(batch) == 1:
                batch[0].outcome = error
                return
            for request in batch:
                self._compute([request])


def _tell(requests: Sequence[_Request[Asked, Answer]]) -> None:
    for request in requests:
        if request.answered.done():  # it was given up, or the client went away
            continue
        if isinstance(request.outcome, Exception):
            request.answered.set_exception(request.outcome)
        else:
            request.answered.set_result(request.outcome)
