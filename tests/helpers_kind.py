"""scripts/kind in a copy of the checkout, with stand-ins for docker, kind, kubectl, curl and longtail that keep a log.

They prove order, arguments, idempotence and messages; that a cluster comes of it only a cluster can show.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from longtail.system.machine import free_ports

ROOT = Path(__file__).parents[1]
TOOLS = ("docker", "kind", "kubectl", "curl", "longtail")
FAKE = f"""#!{sys.executable}
import base64, hashlib, json, os, sys, time
from pathlib import Path

name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
world = Path(os.environ["WORLD"])
line = " ".join([name, *arguments])
with (world / "log").open("a") as log:
    log.write(line + "\\n")
for text in os.environ.get("FAIL", "").split("|"):
    if text and text in line:
        print(os.environ.get("SAYS", "told to fail"), file=sys.stderr)
        sys.exit(1)
clusters = world / "clusters"
body = lambda url: f"content of {{url}}\\n"

if name == "docker" and arguments[0] == "info":
    print(os.environ.get("MACHINE", "8 16800000000"))
elif name == "kind" and arguments[0] == "version":
    print(os.environ.get("KIND_SAYS", "kind v0.33.0 go1.25 linux/amd64"))
elif name == "kind" and arguments[:2] == ["get", "clusters"]:
    print(clusters.read_text() if clusters.exists() else "", end="")
elif name == "kind" and arguments[:2] == ["create", "cluster"]:
    clusters.write_text("longtail\\n")
elif name == "kind" and arguments[:2] == ["delete", "cluster"]:
    clusters.unlink()
elif name == "curl":
    url = next(argument for argument in reversed(arguments) if argument.startswith("http"))
    if "--output" in arguments and (path := arguments[arguments.index("--output") + 1]) != "/dev/null":
        Path(path).write_text(body(url))
    elif url.endswith((".sha256sum", ".sha256")):
        digest = hashlib.sha256(body(url.rpartition(".")[0]).encode()).hexdigest()
        print(os.environ.get("SUM", digest), " file")
    elif ":predict" in url:
        print('{{"predictions": []}}')
elif name == "kubectl" and arguments[0] == "version":
    print("Client Version: v1.36.4")
elif name == "kubectl":
    rest = arguments[2:]  # --context kind-longtail
    if "apply" in rest and rest[-2:] == ["-f", "-"]:
        with (world / "applied").open("a") as applied:
            applied.write(sys.stdin.read() + "---\\n")
    elif "port-forward" in rest:
        (world / "forwards").open("a").write(f"{{os.getpid()}}\\n")
        time.sleep(60)
    elif "secret" in rest and "jsonpath={{.data.accesskey}}" in rest:
        print(base64.b64encode(b"minio").decode(), end="")
    elif "secret" in rest and "jsonpath={{.data.secretkey}}" in rest:
        print(base64.b64encode(b"a&b/c$d").decode(), end="")
    elif "secret" in rest:
        print("{{}}")
    elif rest[:3] == ["get", "namespace", "kserve"]:
        sys.exit(0 if (world / "kserve").exists() else 1)
    elif rest[:3] == ["create", "namespace", "kserve"]:
        (world / "kserve").touch()
elif name == "longtail" and arguments[0] == "submit":
    (world / "image").write_text(os.environ["LONGTAIL_TRAIN_IMAGE"])
    print("http://127.0.0.1/#/runs/details/1")
"""
BUILD = "#!/bin/sh\necho built >>$WORLD/log\necho longtail-train-cpu:0.1.0-abc\necho longtail-predict:0.1.0-def\n"


class World:
    """One checkout and one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "checkout"
        for name in ("scripts/kind", "manifests"):
            shutil.copytree(ROOT / name, self.root / name)
        shutil.copy(ROOT / "Makefile", self.root / "Makefile")
        (self.root / "docker").mkdir()
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name in TOOLS:
            self.write(self.tools / name, FAKE)
        self.write(self.root / "docker/build.sh", BUILD)
        (self.root / ".venv/bin").mkdir(parents=True)
        self.write(self.root / ".venv/bin/longtail", FAKE)
        self.write(self.root / ".venv/bin/python", '#!/bin/sh\ncat >/dev/null\necho "python $*" >>"$WORLD/log"\n')
        self.log = folder / "log"
        self.log.write_text("")

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        """The machine lacks a tool: the rest of the PATH is links to what the scripts need besides."""
        (self.tools / name).unlink()

    def run(self, step: str, **environment: str) -> subprocess.CompletedProcess[str]:
        ports = dict(zip(("UI_PORT", "S3_PORT", "PORT"), map(str, free_ports(3)), strict=True))
        return subprocess.run(
            ["bash", f"scripts/kind/{step}.sh"],
            cwd=self.root,
            env={"PATH": f"{self.tools}:{self.system()}", "HOME": str(self.folder), "WORLD": str(self.folder)}
            | ports
            | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def system(self) -> Path:
        """The system's tools but those that have stand-ins."""
        links = self.folder / "system"
        if not links.exists():
            links.mkdir()
            for folder in ("/bin", "/usr/bin"):
                for path in Path(folder).iterdir():
                    if path.name not in TOOLS and not (links / path.name).exists() and not path.is_dir():
                        (links / path.name).symlink_to(path)
        return links

    def calls(self, *tools: str) -> list[str]:
        """What was asked since the last call."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return [line for line in lines if not tools or line.split()[0] in tools]

    def forwards_alive(self) -> list[str]:
        path = self.folder / "forwards"
        return [pid for pid in path.read_text().split() if Path(f"/proc/{pid}").exists()] if path.exists() else []


def secrets(world: World) -> list[str]:
    return (world.folder / "applied").read_text().split("---\n")[:-1]
