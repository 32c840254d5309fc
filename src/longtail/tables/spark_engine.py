"""Spark: a local session, or a cluster through Spark Connect (whose server must see the same paths)."""

import logging
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, functions

from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Frame
from longtail.tables.kinds import ROW_COLUMN
from longtail.tables.parquet_files import Opened, ParquetTable, Part, open_files
from longtail.tables.sources import Source, fetch

log = logging.getLogger(__name__)
REACH_SECONDS, CONNECT_PORT = 10.0, 15002


class SparkScan:
    def __init__(self, engine: "SparkEngine", source: Source, opened: Opened) -> None:
        self._engine, self._opened = engine, opened
        self.source, self.kinds, self.found, self.first_row = source, opened.kinds, opened.found, opened.first_row

    @cached_property
    def _table(self) -> ParquetTable:
        return self._engine.loaded(self.source, self._opened)

    @cached_property
    def _native(self) -> Any:
        parts = [self._engine.part(self._table, part) for part in self._table.parts]
        return reduce(lambda one, other: one.unionByName(other), parts)

    @property
    def faults(self) -> Frame | None:
        file = self._table.faults
        return None if file is None else self._engine.parquet(str(file))

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        chosen = [functions.expr(sql).alias(name) for name, sql in columns.items()]
        if rows:
            row = functions.col(quote(ROW_COLUMN)) if self._table.has_rows else functions.lit(None).cast("bigint")
            chosen.insert(0, row.alias(ROW))
        return _frame(self._native.select(*chosen))


