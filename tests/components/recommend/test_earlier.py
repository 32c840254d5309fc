"""What was given before is not given again."""

from pathlib import Path

import pandas as pd
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody, given, rows
from helpers_prepared import write_tiny_prepared

from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.similar import similar_items
from longtail.contracts.artifacts import CAMPAIGN, write_artifact
from longtail.contracts.errors import UserError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(write_hand_bundle(tmp_path / "bundle"))


def test_each_list_goes_on_where_the_ones_before_ended(tmp_path: Path, bundle: Path):
    users, earlier = everybody({"ann": [], "bob": ["a"]}), list[str]()
    found: dict[str, list[str]] = {"ann": [], "bob": []}
    for number in range(3):
        settings = RecommendSettings(k=1, not_repeated_from=tuple(earlier), processes=1)
        facts = recommend(bundle, users, tmp_path / f"{number}", settings)
        assert facts.get("users_not_given_again") == (2 if earlier else None)
        for user, items in given(tmp_path / f"{number}").items():
            found[user] += items
        earlier.append(str(tmp_path / f"{number}"))
    assert found == {"ann": ["a", "b", "c"], "bob": ["b", "c", "d"]}
    facts = recommend(
        bundle, users, tmp_path / "3", RecommendSettings(k=2, not_repeated_from=tuple(earlier), processes=1)
    )
    assert given(tmp_path / "3") == {"ann": ["d"]}
    ann, bob = rows(tmp_path / "3", "users")
    assert ann["fewer_than_k"] == "of 4 items, 1 are not excluded"
    assert bob["fewer_than_k"] == "of 4 items, 1 are not excluded, 0 are not in the history"
    assert facts["counts"]["fewer than k items"] == 2


def test_only_who_was_contacted_by_a_campaign_was_given_its_items(tmp_path: Path, bundle: Path):
    plan = {
        "user_id": ["ann", "bob", "stranger", "cy"],
        "arm": ["contact", "hold-out", "contact", "contact"],
        "items": [["a", "gone"], ["a"], ["a"], ["b"]],
    }
    with write_artifact(tmp_path / "campaign", CAMPAIGN, {}) as folder:
        pd.DataFrame(plan).to_parquet(folder / "campaign.parquet")
    settings = RecommendSettings(k=2, not_repeated_from=(str(tmp_path / "campaign"),), processes=1)
    facts = recommend(bundle, everybody({"ann": [], "bob": [], "cy": []}), tmp_path / "lists", settings)
    assert given(tmp_path / "lists") == {"ann": ["b", "c"], "bob": ["a", "b"], "cy": ["a", "c"]}
    assert facts["users_not_given_again"] == 2


def test_a_folder_of_another_kind_is_refused(tmp_path: Path, bundle: Path):
    similar_items(bundle, tmp_path / "similar", RecommendSettings(k=1, processes=1))
    prepared = write_tiny_prepared(tmp_path / "prepared")
    for folder, message in (
        (prepared, "is a longtail/prepared artifact; name a folder that recommend-all or a campaign wrote"),
        (tmp_path / "similar", "holds no lists of users, but of items; name lists"),
        (tmp_path, "is no artifact of longtail"),
    ):
        with pytest.raises(UserError, match=f"not_repeated_from: {folder} {message}"):
            recommend(
                bundle, everybody({"ann": []}), tmp_path / "l", RecommendSettings(not_repeated_from=(str(folder),))
            )
