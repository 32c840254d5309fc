"""Publishing, the champion and its history, in every place for a registry."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers_decision import publish_decided, write_decision_of

from longtail.contracts.artifacts import BUNDLE, read_artifact
from longtail.contracts.errors import UserError
from longtail.registry.bundles import POINTER, BundleRegistry, bundle_id
from longtail.registry.locations import open_store
from longtail.registry.opening import open_registry
from longtail.scoring.bundle import load_bundle


def change(place: str, key: str, content: bytes) -> None:
    """Overwrite a stored file, as somebody would who has the rights."""
    store = open_store(place)
    found = store.read(key)
    assert store.write_if(key, content, found and found[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_published_is_fetched_byte_for_byte(place: str, bundle: Path, tmp_path: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    assert version.uri == f"{registry.uri}/versions/{version.id}"
    copy = registry.fetch(version, tmp_path / "copies")
    assert copy == tmp_path / "copies" / version.id
    assert contents(copy) == contents(bundle)
    assert load_bundle(copy).item_ids == ["a", "b", "c", "d"]
    assert registry.fetch(version, tmp_path / "copies") == copy
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [version.id]


def test_equal_bundles_are_one_version_and_others_another(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    (bundle / "stray.txt").write_text("not named by the manifest")
    version = registry.publish(bundle)
    assert registry.publish(bundle) == open_registry(place).version(version.id) == version
    assert registry.publish(other) != version
    assert not any("stray" in key for key in open_store(place).sizes("versions/"))


def test_the_address_is_the_one_that_storage_uri_names(tmp_path: Path, s3: str, bundle: Path):
    assert open_registry(f"{s3}/shop/").publish(bundle).uri.startswith(f"{s3}/shop/versions/")
    assert open_registry(s3).publish(bundle).uri.startswith(f"{s3}/versions/")
    uri = open_registry(str(tmp_path / "my models")).publish(bundle).uri
    assert uri.startswith(f"file://{tmp_path}/my%20models/versions/")
    assert open_registry(uri.partition("/versions/")[0]).uri == uri.partition("/versions/")[0]


def test_a_damaged_bundle_is_not_published(place: str, bundle: Path):
    (bundle / "attributes.json").write_text("[]")
    with pytest.raises(UserError, match=r"attributes\.json: differs from its checksum"):
        open_registry(place).publish(bundle)
    assert open_store(place).sizes("") == {}


def test_the_champion_moves_and_can_be_moved_back(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    assert registry.champion() is None
    assert registry.promotions() == []
    first, second = registry.publish(bundle), registry.publish(other)
    registry.promote(first, None, "the first")
    registry.promote(second, first, "better by .01")
    registry.promote(first, second, "errors")
    assert open_registry(place).champion() == first
    moves = open_registry(place).promotions()
    assert [(move.version, move.previous, move.reason) for move in moves] == [
        (first.id, None, "the first"),
        (second.id, first.id, "better by .01"),
        (first.id, second.id, "errors"),
    ]
    assert all(datetime.now(UTC) - move.at < timedelta(minutes=5) for move in moves)
    assert [move.at for move in moves] == sorted(move.at for move in moves)


def test_a_version_keeps_its_decision(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    assert registry.decision(version) is None
    assert publish_decided(registry, bundle, compared="ab") == version
    found = open_registry(place).decision(version)
    assert found and found.passed and found.champion and found.champion.version == "ab"
    publish_decided(registry, bundle, passed=False)  # it was evaluated again
    again = open_registry(place).decision(version)
    assert again and not again.passed
    assert not any("decision" in key for key in open_store(place).sizes("versions/"))
    change(place, f"decisions/{version.id}.json", write_decision_of(other, other.with_name("decided")).read_bytes())
    with pytest.raises(UserError, match=r"decides about another bundle than .*versions/"):
        registry.decision(version)
    change(place, f"decisions/{version.id}.json", b"{}")
    with pytest.raises(UserError, match="is no Decision that can be read"):
        registry.decision(version)


def test_who_overrode_the_decision_is_in_the_history(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    first, second = registry.publish(bundle), registry.publish(other)
    registry.promote(first, None, "the first")
    registry.promote(second, first, "by hand", override="the numbers of the shop")
    assert [move.override for move in open_registry(place).promotions()] == [None, "the numbers of the shop"]
    found = open_store(place).read(POINTER)
    assert found
    entries = json.loads(found[0])["promotions"]
    assert set(entries[0]) == {"version", "at", "previous", "reason"}  # as earlier releases wrote and read it
    assert entries[1]["override"] == "the numbers of the shop"


def test_a_champion_that_moved_meanwhile_is_not_overwritten(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    first, second = registry.publish(bundle), registry.publish(other)
    registry.promote(first, None, "the first")
    for expected in (None, second):
        with pytest.raises(
            UserError, match=f"champion is {first.id}, not .* as expected.*{second.id} was not promoted"
        ):
            registry.promote(second, expected, "late")
    assert len(registry.promotions()) == 1


def test_a_move_between_reading_and_writing_is_noticed(place: str, bundle: Path, other: Path):
    first, second = open_registry(place).publish(bundle), open_registry(place).publish(other)
    store = open_store(place)

    class Slow:
        """The store of a writer whom another overtakes between its reading and its writing of the pointer."""

        def __getattr__(self, name: str):
            return getattr(store, name)

        def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
            if key == POINTER:
                open_registry(place).promote(second, None, "quicker")
            return store.write_if(key, content, tag)

    with pytest.raises(UserError, match=f"{first.id} was not promoted"):
        BundleRegistry(Slow()).promote(first, None, "slower")
    assert [move.reason for move in open_registry(place).promotions()] == ["quicker"]


def test_a_write_whose_answer_was_lost_counts(place: str, bundle: Path):
    """A client that repeats a conditional write after a broken connection is refused by its own first write."""
    version = open_registry(place).publish(bundle)
    store = open_store(place)

    class Lossy:
        def __getattr__(self, name: str):
            return getattr(store, name)

        def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
            store.write_if(key, content, tag)
            return store.write_if(key, content, tag)

    BundleRegistry(Lossy()).promote(version, None, "once")
    assert [move.reason for move in open_registry(place).promotions()] == ["once"]


def test_a_storage_that_ignores_conditions_is_refused(place: str, bundle: Path):
    version = open_registry(place).publish(bundle)
    store = open_store(place)

    class Ignorant:
        def __getattr__(self, name: str):
            return getattr(store, name)

        def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
            return True

    with pytest.raises(UserError, match="ignores conditional writes"):
        BundleRegistry(Ignorant()).promote(version, None, "no")


def test_a_version_that_is_not_there(place: str, bundle: Path, tmp_path: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    with pytest.raises(UserError, match=rf"^{registry.uri}/versions/{'0' * 16}/manifest\.json: no such version"):
        registry.version("0" * 16)
    with pytest.raises(UserError, match=r"'\.\./x' is no version"):
        registry.version("../x")
    absent = type(version)("0" * 16, version.uri)
    with pytest.raises(UserError, match="no such version"):
        registry.promote(absent, None, "typing error")
    with pytest.raises(UserError, match="no such version"):
        registry.fetch(absent, tmp_path / "copies")
    assert registry.champion() is None


def test_damage_is_found_and_nothing_is_left(place: str, bundle: Path, tmp_path: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    folder = f"versions/{version.id}/"
    change(place, folder + "attributes.json", b'["gender=M"]')
    with pytest.raises(UserError, match=rf"^{version.uri}/attributes\.json: differs from its checksum.*publish"):
        registry.fetch(version, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []
    manifest = json.loads((bundle / "manifest.json").read_text()) | {"files": {}}
    change(place, folder + "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(UserError, match=r"manifest\.json: is not the manifest that was published"):
        registry.fetch(version, tmp_path / "copies")


def test_a_manifest_that_names_a_file_outside_writes_nothing_there(place: str, bundle: Path, tmp_path: Path):
    registry = open_registry(place)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {"../outside.txt": "0" * 64} | manifest["files"]
    content = json.dumps(manifest).encode()
    change(place, f"versions/{bundle_id(content)}/manifest.json", content)
    change(place, "versions/outside.txt", b"planted")
    with pytest.raises(UserError, match=r"manifest\.json: names '\.\./outside\.txt', a file outside"):
        registry.fetch(registry.version(bundle_id(content)), tmp_path / "copies")
    assert list((tmp_path / "copies").rglob("*.txt")) == []


def test_a_file_that_was_cut_off_is_mended_by_publishing_again(place: str, bundle: Path, tmp_path: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    change(place, f"versions/{version.id}/tensors.safetensors", b"cut off")
    registry.publish(bundle)
    read_artifact(registry.fetch(version, tmp_path), BUNDLE)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"format": "x", "version": 1}', b'{"format": "longtail/champion", "version": 2}']
)
def test_a_damaged_pointer_says_so(tmp_path: Path, bundle: Path, content: bytes):
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle)
    change(str(tmp_path / "registry"), POINTER, content)
    with pytest.raises(UserError, match=r"champion\.json: is damaged"):
        registry.champion()
    with pytest.raises(UserError, match=r"champion\.json: is damaged"):
        registry.promote(version, None, "no")


def test_golden_answers_lie_beside_the_bundle_the_last_ones(place: str, bundle: Path):
    registry = open_registry(place)
    version = registry.publish(bundle)
    assert registry.golden(version) == []
    for scores in ([1.0], [2.0]):
        golden = [{"history": ["ä"], "attributes": [], "context": [], "expected": ["b"], "scores": scores}]
        assert registry.publish(bundle, golden=golden) == version
        assert registry.golden(version) == golden
    registry.publish(bundle)
    assert registry.golden(version) == golden


def test_damaged_golden_answers_are_named(bundle: Path, tmp_path: Path):
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle, golden=[{"history": []}])
    (tmp_path / f"registry/golden/{version.id}.json").write_text("[1]")
    with pytest.raises(UserError, match=rf"golden/{version.id}\.json: is damaged .*; publish the bundle again"):
        registry.golden(version)
