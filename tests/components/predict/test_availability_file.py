"""The availability file beside the real server: followed, and never half obeyed."""

import time

import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.availability import AvailabilityFile
from longtail.components.predict.client import ask
from longtail.components.predict.model import LAST_AVAILABILITY
from longtail.contracts.errors import UserError
from longtail.system.http import fetch


def put(path, text):
    """As an operator should: whole, by a rename."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def until(found, expected, seconds=30):
    """Waits until ``found()`` is what is expected."""
    end = time.monotonic() + seconds
    while (last := found()) != expected:
        assert time.monotonic() < end, last
        time.sleep(0.1)


def test_it_is_followed_while_serving(tmp_path):
    bundle, path = write_hand_bundle(tmp_path / "bundle"), tmp_path / "availability.yaml"
    put(path, "sold_out: [a]")
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(path)]) as server:

        def answer():
            (prediction,) = ask(server.url, "shop", [{"k": 4}])
            return [item["item_id"] for item in prediction["items"]], prediction["degraded"]

        def read():
            lines = fetch(f"{server.url}/metrics").decode().splitlines()
            return [line.rpartition(" ")[2] for line in lines if line.startswith("longtail_availability_read{")]

        assert (answer(), read()) == ((["b", "c", "d"], None), ["1.0"])
        put(path, "hidden: [b, d]")
        until(answer, (["a", "c"], None))
        put(path, "hidden: [b, d")  # broken: what it last said goes on, and every answer says so
        until(answer, (["a", "c"], LAST_AVAILABILITY))
        assert read() == ["0.0"]
        path.unlink()
        time.sleep(1.5)
        assert answer() == (["a", "c"], LAST_AVAILABILITY)
        put(path, "hidden: []")
        until(answer, (["a", "b", "c", "d"], None))
        assert read() == ["1.0"]
    assert "the last good availability goes on" in (tmp_path / "log").read_text()


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
    monkeypatch.setattr("longtail.components.predict.availability.MAX_BYTES", 10)
    (tmp_path / "f.yaml").write_text("hidden: [abcdef]")
    with pytest.raises(UserError, match=r"f\.yaml: is larger than 10 bytes"):
        AvailabilityFile(tmp_path / "f.yaml", lambda _: [])
