"""The benchmark of memory: its slope is least squares', its questions are all different and mostly answered."""

import itertools
import json
import sys
from pathlib import Path

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_questions import ATTRIBUTES

from longtail.components.predict.request import Instance
from longtail.scoring.bundle import load_bundle

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import soak


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_hand_bundle(tmp_path_factory.mktemp("soaked") / "bundle", attributes=ATTRIBUTES)


def reading(requests, rss):
    return soak.Reading(requests, 0.0, rss, 1, 1)


def test_the_slope_is_of_what_comes_after_the_warm_up():
    """After it 1000, 1300 and 1200 bytes at 100, 200 and 300 requests: one byte a request."""
    readings = [reading(0, 10), reading(50, 900), reading(100, 1000), reading(200, 1300), reading(300, 1200)]
    assert soak.slope(readings, 100) == pytest.approx(1.0)


def test_one_reading_makes_no_slope():
    with pytest.raises(SystemExit, match="1 readings after 100 requests make no slope"):
        soak.slope([reading(0, 1), reading(100, 2)], 100)


def test_questions_are_varied_and_those_of_two_clients_differ(bundle):
    mine, others = (list(itertools.islice(soak.questions(load_bundle(bundle), seed), 400)) for seed in (0, 1))
    assert len({json.dumps(one) for one in mine}) > 350 and mine != others
    keys = {key for one in mine for key in one}
    assert keys == set(Instance.model_fields) - {"attributes", "context"}
    assert 0 < sum(one["k"] == 0 for one in mine) < 30


@pytest.mark.slow
def test_the_server_is_read_after_each_part(bundle, tmp_path, monkeypatch, capsys):
    command = ["soak.py", "--bundle", str(bundle), "--requests", "120", "--every", "40", "--warm-up", "40"]
    monkeypatch.setattr(sys, "argv", [*command, "--json", str(tmp_path / "soak.json")])
    soak.main()
    written = json.loads((tmp_path / "soak.json").read_text())
    assert [one["requests"] for one in written["readings"]] == [0, 40, 80, 120]
    assert all(one["rss"] > 1e7 and one["threads"] > 1 for one in written["readings"])
    said = capsys.readouterr().out
    answered, refused = (int(word.strip(",")) for word in said.split("answered ")[1].split()[:3:2])
    assert answered > 60 and answered + refused == 120
    assert "slope after 40 requests:" in said