class SparkEngine:
    def __init__(self, memory_limit_gb: float, threads: int, remote: str | None, folder: Path) -> None:
        self._remote, self.folder = remote, folder
        self._origins: dict[str, str] = {}  # file that is read -> file that the user named
        if remote:
            _check_reachable(remote)
            builder = SparkSession.builder.remote(remote)
        else:
            if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
                raise UserError("engine: spark needs Java 17 and finds none; install it, or take engine: duckdb")
            os.environ.setdefault(
                "PYSPARK_PYTHON", sys.executable
            )  # of what ``each`` calls: this environment's packages
            builder = (
                SparkSession.builder.master(f"local[{threads}]")
                .config("spark.driver.memory", f"{int(memory_limit_gb * 1024)}m")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.ui.enabled", "false")
                .config("spark.ui.showConsoleProgress", "false")
                .config("spark.log.level", "ERROR")
                .config("spark.sql.shuffle.partitions", str(4 * threads))
            )
        with self.explained():
            self._spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
            # what pandas writes; Spark refuses it otherwise
            self._spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", True)

    def quote(self, name: str) -> str:
        return quote(name)

    def close(self) -> None:
        """Forget what was kept. The session stays: Spark allows one a process."""
        self._spark.catalog.clearCache()

    def scan(self, source: Source, only: Sequence[str] | None = None, optional: Sequence[str] = ()) -> SparkScan:
        return SparkScan(self, source, open_files(source, self.folder, only, optional))

    def loaded(self, source: Source, opened: Opened) -> ParquetTable:
        table = opened.load()
        if source.format != "parquet":
            return table
        if self._remote:  # the cluster reads buckets itself
            files = tuple(re.sub("^s3://", "s3a://", file) for file in source.files)
        else:
            files = fetch(source, self.folder).files
        self._origins |= dict(zip(files, source.files))
        return table.at(dict(zip(source.files, files)))

    def part(self, table: ParquetTable, part: Part) -> Any:
        columns = table.columns_of(part, quote, "try_validate_utf8(cast({} as string))", "cast({} as array<string>)")
        native = self._spark.read.parquet(*map(_path, part.files))
        for name, type_ in part.types.items():
            if pa.types.is_timestamp(type_) and type_.unit == "ns":  # comes as a whole number
                rounded = f"cast(floor({quote(name)} / 1000 + 0.5) as bigint)"
                native = native.withColumn(name, functions.expr(f"timestamp_micros({rounded})"))
        return native.select(*[functions.expr(sql).alias(name) for name, sql in columns.items()])

    def parquet(self, file: str) -> Frame:
        return _frame(self._spark.read.parquet(_path(file)))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """A file that Spark cannot read is the user's to mend; what else it refuses is told in its own words."""
        try:
            yield
        except Exception as error:
            is_sparks = isinstance(error, PySparkException | Py4JError) or type(error).__module__.startswith("grpc")
            if not is_sparks:
                raise
            text = str(error)
            found = re.search(r"\[FAILED_READ_FILE[.A-Z_]*\] Encountered error while reading file (\S+?)\.?\s", text)
            log.debug("Spark's error", exc_info=True)
            if found is not None:
                file = unquote(found[1].removeprefix("file:").replace("///", "/"))
                file = self._origins.get(file, file)
                raise UserError(f"{file}: cannot be read by Spark; mend or replace the file") from None
            words = " ".join(text.partition("JVM stacktrace")[0].split())[:400]
            raise UserError(
                f"Spark cannot work on these tables ({type(error).__name__}: {words}); mend what it names, or take engine: "
                "duckdb"
            ) from None

    def keep(self, frame: Frame) -> Frame:
        native: Any = frame.to_native()
        return _frame(native.persist())

    def collect(self, frame: Frame) -> pa.Table:
        native: Any = frame.to_native()
        table: pa.Table = native.toArrow()
        return table

    def pack(
        self, frame: Frame, columns: Sequence[str], name: str, kind: Literal["float", "double"] = "float"
    ) -> Frame:
        native: Any = frame.to_native()
        packed = functions.array(*[functions.col(quote(column)).cast(kind) for column in columns]).cast(
            f"array<{kind}>"
        )
        return _frame(native.withColumn(name, packed).drop(*columns))

    def hashed(self, frame: Frame, column: str, seed: int, name: str) -> Frame:
        native: Any = frame.to_native()
        digits = f"substr(md5(concat('{seed}:', {quote(column)})), 1, 7)"
        return _frame(native.withColumn(name, functions.expr(f"cast(conv({digits}, 16, 10) as bigint)")))

    def percentiles(self, frame: Frame, column: str, shares: Sequence[float]) -> list[float]:
        native: Any = frame.to_native()
        chosen = [
            functions.expr(f"percentile_disc({share}) within group (order by {quote(column)})") for share in shares
        ]
        row = native.agg(*[column.alias(f"p{i}") for i, column in enumerate(chosen)]).collect()[0]
        return [float(value) for value in row]

    def each(self, numbers: Sequence[int], work: Callable[[str, int], int], folder: str) -> int:
        """The sum of ``work(folder, number)`` over all numbers, each done by an executor; ``work`` is a function of a module that the
        executors have too, and the folder lies where they see it."""

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield pa.RecordBatch.from_pydict({"done": pa.array([work(folder, number)], pa.int64())})

        rows = self._spark.createDataFrame([(number,) for number in numbers], "number long")
        done = rows.repartition(len(numbers), "number").mapInArrow(run, "done long").collect()
        return sum(row["done"] for row in done)

    def write(self, frame: Frame, path: Path, order_by: Sequence[str]) -> None:
        """Spark writes sorted parts; they are joined in order, row group by row group."""
        native: Any = frame.to_native()
        parts = path.with_name(f".{path.name}.parts")
        keys = [functions.col(quote(name)).asc_nulls_last() for name in order_by]
        native.orderBy(*keys).write.parquet(str(parts))
        files = sorted(parts.glob("*.parquet"))
        schema = pq.read_schema(files[0]).remove_metadata()
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for file in files:
                reader = pq.ParquetFile(file)
                for group in range(reader.num_row_groups):
                    writer.write_table(reader.read_row_group(group).replace_schema_metadata(None))
        shutil.rmtree(parts)


def _frame(native: Any) -> Frame:
    frame: Frame = nw.from_native(native)
    return frame


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _path(file: str) -> str:
    """A file's name; one that holds a glob's signs still means itself."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", file)


def _check_reachable(remote: str) -> None:
    """Spark's own client would ask an address that does not answer for many minutes."""
    address = urlsplit(remote.partition(";")[0])
    if address.scheme != "sc" or not address.hostname:
        raise UserError(f"spark_remote: {remote!r} is no address of Spark Connect; the form is sc://host:port")
    try:
        socket.create_connection((address.hostname, address.port or CONNECT_PORT), REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"spark_remote: {remote}: nothing answers there ({error}); start the server or mend the address"
        ) from None
