import os
import signal
import socket

import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.components.deploy import local_server
from longtail.components.deploy.local_server import running_server
from longtail.contracts.errors import UserError
from longtail.rollout.addresses import at
from longtail.rollout.answers import ask_v1
from longtail.system.http import call
from longtail.system.machine import free_ports

pytestmark = pytest.mark.slow  # each starts the model server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_hand_bundle(tmp_path_factory.mktemp("local") / "bundle")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_lives_as_long_as_the_block_and_bypasses_proxies(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with running_server(bundle, "shop", 60, tmp_path / "log") as server:
        assert server.http_port != server.grpc_port
        assert call(f"{server.url}/v2/models/shop/ready") == {"name": "shop", "ready": True}
        assert alive(server.pid)
    assert not alive(server.pid)


def test_a_foreign_package_in_the_working_folder_does_no_harm(bundle, tmp_path, monkeypatch):
    (tmp_path / "components").mkdir()
    (tmp_path / "components/__init__.py").write_text("raise SystemExit('the wrong components')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    with running_server(bundle, "shop", 60, tmp_path / "log") as server:
        assert ask_v1(at(server.url), "shop", [{}])


def test_an_error_in_the_block_stops_the_server_and_stays_itself(bundle, tmp_path):
    with pytest.raises(KeyError, match="mine"), running_server(bundle, "shop", 60, tmp_path / "log") as server:
        raise KeyError("mine")
    assert not alive(server.pid)


def test_a_killed_server_is_reported_with_the_signal_and_the_last_line_of_its_log(bundle, tmp_path):
    with (
        pytest.raises(
            RuntimeError, match=r"ended by signal 9 \(9 often means that memory ran out\); its log ends: .*serving"
        ),
        running_server(bundle, "shop", 60, tmp_path / "log") as server,
    ):
        os.kill(server.pid, signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        ask_v1(at(server.url), "shop", [{}])


def test_what_the_server_finds_wrong_is_a_user_error(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle")
    (bundle / "attributes.json").unlink()
    with (
        pytest.raises(UserError, match=r"^.*attributes.json: is missing; the artifact is incomplete"),
        running_server(bundle, "shop", 60, tmp_path / "log"),
    ):
        pass


def test_ports_that_somebody_takes_before_the_server_has_them_are_chosen_anew(bundle, tmp_path, monkeypatch):
    chosen = []

    def choose(count):
        ports = [listener.getsockname()[1], *free_ports(1)] if not chosen else free_ports(count)
        chosen.append(ports)
        return ports

    monkeypatch.setattr(local_server, "free_ports", choose)
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        with running_server(bundle, "shop", 60, tmp_path / "log") as server:
            assert (server.http_port, server.grpc_port) == tuple(chosen[1])
            assert ask_v1(at(server.url), "shop", [{}])


def test_ports_that_are_always_taken_are_said(bundle, tmp_path, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        monkeypatch.setattr(local_server, "free_ports", lambda _: [listener.getsockname()[1], *free_ports(1)])
        with (
            pytest.raises(UserError, match="others took the model server's ports 3 times"),
            running_server(bundle, "shop", 60, tmp_path / "log"),
        ):
            pass


def test_a_crash_at_start_is_no_user_error(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(local_server, "SERVER_MODULE", "longtail.no_such_module")
    with (
        pytest.raises(
            RuntimeError, match=r"ended with exit code 1; its log ends: .*No module named longtail.no_such_module"
        ),
        running_server(bundle, "shop", 60, tmp_path / "log"),
    ):
        pass


def test_a_server_that_is_not_ready_in_time_is_stopped(bundle, tmp_path):
    with (
        pytest.raises(UserError, match=r"not ready within 0 seconds; give deploy.startup_seconds more"),
        running_server(bundle, "shop", 0, tmp_path / "log"),
    ):
        pass
