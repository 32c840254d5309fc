"""Which champion a version may replace, by its Decision."""

from pathlib import Path

import pytest
from helpers_decision import NOBODY, publish_decided, publish_rivals, refresh
from helpers_hand_bundle import write_hand_bundle

from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.errors import UserError
from longtail.registry.interface import Registry
from longtail.registry.opening import open_registry
from longtail.registry.promotable import may_replace


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(str(tmp_path / "models"))


def test_the_first_one_replaces_nobody(registry: Registry, bundle: Path):
    assert may_replace(registry, publish_decided(registry, bundle)) is None
    assert may_replace(registry, publish_decided(registry, bundle, compared=NOBODY)) is None


def test_the_champion_that_it_was_compared_with(registry: Registry, bundle: Path, other: Path):
    first, second = publish_rivals(registry, bundle, other)
    registry.promote(first, None, "the first")
    assert may_replace(registry, second) == first
    registry.promote(second, first, "better")
    assert may_replace(registry, first) == second
    assert may_replace(registry, second) == second  # is rolled out again


@pytest.mark.parametrize("compared", [None, NOBODY])
def test_a_champion_that_it_was_not_compared_with(registry: Registry, bundle: Path, other: Path, compared: str | None):
    first, second = registry.publish(bundle), publish_decided(registry, other, compared=compared)
    registry.promote(first, None, "the first")
    with pytest.raises(UserError) as caught:
        may_replace(registry, second)
    assert f"the champion is {first.id} now, and version {second.id} was compared with {compared or 'none'}" in str(
        caught.value
    )
    assert f"--champion registry:{registry.uri}" in str(caught.value)
    assert may_replace(registry, second, "we know better") == first


def test_without_a_decision_or_a_pass(registry: Registry, bundle: Path):
    version = registry.publish(bundle)
    with pytest.raises(UserError, match=f"nothing says that version {version.id} may be served"):
        may_replace(registry, version)
    publish_decided(registry, bundle, passed=False)
    with pytest.raises(UserError, match=f"did not pass for version {version.id}.*override.*worse than item CF"):
        may_replace(registry, version)
    assert may_replace(registry, version, "we know better") is None


def test_a_refreshed_bundle_replaces_the_one_that_it_was_made_from(registry: Registry, bundle: Path, tmp_path: Path):
    measured = registry.publish(bundle)
    publish_decided(registry, bundle)
    registry.promote(measured, None, "the first")
    decided = bundle.with_name("bundle.decided") / "decision.json"
    fresh = write_hand_bundle(tmp_path / "fresh", titles=("Green lamp", "Blue lamp", None, "Chair"))
    refresh(fresh, manifest_digest(bundle))
    first = registry.publish(fresh, decided)
    assert may_replace(registry, first) == measured
    registry.promote(first, measured, "refreshed")
    fresher = write_hand_bundle(tmp_path / "fresher", titles=("Green lamp", "Green lamp", None, "Chair"))
    refresh(fresher, manifest_digest(bundle))
    assert may_replace(registry, registry.publish(fresher, decided)) == first
