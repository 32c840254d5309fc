"""The stage: which bundle is served after the gate."""

import numpy as np
import pytest
from helpers_counted import write_counted_bundle
from helpers_prepared import write_tiny_prepared, write_tiny_teacher

from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.refresh import component
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.artifacts import MANIFEST, sha256
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.bundle import load_bundle


class Given:
    """A Prepared data set and the bundle that learnt from its training events."""

    def __init__(self, folder):
        self.prepared = write_tiny_prepared(folder / "prepared")
        self.data = PreparedDataset(self.prepared)
        self.bundle = write_counted_bundle(folder / "bundle", self.data)
        self.out = folder / "out"

    def run(self, mode="refresh", passed=True):
        refresh(self.prepared, "none", self.bundle, self.out, RefreshSettings(mode=mode), passed)
        return load_bundle(self.out)


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


def test_what_is_served_has_counted_all_events(given):
    served = given.run()
    assert served.train_counts.sum() == len(given.data.splits) > given.data.train_counts.sum()
    assert served.facts["refreshed"]["from"] == sha256(given.bundle / MANIFEST)


@pytest.mark.parametrize(("mode", "passed"), [("none", True), ("refresh", False)])
def test_the_measured_bundle_is_passed_on_file_by_file(given, mode, passed):
    served = given.run(mode, passed)
    assert "refreshed" not in served.facts
    for folder in (given.bundle, given.out):
        assert {file.name for file in folder.iterdir()} == {file.name for file in given.bundle.iterdir()}
    assert all((given.out / file.name).read_bytes() == file.read_bytes() for file in given.bundle.iterdir())


def test_another_catalogue_is_refused(given, tmp_path):
    given.prepared = write_tiny_prepared(tmp_path / "other", n_items=31)
    with pytest.raises(UserError, match="its catalogue is not that of"):
        given.run()
    assert not given.out.exists()


def test_the_component_runs_the_stage(given):
    class Stored:
        def __init__(self, path):
            self.path = str(path)

    settings = RefreshSettings().canonical()
    component.refresh.python_func(
        Stored(given.prepared), Stored("none"), Stored(given.bundle), True, settings, Stored(given.out)
    )
    assert load_bundle(given.out).facts["refreshed"]["mode"] == "refresh"


def test_what_has_seen_the_targets_cannot_be_evaluated_on_them(given, tmp_path):
    given.run()
    teacher = write_tiny_teacher(tmp_path / "teacher", given.prepared)
    with pytest.raises(UserError, match="was refreshed with later events; evaluate the bundle that it was made of"):
        evaluate(given.prepared, teacher, given.out, tmp_path / "evaluation", EvaluateSettings(bootstrap_samples=100))


def test_counts_grow_by_what_validated_and_tested(given):
    data, served, measured = given.data, given.run(), load_bundle(given.bundle)
    held_back = np.bincount(data.item_codes[data.splits > 0], minlength=30)
    assert np.array_equal(served.train_counts - measured.train_counts, held_back)
