"""Killed and restarted, the work goes on; the output is whole or absent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody
from tqdm import tqdm

from longtail.components.recommend import jobs
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.running import run_parts
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.work import working
from longtail.contracts.errors import UserError

USERS = {f"u{number:02}": list("abcd"[: number % 4]) for number in range(20)}
SETTINGS = RecommendSettings(k=2, users_per_part=3, processes=1)
PROGRAM = """
import os, signal, sys
sys.path[:0] = {path!r}
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.work import Work
from helpers_lists import everybody
import test_resuming

if __name__ == "__main__":
    done, finish = 0, Work.finish
    def dying(self, number, tables, counts):
        global done
        if done == {parts}:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        finish(self, number, tables, counts)
    Work.finish = dying
    settings = test_resuming.SETTINGS.model_copy(update={settings!r})
    recommend({bundle!r}, everybody(test_resuming.USERS), {output!r}, settings)
"""


def program(bundle: Path, output: Path, parts: int, **settings: int) -> list[str]:
    path = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    text = PROGRAM.format(path=path, parts=parts, bundle=str(bundle), output=str(output), settings=settings)
    (output.parent / "program.py").write_text(text)
    return [sys.executable, str(output.parent / "program.py")]


def content(folder: Path) -> dict[str, bytes | dict[str, object]]:
    """Every file; of the manifest all but the moment."""
    files: dict[str, bytes | dict[str, object]] = {
        str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.parquet")
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["facts"]["moment"]
    return files | {"manifest.json": manifest}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(write_hand_bundle(tmp_path / "bundle"))


def test_a_killed_process_is_gone_on_with(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    recommend(bundle, everybody(USERS), tmp_path / "whole", SETTINGS)
    (tmp_path / "b").mkdir()
    output = tmp_path / "b" / "lists"
    done = subprocess.run(program(bundle, output, parts=3), check=False)
    assert done.returncode == -signal.SIGKILL
    assert not output.exists()
    asked: list[int] = []
    run = jobs.run_parts
    monkeypatch.setattr(jobs, "run_parts", lambda *given: (asked.extend(given[2]), run(*given)))
    recommend(bundle, everybody(USERS), output, SETTINGS)
    assert asked == [3, 4, 5, 6]
    assert content(output) == content(tmp_path / "whole")
    assert sorted(path.name for path in output.parent.iterdir()) == ["lists", "program.py"]


def test_other_settings_or_users_begin_again(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    run = jobs.run_parts

    def stopping(*given: object) -> None:
        asked.append(len(given[2]))  # type: ignore[arg-type]
        run(given[0], given[1], given[2][:2], *given[3:])  # type: ignore[arg-type, index]
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "run_parts", stopping)
    changed = {**USERS, "u00": ["a"]}
    for users, settings in (
        (USERS, SETTINGS),
        (USERS, SETTINGS),
        (USERS, SETTINGS.model_copy(update={"k": 3})),
        (changed, SETTINGS.model_copy(update={"k": 3})),
        (changed, SETTINGS.model_copy(update={"k": 3, "processes": 2})),  # who does it changes nothing
    ):
        with pytest.raises(KeyboardInterrupt):
            recommend(bundle, everybody(users), tmp_path / "lists", settings)
    assert asked == [7, 5, 7, 7, 5]
    assert not (tmp_path / "lists").exists()


def test_two_do_not_write_one_output(tmp_path: Path):
    with (
        working(tmp_path / "lists", "one", {"moment": 0.0}),
        pytest.raises(UserError, match="another process writes this output"),
        working(tmp_path / "lists", "one", {"moment": 0.0}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def killed_part(folder: str, number: int) -> int:
    """As the system ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
def test_a_process_that_is_killed_is_said(tmp_path: Path):
    settings = SETTINGS.model_copy(update={"processes": 2})
    with tqdm(disable=True) as bar, pytest.raises(UserError, match="was killed, most likely for want of memory"):
        run_parts(killed_part, tmp_path, [0, 1], settings, bar)


@pytest.mark.slow
def test_several_processes_write_the_same_and_none_outlives_the_first(tmp_path: Path, bundle: Path):
    recommend(bundle, everybody(USERS), tmp_path / "one", SETTINGS)
    recommend(bundle, everybody(USERS), tmp_path / "two", SETTINGS.model_copy(update={"processes": 2}))
    assert content(tmp_path / "one")["recommendations/part-00006.parquet"] is not None
    first, second = content(tmp_path / "one"), content(tmp_path / "two")
    for name in first:
        assert name == "manifest.json" or first[name] == second[name]
    (tmp_path / "b").mkdir()
    started = subprocess.Popen(program(bundle, tmp_path / "b" / "lists", parts=99, processes=2, users_per_part=1))
    done = tmp_path / "b" / ".lists.work" / "done"
    while not (done.is_dir() and any(done.glob("*.json"))):
        assert started.poll() is None
        time.sleep(0.01)
    children = psutil.Process(started.pid).children(recursive=True)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert len(gone) >= 2 and not alive
