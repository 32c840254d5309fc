"""What only several processes show: an upload that is killed half-way, and two writers who move the champion at once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.contracts.errors import UserError
from longtail.registry.locations import open_store
from longtail.registry.opening import open_registry
from longtail.system.places import CLAIMS

# A file's reader gives part of it and then kills its own process (of a small file, gs reads all at once: before it gives any).
DYING = """
import os, signal, sys
from pathlib import Path
from longtail.contracts import artifacts
from longtail.system import places
from longtail.registry.opening import open_registry

places.CLAIMS = Path(sys.argv[3])
artifacts.read_artifact = lambda *_: None  # reads the files too
real, opened = Path.open, []

class Dying:
    def __init__(self, stream): self.stream, self.reads = stream, 0
    def __getattr__(self, name): return getattr(self.stream, name)
    def __enter__(self): return self
    def __exit__(self, *_): self.stream.close()
    def read(self, n=-1):
        self.reads += 1
        if self.reads > 1 or sys.argv[1].startswith("gs://"): os.kill(os.getpid(), signal.SIGKILL)
        return self.stream.read(20)

def dying(self, mode="r", *rest, **named):
    stream = real(self, mode, *rest, **named)
    if mode == "rb" and self.name == "sequence_encoder.onnx" and "bundle" in str(self):
        return Dying(stream)
    return stream

import longtail.registry.bundles as bundles
bundles.read_artifact = lambda *_: None
Path.open = dying
open_registry(sys.argv[1]).publish(Path(sys.argv[2]))
"""

WRITER = """
import json, sys, time
from pathlib import Path
from longtail.system import places
from longtail.contracts.errors import UserError
from longtail.registry.opening import open_registry

place, claims, version, name, gate = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5])
places.CLAIMS = claims
registry = open_registry(place)
mine = registry.version(version)
print("ready", flush=True)
while not gate.exists():
    time.sleep(0.001)
won = []
for number in range(12):
    expected = None if number == 0 else registry.champion()
    try:
        registry.promote(mine, expected, f"{name} {number}")
        won.append(f"{name} {number}")
    except UserError as error:
        assert "was not promoted" in str(error), error
print(json.dumps(won), flush=True)
"""


def claims(tmp_path: Path) -> str:
    return str(tmp_path / "claims") if (tmp_path / "claims").exists() else str(CLAIMS)


def test_an_upload_that_is_killed_half_way_is_no_version(place: str, bundle: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", DYING, place, str(bundle), claims(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    registry, elsewhere = open_registry(place), open_registry(str(tmp_path / "elsewhere")).publish(bundle)
    half = open_store(place).sizes(f"versions/{elsewhere.id}/")
    assert 0 < len(half) < len(list(bundle.iterdir()))
    with pytest.raises(UserError, match="no such version"):
        registry.version(elsewhere.id)

    version = registry.publish(bundle)
    assert version.id == elsewhere.id
    assert registry.version(version.id) == version
    registry.fetch(version, tmp_path / "copies")


@pytest.mark.slow
def test_of_two_writers_at_once_one_wins_each_time_and_the_history_is_whole(
    place: str, bundle: Path, other: Path, tmp_path: Path
):
    registry = open_registry(place)
    versions = {"a": registry.publish(bundle).id, "b": registry.publish(other).id}
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, place, claims(tmp_path), version, name, str(tmp_path / "gate")],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for name, version in versions.items()
    }
    for writer in writers.values():
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    (tmp_path / "gate").touch()
    won = {name: json.loads(writer.communicate()[0]) for name, writer in writers.items()}

    moves = registry.promotions()
    reasons = [move.reason for move in moves]
    assert len([reason for reason in reasons if reason.endswith(" 0")]) == 1  # of those who expected no champion
    assert sorted(reasons) == sorted(won["a"] + won["b"])
    for name in won:
        assert [reason for reason in reasons if reason.startswith(name)] == won[name]
    assert [move.previous for move in moves] == [None, *(move.version for move in moves[:-1])]
    assert [move.version for move in moves] == [versions[reason[0]] for reason in reasons]
    champion = registry.champion()
    assert champion and champion.id == moves[-1].version
