"""decision.json: written, read again, and never taken for a pass where it is none."""

import json
import shutil
from dataclasses import replace

import pytest
from helpers_bundle import write_tiny_bundle
from helpers_decision import refresh
from helpers_evaluation import decision, finding

from longtail.contracts.artifacts import EVALUATION, manifest_digest, write_artifact
from longtail.contracts.decision import (
    DECISION,
    Champion,
    Decision,
    check_passed,
    load_decision,
    write_decision,
)
from longtail.contracts.errors import UserError


def of(bundle, passed=True, **changes):
    return replace(decision(passed), bundle=manifest_digest(bundle), **changes)


def written(path, found: Decision):
    with write_artifact(path, EVALUATION, {}) as folder:
        write_decision(found, folder)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


def test_read_as_written(tmp_path, bundle):
    champion = Champion("s3://shop/versions/ab", "s3://shop", "ab", "c" * 64)
    found = of(bundle, champion=champion, skipped=("Not asked.",), unknown_order=0.25)
    place = written(tmp_path / "evaluation", found)
    assert load_decision(place) == found
    assert check_passed(place, bundle) == found


def test_a_runs_folder_and_a_file_are_read_too(tmp_path, bundle):
    place = written(tmp_path / "evaluation", of(bundle))
    (tmp_path / "run").mkdir()
    shutil.copy(place / DECISION, tmp_path / "run" / DECISION)
    assert load_decision(tmp_path / "run") == load_decision(tmp_path / "run" / DECISION) == of(bundle)


def test_what_did_not_pass_says_why(tmp_path, bundle):
    found = of(bundle, False, findings=(finding(True), finding(False, sentence="Tail: worse than champion.")))
    place = written(tmp_path / "evaluation", found)
    with pytest.raises(UserError, match=r"did not pass, so .*bundle may not be served\. Tail: worse than champion\.$"):
        check_passed(place, bundle)


def test_another_bundle_is_not_passed(tmp_path, bundle):
    other = write_tiny_bundle(tmp_path / "other", seed=9)
    with pytest.raises(UserError, match="decides about another bundle"):
        check_passed(written(tmp_path / "evaluation", of(other)), bundle)


def test_a_refreshed_bundle_goes_by_the_decision_of_the_one_that_was_measured(tmp_path, bundle):
    place = written(tmp_path / "evaluation", of(bundle))
    fresh = write_tiny_bundle(tmp_path / "fresh", seed=9)
    refresh(fresh, manifest_digest(bundle))
    assert check_passed(place, fresh) == of(bundle)
    assert check_passed(written(tmp_path / "own", of(fresh)), fresh).passed  # or by its own, where it was measured
    refresh(fresh, "d" * 64)
    with pytest.raises(UserError, match="decides about another bundle"):
        check_passed(place, fresh)


def test_missing_changed_or_old_is_never_a_pass(tmp_path, bundle):
    with pytest.raises(UserError, match="nothing says that the bundle may be served"):
        check_passed(tmp_path, bundle)
    place = written(tmp_path / "evaluation", of(bundle))
    document = json.loads((place / DECISION).read_text())
    (place / DECISION).write_text(json.dumps(document | {"passed": True, "seen": 1}))
    with pytest.raises(UserError, match="differs from its checksum"):
        check_passed(place, bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"passed": False},
        {"findings": []},
        {"bundle": None, "extra": 1},
        {"findings": [{"asks": "better"}]},
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, bundle, change):
    (tmp_path / DECISION).write_text(json.dumps(of(bundle).document() | change))
    with pytest.raises(UserError, match="is no Decision that can be read"):
        load_decision(tmp_path)


def test_a_finding_that_failed_cannot_stand_in_a_pass(tmp_path, bundle):
    document = of(bundle).document()
    document["findings"][0]["passed"] = False
    (tmp_path / DECISION).write_text(json.dumps(document))
    with pytest.raises(UserError, match="says that it passed, but its findings do not"):
        load_decision(tmp_path)
