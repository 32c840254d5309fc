"""Lists for everybody, compared with the recommender's answers one by one."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_bundle import write_tiny_bundle
from helpers_prepared import write_tiny_prepared

from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.artifacts import LISTS, read_artifact
from longtail.contracts.histories import Histories
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.asked import Asked
from longtail.scoring.recommender import Recommender


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedDataset:
    return PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))


@pytest.fixture
def bundle(tmp_path: Path, prepared: PreparedDataset) -> Path:
    return write_tiny_bundle(tmp_path / "bundle", item_ids=prepared.item_ids)


def rows(folder: Path, name: str) -> list[dict[str, object]]:
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / name).glob("*.parquet"))).to_pylist()


def test_lists_are_what_the_recommender_answers_each_user(tmp_path: Path, bundle: Path, prepared: PreparedDataset):
    settings = RecommendSettings(k=4, users_per_part=50, processes=1)
    recommend(bundle, Histories.of(prepared), tmp_path / "lists", settings)
    assert read_artifact(tmp_path / "lists", LISTS).facts["counts"]["users"] == 120
    users, found = rows(tmp_path / "lists", "users"), rows(tmp_path / "lists", "recommendations")
    assert [user["user_id"] for user in users] == prepared.user_ids
    recommender, place = Recommender.load(bundle), 0
    for code, user in enumerate(users):
        history = [prepared.item_ids[item] for item in prepared.whole_history(code)]
        answer = recommender.answers([Asked(history, prepared.user_attributes[code], k=4)])[0]
        assert (user["segment"], user["events"], user["given"]) == (answer.segment, len(history), 4)
        for rank, item in enumerate(answer.items, start=1):
            row = found[place]
            place += 1
            assert (row["user_id"], row["rank"], row["item_id"]) == (user["user_id"], rank, item.item_id)
            assert (row["title"], row["reason"], row["source"], row["about"]) == (
                item.title, item.reason, item.source, item.about
            )  # fmt: skip
            assert row["score"] == pytest.approx(item.score, abs=1e-5)
    assert place == len(found)
