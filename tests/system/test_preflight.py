"""The preflight: one line and the remedy for a machine that would fail later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.contracts.errors import UserError
from longtail.system import preflight
from longtail.system.preflight import THREAD_VARIABLES, check_home, check_machine, set_threads


def test_a_machine_that_suffices_passes_and_nothing_is_left_behind(tmp_path: Path) -> None:
    check_machine(tmp_path / "not" / "yet" / "there", disk_gb=0.001, memory_gb=0.001, temporary_gb=0.001)
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_names_the_folder_and_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path}: [\d.]+ GB are free, but 1e\+06 GB are needed; free some"):
        check_machine(tmp_path, disk_gb=1e6, memory_gb=0)


def test_memory_is_what_the_container_grants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 1_500_000_000)
    with pytest.raises(UserError, match=r"1\.5 GB of memory are available, but 3 GB are needed; close other programs"):
        check_machine(tmp_path, disk_gb=0, memory_gb=3)


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"runs cannot be written \(Not a directory\); choose a folder"):
        check_machine(tmp_path / "file" / "runs", disk_gb=0, memory_gb=0)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
        check_machine(tmp_path, disk_gb=0, memory_gb=0)


def test_a_temporary_folder_that_forbids_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(subprocess, "run", forbidden)
    with pytest.raises(UserError, match=r"does not let programs run \(noexec\); set TMPDIR"):
        check_machine(tmp_path, disk_gb=0, memory_gb=0)


@pytest.mark.parametrize("check", ["home", "temporary"])
def test_folders_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    missing = str(tmp_path / "missing")
    if check == "home":
        monkeypatch.setenv("HOME", missing)
        with pytest.raises(UserError, match=r"HOME \(.*missing\) cannot be written .*; set HOME"):
            check_home()
    else:
        monkeypatch.setenv("TMPDIR", missing)
        with pytest.raises(UserError, match=r"the temporary folder .*missing cannot be written .*; set TMPDIR"):
            check_machine(tmp_path, disk_gb=0, memory_gb=0)


def test_threads_follow_the_cores_but_not_over_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(preflight, "available_cores", lambda: 3)
    assert set_threads() == 3
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["MKL_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_it_needs_nothing_but_the_standard_library() -> None:
    """Set-up runs it with the system's Python, before anything is installed: -S leaves site-packages out."""
    source = Path(preflight.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import longtail.system.preflight"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)
