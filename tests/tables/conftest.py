"""Tables opened as a stage opens them, on either engine."""

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from longtail.tables.engines import open_engine
from longtail.tables.sources import find


@dataclass
class Table:
    rows: list[dict[str, Any]]  # with ``row``
    faults: list[dict[str, Any]]
    kinds: dict[str, str]
    found: tuple[str, ...]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


Read = Callable[..., Table]


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "spark" and (importlib.util.find_spec("pyspark") is None or shutil.which("java") is None):
        pytest.skip("pyspark or Java is not installed (the spark extra)")
    return str(request.param)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Rows, rows set apart, and kinds of the table at a place. ``said``: fields of the source."""

    def read(
        place: str | Path,
        engine: str = "duckdb",
        only: Sequence[str] | None = None,
        optional: Sequence[str] = (),
        **said: Any,
    ) -> Table:
        with (
            tempfile.TemporaryDirectory(dir=tmp_path.parent) as folder,
            open_engine(engine, 0.5, None, Path(folder)) as opened,  # type: ignore[arg-type]
        ):
            scan = opened.scan(replace(find(str(place)), **said), only, optional)
            columns = {name: opened.quote(name) for name, kind in scan.kinds.items() if kind != "other"}
            rows = opened.collect(scan.select(columns, rows=True)).to_pylist()
            faults = [] if scan.faults is None else opened.collect(scan.faults).to_pylist()
            return Table(rows, faults, dict(scan.kinds), scan.found)

    return read
