import os
import socket

import pytest

from longtail.system import machine
from longtail.system.machine import available_cores, available_memory, free_ports, port_in_use

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
GIB = 1 << 30


@pytest.fixture
def root(tmp_path):
    """A machine's root folder with 8 GiB available and no cgroup limits."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return tmp_path


def cgroup(root, line, files):
    (root / "proc/self/cgroup").write_text(line)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/\n", {}, CORES),
        ("0::/\n", {"cpu.max": "max 100000\n"}, CORES),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),  # half a core: rounded up
        (
            "0::/pod/task\n",
            {"pod/cpu.max": "100000 100000\n", "pod/task/cpu.max": "max 100000\n"},
            1,
        ),  # the parent's holds
        ("0::/not/visible/here\n", {"cpu.max": "100000 100000\n"}, 1),  # the host's path, seen from a container
        (
            "4:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, CORES),
        ("0::/\n", {"cpu.max": "10000000 100000\n"}, CORES),  # a quota of 100 cores adds none
    ],
)
def test_cores_are_cut_to_the_quota(root, line, files, cores):
    cgroup(root, line, files)
    assert available_cores(root) == cores


@pytest.mark.parametrize(
    ("line", "files", "memory"),
    [
        ("0::/\n", {"memory.max": "max\n"}, 8 * GIB),
        ("0::/\n", {"memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ("0::/\n", {"memory.max": f"{20 * GIB}\n"}, 8 * GIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": f"{3 * GIB}\n"}, 3 * GIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8 * GIB),
    ],
)
def test_memory_is_cut_to_the_limit(root, line, files, memory):
    cgroup(root, line, files)
    assert available_memory(root) == memory


def test_this_machine_has_cores_and_memory():
    assert 1 <= available_cores() <= CORES
    assert available_memory() > 1 << 20


def test_free_ports_differ_and_are_free():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(port_in_use(port) for port in ports)


def test_free_ports_are_none_that_the_system_gives_outgoing_connections():
    """A port chosen now and bound seconds later would now and then be the end of somebody's connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as connection:
            given = connection.getsockname()[1]
            assert port_in_use(given)
    assert max(free_ports(100)) < 30_000 < given


def test_free_ports_leave_out_what_is_in_use(monkeypatch):
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setattr(machine, "_CHOSEN_PORTS", range(port, port + 2))
        assert port not in free_ports(1)


def test_a_listening_port_is_in_use():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert port_in_use(listener.getsockname()[1])
