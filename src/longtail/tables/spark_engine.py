"""Spark: a local session, or a cluster through Spark Connect (whose server must see the same paths)."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession, functions, types

from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Frame, Kind
from longtail.tables.sources import Source, csv_columns, fetch, open_file, reaching


class SparkScan:
    def __init__(self, native: Any, source: Source, kinds: dict[str, Kind]) -> None:
        self._native = native
        self.source, self.kinds = source, kinds

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        chosen = [functions.expr(sql).alias(name) for name, sql in columns.items()]
        if rows:
            chosen.insert(0, functions.lit(None).cast("bigint").alias(ROW))
        return _frame(self._native.select(*chosen))


class SparkEngine:
    def __init__(self, memory_limit_gb: float, threads: int, remote: str | None, folder: Path) -> None:
        self._remote, self._folder = remote, folder
        self._origins: dict[str, str] = {}  # file that is read -> file that the user named
        if remote:
            builder = SparkSession.builder.remote(remote)
        else:
            if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
                raise UserError("engine: spark needs Java 17 and finds none; install it, or take engine: duckdb")
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
        self._spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
        self._spark.conf.set(
            "spark.sql.legacy.parquet.nanosAsLong", True
        )  # what pandas writes; Spark refuses it otherwise

    def quote(self, name: str) -> str:
        return quote(name)

    def close(self) -> None:
        """Forget what was kept. The session stays: Spark allows one a process."""
        self._spark.catalog.clearCache()

    def scan(self, source: Source, optional: Sequence[str] = ()) -> SparkScan:
        if self._remote:  # the cluster reads buckets itself
            files = [file.replace("s3://", "s3a://", 1) if file.startswith("s3://") else file for file in source.files]
        else:
            files = list(fetch(source, self._folder).files)
        self._origins |= dict(zip(files, source.files))
        with self._explained():
            native = self._open(source, files, optional)
        return SparkScan(native, source, {field.name: _kind(field.dataType) for field in native.schema.fields})

    def _open(self, source: Source, files: list[str], optional: Sequence[str]) -> Any:
        reader = self._spark.read
        if source.format == "parquet":
            native = reader.option("mergeSchema", True).parquet(*files)
            for name in _nanosecond_columns(source):
                rounded = f"cast(floor({quote(name)} / 1000 + 0.5) as bigint)"
                native = native.withColumn(name, functions.expr(f"timestamp_micros({rounded})"))
            return native
        if source.format == "jsonl":
            native = reader.option("primitivesAsString", True).json(files)
            for name in optional:
                if name not in native.columns:
                    native = native.withColumn(name, functions.lit(None).cast("string"))
            return native.drop("_corrupt_record")
        schema = types.StructType([types.StructField(name, types.StringType()) for name in csv_columns(source)])
        return reader.csv(
            files,
            schema=schema,
            header=source.header is None,
            sep=source.delimiter,
            quote='"',
            escape='"',
            encoding="ISO-8859-1" if source.encoding == "latin-1" else source.encoding,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A file that Spark cannot read is the user's to mend; all else keeps its traceback."""
        try:
            yield
        except (PySparkException, Py4JError) as error:
            found = re.search(
                r"\[FAILED_READ_FILE[.A-Z_]*\] Encountered error while reading file (\S+?)\.?\s", str(error)
            )
            if found is None:
                raise
            file = found[1].removeprefix("file:").replace("///", "/")
            raise UserError(
                f"{self._origins.get(file, file)}: cannot be read by Spark; mend or replace the file"
            ) from None

    def keep(self, frame: Frame) -> Frame:
        native: Any = frame.to_native()
        return _frame(native.persist())

    def collect(self, frame: Frame) -> pa.Table:
        native: Any = frame.to_native()
        with self._explained():
            return native.toArrow()

    def pack(self, frame: Frame, columns: Sequence[str], name: str) -> Frame:
        native: Any = frame.to_native()
        packed = functions.array(*[functions.col(quote(column)).cast("float") for column in columns]).cast(
            "array<float>"
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
        with self._explained():
            row = native.agg(*[column.alias(f"p{i}") for i, column in enumerate(chosen)]).collect()[0]
        return [float(value) for value in row]

    def write(self, frame: Frame, path: Path, order_by: Sequence[str]) -> None:
        """Spark writes sorted parts; they are joined in order, row group by row group."""
        native: Any = frame.to_native()
        parts = path.with_name(f".{path.name}.parts")
        keys = [functions.col(quote(name)).asc_nulls_last() for name in order_by]
        with self._explained():
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


def _nanosecond_columns(source: Source) -> list[str]:
    with reaching(source.files[0]), open_file(source.files[0]) as stream:
        schema = pq.read_schema(stream)
    return [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"]


def _kind(type_: Any) -> Kind:
    if isinstance(type_, types.ArrayType):
        return "list" if isinstance(type_.elementType, types.StringType) else "other"
    if isinstance(type_, types.TimestampType | types.TimestampNTZType | types.DateType):
        return "time"
    if isinstance(type_, types.IntegralType):
        return "whole"
    if isinstance(type_, types.NumericType):
        return "number"
    return "text" if isinstance(type_, types.StringType | types.BooleanType | types.NullType) else "other"
