"""What this machine, or the container around the process, really grants: cores, memory, free ports."""

import ctypes
import math
import os
import secrets
import socket
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

ROOT = Path("/")
_UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63
# below Kubernetes' node ports (30000), and those that Linux (32768) and macOS (49152) give connections
_CHOSEN_PORTS = range(20000, 30000)


def available_cores(root: Path = ROOT) -> int:
    """Cores this process may use: its CPU affinity, cut to the cgroup's quota (rounded up), at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for folder in _cgroups("cpu", root):
        if (quota := _quota(folder)) is not None:
            cores = min(cores, math.ceil(quota))
    return max(cores, 1)


def available_memory(root: Path = ROOT) -> int:
    """Bytes this process may still take: what the machine has available, cut to the cgroup's limit."""
    limits = [_machine_memory(root)]
    for folder in _cgroups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text and text != "max" and int(text) < _UNLIMITED:
                limits.append(int(text))
    return min(limits)


def free_ports(count: int) -> list[int]:
    """``count`` different TCP ports that nobody listens on now, and that no outgoing connection is given soon."""
    begin = secrets.choice(_CHOSEN_PORTS)  # so that two who choose at the same time do not meet
    in_turn = chain(range(begin, _CHOSEN_PORTS.stop), range(_CHOSEN_PORTS.start, begin))
    return list(islice((port for port in in_turn if not port_in_use(port)), count))


def port_in_use(port: int) -> bool:
    """Whether somebody listens on the TCP port, on any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that just closed is not in use
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Folders whose limits hold for this process: its cgroup and all above it, version 1 and 2."""
    mount = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            base = mount
        elif controller in controllers.split(","):
            base = mount / controllers if (mount / controllers).is_dir() else mount / controller
        else:
            continue
        folder = base / path.lstrip("/")
        # inside a container the path may be the host's and not exist here: its parents up to the mount then answer
        yield from (place for place in (folder, *folder.parents) if place == base or base in place.parents)


def _quota(folder: Path) -> float | None:
    """Cores that the folder's CPU quota grants; None without one."""
    if text := _read(folder / "cpu.max"):
        quota, period = text.split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota_us and period_us and int(quota_us) > 0:
        return int(quota_us) / int(period_us)
    return None


def _machine_memory(root: Path) -> int:
    for line in (_read(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # no /proc: macOS


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def give_memory_back() -> None:
    """Have the C library return freed memory to the machine; glibc keeps it in pieces, of which each great load leaves more."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other libraries have none, and need none
    if trim is not None:
        trim(0)
