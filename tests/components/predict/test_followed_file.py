"""The files of the operations staff beside the real server: followed, and never half obeyed."""

import time

import pytest
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from helpers_server import put, until

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.components.predict.followed_file import FollowedFile
from longtail.components.predict.model import LAST_GOOD
from longtail.contracts.errors import UserError
from longtail.rollout.addresses import at
from longtail.rollout.answers import compare_answers
from longtail.system.http import fetch

pytestmark = pytest.mark.slow  # they start the model server, and wait until it has read its files anew

LAST = LAST_GOOD.format("availability")


def test_it_is_followed_while_serving(tmp_path):
    bundle, path = write_hand_bundle(tmp_path / "bundle"), tmp_path / "availability.yaml"
    put(path, "sold_out: [a]")
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(path)]) as server:

        def answer():
            (prediction,) = ask(server.url, "shop", [{"k": 4}])
            return [item["item_id"] for item in prediction["items"]], prediction["degraded"]

        def read():
            lines = fetch(f"{server.url}/metrics").decode().splitlines()
            return [line.rpartition(" ")[2] for line in lines if line.startswith("longtail_file_taken{")]

        assert (answer(), read()) == ((["b", "c", "d"], None), ["1.0"])
        put(path, "hidden: [b, d]")
        until(answer, (["a", "c"], None))
        put(path, "hidden: [b, d")  # broken: what it last said goes on, and every answer says so
        until(answer, (["a", "c"], LAST))
        assert read() == ["0.0"]
        path.unlink()
        time.sleep(1.5)
        assert answer() == (["a", "c"], LAST)
        put(path, "hidden: []")
        until(answer, (["a", "b", "c", "d"], None))
        assert read() == ["1.0"]
    assert "the last good availability go on" in (tmp_path / "log").read_text()


def test_a_rollout_compares_what_the_shop_did_not_change(tmp_path):
    bundle, path = write_hand_bundle(tmp_path / "bundle"), tmp_path / "availability.yaml"
    put(path, "sold_out: [a]")  # which two of the three would be shown
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(path)]) as server:
        compared = compare_answers(at(server.url), "shop", GOLDEN)
        assert (compared["golden_users"], compared["changed_by_shop"]) == (3, 2)
        wrong = [GOLDEN[0], GOLDEN[1] | {"scores": [1.05, 0.9, -1.2]}, GOLDEN[2]]
        with pytest.raises(UserError, match=r"evaluated user 1 \(history \['a'\]\)"):
            compare_answers(at(server.url), "shop", wrong)
        with pytest.raises(UserError, match="change the answers to all evaluated users"):
            compare_answers(at(server.url), "shop", [GOLDEN[0], GOLDEN[2]])


def test_without_a_last_good_one_nothing_starts(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle")
    (tmp_path / "wrong.yaml").write_text("hiden: [a]")
    for name, message in (
        ("none.yaml", "none.yaml: cannot be read"),
        ("wrong.yaml", "wrong.yaml: hiden: Extra inputs"),
    ):
        with (
            pytest.raises(UserError, match=message),
            running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(tmp_path / name)]),
        ):
            pass


def test_a_file_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("longtail.components.predict.file_sources.MAX_BYTES", 10)
    (tmp_path / "f.yaml").write_text("hidden: [abcdef]")
    with pytest.raises(UserError, match=r"f\.yaml: is larger than 10 bytes"):
        FollowedFile("rules", tmp_path / "f.yaml", lambda text, path: None)


RULES = """
rules:
  - {name: nothing new for newcomers, for: [cold], hide: [chair]}
  - {name: front page, pin: {1: c}}
"""


def test_rules_are_followed_while_serving(tmp_path):
    attributes = (("lamp",), ("lamp",), ("chair",), ("chair",))
    bundle, path = write_hand_bundle(tmp_path / "bundle", attributes=attributes), tmp_path / "rules.yaml"
    put(path, RULES)
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--rules", str(path)]) as server:

        def answer(**asked):
            (prediction,) = ask(server.url, "shop", [{"k": 3, **asked}])
            return [item["item_id"] for item in prediction["items"]], prediction["rules"], prediction["degraded"]

        # what is hidden is not pinned either
        assert answer() == (["a", "b"], ["nothing new for newcomers"], None)
        assert answer(history=["a"]) == (["c", "b", "d"], ["front page"], None)
        put(path, "rules: [{name: x, hide: [lamps]}]")
        until(lambda: answer(history=["a"])[2], LAST_GOOD.format("rules"))
        assert answer(history=["a"])[:2] == (["c", "b", "d"], ["front page"])
        put(path, "rules: []")
        until(answer, (["a", "b", "c"], [], None))
    assert "rule 'x': no item has the attribute 'lamps'" in (tmp_path / "log").read_text()
