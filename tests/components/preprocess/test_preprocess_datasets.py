"""The real data sets that lie beside the project on some machines."""

from pathlib import Path

import pytest

from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.prepared import PreparedDataset

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"


def dataset(name: str) -> Path:
    folder = DATASETS / name
    if not folder.is_dir():
        pytest.skip(f"the data set {name} is not here (looked in ../shared/datasets beside the checkout)")
    return folder


def test_amazon_beauty_has_the_published_counts(tmp_path: Path) -> None:
    source = dataset("amazon-beauty")
    prepare(
        str(source / "interactions.parquet"),
        str(source / "items.parquet"),
        None,
        tmp_path / "prepared",
        PreprocessSettings(),
    )
    data = PreparedDataset(tmp_path / "prepared")
    assert (len(data.user_ids), len(data.item_ids), len(data.splits)) == (22_363, 12_101, 198_502)
    assert [int((data.splits == split).sum()) for split in (0, 1, 2)] == [198_502 - 2 * 22_363, 22_363, 22_363]
    assert sum(title is None for title in data.titles) == 7
    assert data.facts["rejected"] == {}


def test_movielens_keeps_the_users_attributes(tmp_path: Path) -> None:
    source = dataset("movielens-100k")
    prepare(
        str(source / "interactions.parquet"),
        str(source / "items.parquet"),
        str(source / "users.parquet"),
        tmp_path / "prepared",
        PreprocessSettings(),
    )
    data = PreparedDataset(tmp_path / "prepared")
    assert (len(data.user_ids), len(data.item_ids), len(data.splits)) == (943, 1_682, 100_000)
    names = {attribute.split("=")[0] for row in data.user_attributes for attribute in row}
    assert names == {"age", "gender", "occupation"}  # a zip code is nearly a name: it is left out
    assert data.numeric.shape == (1_682, 1)
    assert abs(float(data.numeric.mean())) < 1e-5
