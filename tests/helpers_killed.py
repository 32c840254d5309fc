"""Work that is killed at each of its steps: SIGKILL in a child, before the first, the second, the third … change of the disk."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

from longtail.contracts import folders

STEPS = ("mkdir", "rename", "replace", "symlink", "unlink", "rmdir", "chmod")


def killed_at_each_step(work: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """For each step: ``prepare()``, then a child that runs ``work()`` and is killed before this step. Ends with one that is not.

    Yields the number of the step, so that the caller looks at what is left.
    """
    for step in range(1000):
        prepare()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                _die_before(step)
                work()
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        yield step
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
            assert step > 2, "nothing was killed"
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def _die_before(step: int) -> None:
    done = 0

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal done
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return real(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))
    folders._swapped = dying(folders._swapped)  # type: ignore[assignment]
