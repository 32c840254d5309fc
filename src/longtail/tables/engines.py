"""The engine that a setting names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from longtail.contracts.errors import UserError
from longtail.system.machine import available_cores
from longtail.tables.engine import Engine


@contextmanager
def open_engine(
    name: Literal["duckdb", "spark"], memory_limit_gb: float, spark_remote: str | None, folder: Path
) -> Iterator[Engine]:
    """The engine, with ``folder`` for what it spills and fetches.

    Raises:
        UserError: where Spark cannot be started, and, within the block, where the engine cannot do what it is asked.
    """
    engine: Engine
    if name == "duckdb":
        from longtail.tables.duckdb_engine import DuckDbEngine

        engine = DuckDbEngine(memory_limit_gb, available_cores(), folder)
    else:
        try:
            from longtail.tables.spark_engine import SparkEngine
        except ImportError as error:
            raise UserError(
                f"engine: spark needs pyspark ({error}); pip install 'longtail[spark]', or take engine: duckdb"
            ) from None
        engine = SparkEngine(memory_limit_gb, available_cores(), spark_remote, folder)
    try:
        with engine.explained():
            yield engine
    finally:
        engine.close()
