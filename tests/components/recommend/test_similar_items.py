"""For every item those like it, as the recommender answers ``similar_to``."""

from pathlib import Path

import pytest
from helpers_bundle import write_tiny_bundle
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import rows

from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.similar import similar_items
from longtail.contracts.errors import UserError
from longtail.scoring.recommender import Recommender


def test_each_item_has_the_list_of_its_page(tmp_path: Path):
    bundle = Path(write_hand_bundle(tmp_path / "bundle", text=True))
    (tmp_path / "shop.yaml").write_text("hidden: [d]")
    settings = RecommendSettings(
        k=2, exclude=("b",), availability=str(tmp_path / "shop.yaml"), users_per_part=3, processes=1
    )
    facts = similar_items(bundle, tmp_path / "similar", settings)
    recommender = Recommender.load(bundle)
    found = rows(tmp_path / "similar", "similar_items")
    for item in "abcd":
        answer = recommender.recommend(similar_to=[item], exclude=["b", "d"], k=2)
        mine = [row for row in found if row["similar_to"] == item]
        assert [row["item_id"] for row in mine] == [one.item_id for one in answer.items]
        assert [row["score"] for row in mine] == pytest.approx([one.score for one in answer.items], abs=1e-5)
        assert [row["reason"] for row in mine] == [one.reason for one in answer.items]
        assert [row["rank"] for row in mine] == list(range(1, len(mine) + 1))
    assert facts["counts"] == {"asked": 4, "rows": len(found), "fewer than k items": 2}


def test_what_says_nothing_of_items_is_refused(tmp_path: Path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with pytest.raises(UserError, match="not_repeated_from: is read for users"):
        similar_items(bundle, tmp_path / "s", RecommendSettings(not_repeated_from=(str(bundle),)))
    with pytest.raises(UserError, match="k is 31, but the catalogue holds 30 items"):
        similar_items(bundle, tmp_path / "s", RecommendSettings(k=31))
