"""Kubeflow Model Registry: what it stores, and that it refuses in one message."""

from pathlib import Path

import pytest
from helpers_decision import publish_decided
from helpers_model_registry import Entities, model_registry  # noqa: F401  (a fixture)

from longtail.contracts.errors import UserError
from longtail.registry.champion import bundle_today, champion_folder
from longtail.registry.interface import Registry
from longtail.registry.opening import open_registry
from longtail.registry.promotable import may_replace
from longtail.scoring.bundle import load_bundle
from longtail.system.machine import free_ports

pytest.importorskip("mr_openapi", reason="needs the model-registry extra")


@pytest.fixture
def address(model_registry: tuple[str, Entities], tmp_path: Path) -> str:  # noqa: F811
    return f"model-registry://{model_registry[0]}/shop?files={tmp_path}/models"


@pytest.fixture
def entities(model_registry: tuple[str, Entities]) -> Entities:  # noqa: F811
    return model_registry[1]


@pytest.fixture
def registry(address: str) -> Registry:
    return open_registry(address)


def test_a_version_is_known_with_its_place(
    registry: Registry, entities: Entities, bundle: Path, other: Path, tmp_path: Path
):
    version = registry.publish(bundle)
    assert registry.publish(bundle) == registry.version(version.id) == version
    assert version == open_registry(f"{tmp_path}/models").version(version.id)
    assert registry.publish(other) != version
    (model,) = entities.kinds["registered_models"]
    assert model["name"] == "shop"
    assert entities.kinds["model_versions"][0]["name"] == version.id
    artifact = entities.kinds["artifacts"][0]
    assert (artifact["uri"], artifact["modelFormatName"], artifact["modelFormatVersion"]) == (
        version.uri,
        "longtail-bundle",
        "1",
    )
    assert load_bundle(registry.fetch(version, tmp_path / "copies")).titles[0] == "Red lamp"


@pytest.mark.slow
def test_the_champion_and_its_history(registry: Registry, entities: Entities, bundle: Path, other: Path):
    assert registry.champion() is None
    first, second = registry.publish(bundle), registry.publish(other)
    registry.promote(first, None, "the first")
    registry.promote(second, first, "better")
    registry.promote(first, second, "errors")
    assert registry.champion() == first
    assert [(move.version, move.previous, move.reason) for move in registry.promotions()] == [
        (first.id, None, "the first"),
        (second.id, first.id, "better"),
        (first.id, second.id, "errors"),
    ]
    assert [serve["name"] for serve in entities.kinds["serves"]] == [f"promotion-{n:06d}" for n in (1, 2, 3)]
    with pytest.raises(UserError, match=f"the champion is {first.id}, not {second.id} as expected"):
        registry.promote(second, second, "late")


def test_a_version_keeps_its_decision_and_the_history_who_overrode_it(
    registry: Registry, address: str, bundle: Path, other: Path
):
    first, second = publish_decided(registry, bundle), registry.publish(other)
    found = open_registry(address).decision(first)
    assert found and found.passed
    assert registry.decision(second) is None
    with pytest.raises(UserError, match=f"nothing says that version {second.id} may be served"):
        may_replace(registry, second)
    registry.promote(first, None, "the first")
    registry.promote(second, first, "by hand", override="the numbers of the shop")
    assert [move.override for move in open_registry(address).promotions()] == [None, "the numbers of the shop"]


def test_of_two_who_promote_at_once_one_wins(registry: Registry, address: str, bundle: Path, other: Path):
    first, second = registry.publish(bundle), registry.publish(other)
    slow = open_registry(address)
    read = slow.promotions

    def overtaken():
        moves = read()
        if not moves:
            registry.promote(second, None, "quicker")
        return moves

    slow.promotions = overtaken
    with pytest.raises(UserError, match=f"{first.id} was not promoted"):
        slow.promote(first, None, "slower")
    assert [move.reason for move in registry.promotions()] == ["quicker"]


def test_evaluates_champion_comes_from_it(registry: Registry, address: str, bundle: Path):
    assert bundle_today(address) == ""
    version = registry.publish(bundle)
    registry.promote(version, None, "the first")
    assert bundle_today(address) == f"{version.uri}#{version.id}"
    with champion_folder(address) as folder:
        assert folder and load_bundle(folder).item_ids == ["a", "b", "c", "d"]


def test_a_publication_that_was_killed_is_no_version(
    registry: Registry, entities: Entities, bundle: Path, tmp_path: Path
):
    version = registry.publish(bundle)
    entities.kinds["artifacts"].clear()  # killed between the two entries
    with pytest.raises(UserError, match=f"there is no version {version.id}; publish the bundle"):
        registry.version(version.id)
    assert registry.publish(bundle) == version
    entities.kinds["model_versions"].clear()
    with pytest.raises(UserError, match="there is no version"):
        registry.promote(version, None, "no")


def test_the_pods_token_is_sent_and_never_shown(
    registry: Registry, entities: Entities, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "token").write_text("secret-of-the-test\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    registry.publish(bundle)
    assert entities.tokens == {"Bearer secret-of-the-test"}
    entities.refuse = 403
    with pytest.raises(UserError, match=r"refused this account \(HTTP 403\)") as caught:
        registry.champion()
    assert "secret-of-the-test" not in str(caught.value)
    entities.refuse = 500
    with pytest.raises(UserError, match=r"the model registry failed \(HTTP 500"):
        registry.champion()
    entities.refuse = 404  # a server whose API has another version
    with pytest.raises(UserError, match="does not know this API; install the model-registry client of the server's"):
        registry.publish(bundle)


def test_addresses(bundle: Path, tmp_path: Path):
    host = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UserError, match=f"nobody answers at http://{host}; check host and port"):
        open_registry(f"model-registry://{host}/shop").champion()
    with pytest.raises(UserError, match=r"says not where bundles lie; add \?files="):
        open_registry(f"model-registry://{host}/shop").publish(bundle)
    for wrong in (f"model-registry://{host}", "model-registry:///shop", f"model-registry://{host}/a/b"):
        with pytest.raises(UserError, match="the form is model-registry://host:port/name"):
            open_registry(wrong)
