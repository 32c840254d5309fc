"""Tables to prepare, and the engines that prepare them."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.prepared import PreparedDataset

Prepare = Callable[..., PreparedDataset]
NOW = 2_000_000_000


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "spark":
        if importlib.util.find_spec("pyspark") is None:
            pytest.skip("pyspark is not installed (the spark extra)")
        if shutil.which("java") is None:
            pytest.skip("there is no Java")
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path) -> Prepare:
    """Write tables given as rows, prepare them, read the result. A table given as text or path is taken as it is."""

    def run(
        interactions: Any, items: Any, users: Any = None, output: Path = tmp_path / "prepared", **settings: Any
    ) -> PreparedDataset:
        tables = {"interactions": interactions, "items": items, "users": users}
        uris = {name: _written(tmp_path / f"{name}.parquet", table) for name, table in tables.items()}
        prepare(uris["interactions"], uris["items"], uris["users"], output, _settings(settings))
        return PreparedDataset(output)

    return run


def _settings(chosen: dict[str, Any]) -> PreprocessSettings:
    return PreprocessSettings(**{"latest_timestamp": NOW, "memory_limit_gb": 0.5} | chosen)


def _written(path: Path, table: Any) -> Any:
    if table is None or isinstance(table, str | Path):
        return None if table is None else str(table)
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pylist(table), path)
    return str(path)
