"""A checkout in which scripts/setup.sh runs with stubs of pip and venv that keep a log."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Stands for the system's Python: venv and pip are recorded, everything else is really run.
PYTHON = f"""#!/bin/sh
case "$*" in
    *"%d.%d"*) echo "${{FAKE_VERSION:-3.12}}"; exit ;;
    *ensurepip*) exit ${{FAKE_NO_VENV:-0}} ;;
    "-m venv "*)
        mkdir -p "$3/bin"; echo made >"$3/pyvenv.cfg"; cp "$0" "$3/bin/python"; echo "venv $3" >>"$LOG"; exit ;;
    "-m pip --version") exit ;;
    "-m pip "*)
        shift 2; echo "pip $*" >>"$LOG"
        case "$*" in *"${{FAKE_PIP_FAILS:-nothing}}"*) echo "no such package" >&2; exit 1 ;; esac
        case "$*" in *"${{FAKE_PIP_HANGS:-nothing}}"*) sleep 60 ;; esac
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
        stubs = folder / "stubs"
        stubs.mkdir()
        home = folder / "home"
        home.mkdir()
        self.stub = stubs / "python3"
        self.add_stub("python3", PYTHON)
        self.add_stub("java", "#!/bin/sh\nexit 127\n")
        self.environment = {
            "PATH": f"{stubs}:{os.environ['PATH']}",
            "HOME": str(home),
            "LOG": str(self.log),
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
