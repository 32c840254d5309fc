"""Spark's executors write what this machine writes."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody, rows

from longtail.components.recommend.reach import reach
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings

pytestmark = pytest.mark.spark


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None, reason="pyspark or Java is missing"
)
def test_spark_gives_the_same_rows(tmp_path: Path):
    bundle = Path(write_hand_bundle(tmp_path / "bundle"))
    users = everybody({f"u{number:02}": list("abcd"[: number % 4]) for number in range(20)})
    for engine in ("local", "spark"):
        settings = RecommendSettings(k=2, users_per_part=3, processes=1, engine=engine)
        recommend(bundle, users, tmp_path / engine, settings)
        reach(bundle, users, ["b"], tmp_path / f"reach-{engine}", settings.model_copy(update={"k": 10}))
    for name in ("recommendations", "users"):
        assert len(rows(tmp_path / "local", name)) >= 20
        assert rows(tmp_path / "spark", name) == rows(tmp_path / "local", name)
    assert rows(tmp_path / "reach-spark", "reach") == rows(tmp_path / "reach-local", "reach")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bundle",
        "local",
        "reach-local",
        "reach-spark",
        "spark",
    ]
