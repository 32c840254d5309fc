"""A checkout in which scripts/setup.sh runs with stubs of pip and venv that keep a log."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_WHEEL = "Found link file:///wheels/torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl, version: 2.13.0+cpu"
# Stands for the system's Python: venv and pip are recorded, everything else is really run. What pip is asked about builds of
# torch, and preflight about the machine, has a log of its own.
PYTHON = f"""#!/bin/sh
case "$*" in
    *"%d.%d"*) echo "${{FAKE_VERSION:-3.12}}"; exit ;;
    *ensurepip*) exit ${{FAKE_NO_VENV:-0}} ;;
    "-m venv "*)
        mkdir -p "$3/bin"; echo made >"$3/pyvenv.cfg"; cp "$0" "$3/bin/python"; echo "venv $3" >>"$LOG"; exit ;;
    "-m pip --version") exit ;;
    *importlib.metadata*version*torch*) echo "${{FAKE_TORCH:-}}"; exit ;;
    *system.preflight*)
        echo "preflight $*" >>"$ASKED"
        case "${{FAKE_PREFLIGHT:-real}} $*" in
            real*) ;;
            *"--disk-gb ${{FAKE_PREFLIGHT:-}} "*) echo "error: too little disk" >&2; exit 2 ;;
            *) exit ;;
        esac ;;
    "-m pip install -vvv --dry-run "*)
        echo "pip $*" >>"$ASKED"
        case "${{FAKE_INDEX:-stub}} $*" in
            real*) ;;
            *{CPU_INDEX}*) [ -z "${{FAKE_CPU_INDEX_HANGS:-}}" ] || sleep 60; echo "  ${{FAKE_CPU_INDEX:-}}"; exit 1 ;;
            *) echo "  ${{FAKE_INDEX-{CPU_WHEEL}}}"; exit 1 ;;
        esac ;;
    "-m pip "*)
        shift 2; echo "pip $*" >>"$LOG"
        case "$*" in *"${{FAKE_PIP_FAILS:-nothing}}"*) echo "no such package" >&2; exit 1 ;; esac
        case "$*" in *"${{FAKE_PIP_HANGS:-nothing}}"*) sleep 60 ;; esac
        case "$*" in *"${{FAKE_PIP_EDITS:-nothing}}"*) yes "exit 7" | head -n 5000 >scripts/setup.sh ;; esac
        exit ;;
esac
exec {sys.executable} "$@"
"""


class Checkout:
    """A copy of what set-up reads, with stubs in front of the PATH."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for name in ("scripts", "src/longtail/contracts", "src/longtail/system"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "src/longtail/__init__.py"):
            shutil.copy(ROOT / name, self.root / name)
        self.log = folder / "log"
        self.log.write_text("")
        self.asked = folder / "asked"
        stubs = folder / "stubs"
        stubs.mkdir()
        home = folder / "home"
        home.mkdir()
        self.stub = stubs / "python3"
        self.add_stub("python3", PYTHON)
        self.add_stub("java", "#!/bin/sh\nexit 127\n")
        self.add_stub("uname", "#!/bin/sh\necho Linux\n")
        self.add_stub("nvidia-smi", "#!/bin/sh\nexit 9\n")  # no driver answers
        self.add_stub("timeout", '#!/bin/sh\nshift\nexec "$@"\n')
        self.environment = {
            "PATH": f"{stubs}:{os.environ['PATH']}",
            "HOME": str(home),
            "LOG": str(self.log),
            "ASKED": str(self.asked),
            "DISK_GB": "0",
            "MEMORY_GB": "0",
            "TEMPORARY_GB": "0",
            "PYTHON": str(self.stub),
        }

    def add_stub(self, name: str, text: str) -> None:
        path = self.stub.parent / name
        path.write_text(text)
        path.chmod(0o755)

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "scripts/setup.sh"],
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """What venv and pip were asked since the last call."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal, after the line that says what is needed."""
    assert done.returncode == 2, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("longtail needs Python 3.11 to 3.13")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr
