"""Every setting of recommend changes the lists, who makes them or how they are kept: none is there for nothing."""

from pathlib import Path
from typing import Any

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody, rows

from longtail.components.recommend import jobs
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.settings_base import from_json, leaves, places

USERS = everybody({"ann": ["a"], "bob": [], "cy": ["b", "c"]})
SHOP = {
    "availability": "hidden: [a]",
    "rules": "rules: [{name: first, pin: {1: d}}]",
}
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {  # setting -> the others beside it, and its changed value
    "k": ({}, 2),
    "filters.all": ({}, ["chair"]),
    "filters.any": ({}, ["chair"]),
    "filters.none": ({}, ["chair"]),
    "filters.ranges": ({}, {"price": [6, None]}),
    "exclude": ({}, ["b"]),
    "max_per": ({}, {"lamp": 1}),
    "diversity": ({"diversity_on": "attributes"}, 0.9),
    "diversity_by": ({"k": 2, "diversity": 0.9, "diversity_on": "vectors"}, "dpp"),
    "diversity_on": ({"diversity": 0.9}, "attributes"),
    "fold": ({}, True),
    "context": ({}, ["occasion=party"]),
    "explain": ({}, False),
    "availability": ({}, "availability"),
    "rules": ({}, "rules"),
    "not_repeated_from": ({}, ["earlier"]),
}
WHO = {"users_per_part", "processes", "engine", "spark_remote"}  # tests below, test_spark.py and tests of the engine


def test_no_setting_is_forgotten() -> None:
    assert {*CHANGES, *WHO} == set(leaves(RecommendSettings))


def settings_of(given: dict[str, Any]) -> RecommendSettings:
    document: dict[str, Any] = {"k": 3, "processes": 1}
    for name, value in given.items():
        outer, _, inner = name.rpartition(".")
        document |= {outer: {inner: value}} if outer else {name: value}
    return RecommendSettings.model_validate(document)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    attributes = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux"))
    titles = ("Red lamp", "Lamp, red", None, "Chair")
    folder = tmp_path_factory.mktemp("shop") / "bundle"
    return Path(write_hand_bundle(folder, attributes=attributes, titles=titles, numbers={"price": [5, 9, 20, 7]}))


@pytest.mark.parametrize("name", CHANGES)
def test_it_changes_the_lists(name: str, tmp_path: Path, bundle: Path) -> None:
    beside, value = CHANGES[name]
    if name in SHOP:
        (tmp_path / name).write_text(SHOP[name])
        value = str(tmp_path / name)
    if name == "not_repeated_from":
        recommend(bundle, USERS, tmp_path / "earlier", settings_of({"k": 1}))
        value = [str(tmp_path / "earlier")]
    found = []
    for given in (beside, beside | {name: value}):
        recommend(bundle, USERS, tmp_path / "lists", settings_of(given))
        found.append(rows(tmp_path / "lists", "recommendations"))
    assert found[0] != found[1]


def test_users_per_part_are_those_of_a_file(tmp_path: Path, bundle: Path) -> None:
    recommend(bundle, USERS, tmp_path / "lists", settings_of({"users_per_part": 2}))
    assert len(list((tmp_path / "lists" / "users").iterdir())) == 2


def test_processes_are_so_many(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(jobs, "run_parts", lambda *given: asked.append(given[3].processes))
    with pytest.raises(FileNotFoundError):  # nothing was done
        recommend(bundle, USERS, tmp_path / "lists", settings_of({"processes": 5}))
    assert asked == [5]


def test_settings_travel_as_text_and_name_their_places() -> None:
    given = settings_of(
        {"availability": "a.yaml", "not_repeated_from": ["one", "two"], "filters.ranges": {"x": [None, 1]}}
    )
    assert from_json(RecommendSettings, given.canonical()) == given
    assert [found.uri for found in places(given)] == ["a.yaml", "one", "two"]
