"""Who does the parts: this process, several on this machine, or Spark's executors."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tqdm import tqdm

from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.errors import UserError
from longtail.system.machine import available_cores
from longtail.system.preflight import THREAD_VARIABLES

if TYPE_CHECKING:
    from longtail.tables.spark_engine import SparkEngine

SPARK_MEMORY_GB = 1.0  # of Spark's own process; the executors' Python processes hold the bundles

Part = Callable[[str, int], int]  # folder of work, number of the part -> users or items that it answered


def run_parts(part: Part, folder: Path, numbers: Sequence[int], settings: RecommendSettings, bar: "tqdm[None]") -> None:
    """Do all parts. part: a function of a module, as other processes call it."""
    processes = min(settings.processes or available_cores(), len(numbers))
    if settings.engine == "spark" and numbers:
        from longtail.tables.engines import open_engine

        with (
            tempfile.TemporaryDirectory(prefix="longtail-spark-") as scratch,
            open_engine("spark", SPARK_MEMORY_GB, settings.spark_remote, Path(scratch)) as engine,
        ):
            bar.update(cast("SparkEngine", engine).each(numbers, part, str(folder)))
    elif processes > 1:
        with _one_thread_each(), ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent) as pool:
            try:
                for done in as_completed([pool.submit(part, str(folder), number) for number in numbers]):
                    bar.update(done.result())
            except BrokenProcessPool:
                raise UserError(
                    "a process that answered was killed, most likely for want of memory; give fewer processes. What is done is kept"
                ) from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        for number in numbers:
            bar.update(part(str(folder), number))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread of numeric libraries each."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
