"""Which bundle an address names today, and getting it onto this disk."""

import logging
import shutil
from pathlib import Path

import pytest
from helpers_decision import write_decision_of
from test_bundles import change

from longtail.contracts.errors import UserError
from longtail.registry.champion import bundle_of_run, bundle_today, champion_folder
from longtail.registry.opening import open_registry
from longtail.scoring.bundle import load_bundle


@pytest.mark.slow
def test_the_registrys_champion(place: str, bundle: Path, other: Path):
    registry = open_registry(place)
    first, second = registry.publish(bundle), registry.publish(other)
    registry.promote(first, None, "the first")
    for given in (place, f"registry:{place}"):
        assert bundle_today(given) == f"{first.uri}#{first.id}"
        with champion_folder(given) as folder:
            assert folder and load_bundle(folder).titles[0] == "Red lamp"
        assert not folder.exists()
    found = bundle_today(place)
    registry.promote(second, first, "better")
    assert bundle_today(place) == f"{second.uri}#{second.id}"
    with champion_folder(found) as folder:  # what was found stays what it was
        assert folder and load_bundle(folder).titles[0] == "Red lamp"


def test_a_registry_without_a_champion_says_so(place: str, bundle: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING), champion_folder(f"registry:{place}") as folder:
        assert folder is None
    assert "has no champion yet" in caplog.text
    with pytest.raises(UserError, match=r"holds neither a bundle .* nor a registry's champion.*registry:"):
        bundle_today(place)


def test_no_champion_is_none():
    with champion_folder("") as folder:
        assert folder is None


def test_of_a_run_its_bundle_whose_gate_passed(bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    run = tmp_path / "run"
    results = run / "results"
    shutil.copytree(bundle, results / "bundle")
    for given in ("s3://shop/models", "registry:models", str(bundle)):  # are no run's folder
        assert bundle_of_run(given) == given
    with pytest.raises(UserError, match=r"^--champion .*decision\.json: no such file.*--override"):
        bundle_of_run(str(run))
    write_decision_of(bundle, results)
    assert bundle_of_run(str(run)) == str(results / "bundle")
    write_decision_of(bundle, results, passed=False)
    with pytest.raises(UserError, match=r"^--champion .*the gate did not pass.*--override"):
        bundle_of_run(str(run))
    assert bundle_of_run(str(run), "it serves today") == str(results / "bundle")
    assert "compared with because: it serves today" in caplog.text


def test_a_bundle_itself(place: str, bundle: Path, other: Path, tmp_path: Path):
    version = open_registry(place).publish(bundle)
    assert bundle_today(version.uri) == f"{version.uri}#{version.id}"
    with champion_folder(version.uri) as folder:
        assert folder and load_bundle(folder).titles[0] == "Red lamp"
    with champion_folder(str(bundle)) as folder:
        assert folder == bundle


def test_a_bundle_that_was_replaced_or_damaged(place: str, bundle: Path, other: Path):
    version = open_registry(place).publish(bundle)
    found = bundle_today(version.uri)
    change(place, f"versions/{version.id}/attributes.json", b'["gender=M"]')
    with pytest.raises(UserError, match=r"/attributes\.json: differs from its checksum"), champion_folder(found):
        pass
    change(place, f"versions/{version.id}/manifest.json", (other / "manifest.json").read_bytes())
    with pytest.raises(UserError, match=rf"is not the bundle {version.id} \(any more\)"), champion_folder(found):
        pass
