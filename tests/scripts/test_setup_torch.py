"""scripts/setup.sh: which build of torch it takes, where from, and what it says and asks for before anything is downloaded."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest
from helpers_setup import CPU_INDEX, CPU_WHEEL, Checkout

STANDARD_WHEEL = CPU_WHEEL.replace("%2Bcpu", "").replace(
    "+cpu", ""
)  # of a file that is not there: its size is not known
STANDARD = "pip install -qq --no-deps torch==2.13.0"
CPU_FIGURES = (690, 5, 1)
CUDA_FIGURES = (3240, 14, 3)
Figures = tuple[int, int, int]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def taken(checkout: Checkout, **environment: str) -> tuple[str, str, Figures]:
    """How torch was installed, what was printed, and the figures (download, disk, temporary) that were said and asked for."""
    done = checkout.setup(DISK_GB="", TEMPORARY_GB="", FAKE_PREFLIGHT="-1", **environment)
    assert done.returncode == 0, done.stderr
    torch = [call for call in checkout.calls() if "torch==" in call]
    assert len(torch) == 1
    said = done.stdout.split("set-up: up to ")[1].split(" MB to download in all, ")
    preflight = [line.split() for line in checkout.asked.read_text().splitlines() if line.startswith("preflight")][-1]
    disk, temporary = (int(preflight[preflight.index(name) + 1]) for name in ("--disk-gb", "--temporary-gb"))
    assert said[1].startswith(f"{disk} GB of free disk")
    return torch[0], done.stdout, (int(said[0]), disk, temporary)


def questions(checkout: Checkout) -> list[str]:
    return [line for line in checkout.asked.read_text().splitlines() if line.startswith("pip")]


def test_the_cpu_build_of_pips_own_index(checkout: Checkout) -> None:
    torch, printed, figures = taken(checkout)
    assert torch == f"{STANDARD}+cpu"
    assert "2/4 torch: the CPU build, which pip finds where it is set to look\n" in printed
    assert figures == CPU_FIGURES
    assert len(questions(checkout)) == 1  # nobody else was asked


def test_else_the_cpu_build_of_pytorchs_index(checkout: Checkout) -> None:
    torch, printed, figures = taken(checkout, FAKE_INDEX=STANDARD_WHEEL, FAKE_CPU_INDEX=CPU_WHEEL)
    assert torch == f"pip install -qq --no-deps --index-url {CPU_INDEX} torch==2.13.0+cpu"
    assert f"2/4 torch: the CPU build of {CPU_INDEX}\n" in printed
    assert figures == CPU_FIGURES
    own, vendor = questions(checkout)
    assert "--index-url" not in own
    assert f"--timeout 4 --retries 0 --index-url {CPU_INDEX} " in vendor


def test_else_the_standard_build_said_loudly(checkout: Checkout) -> None:
    torch, printed, figures = taken(checkout, FAKE_INDEX=STANDARD_WHEEL, FAKE_CPU_INDEX="")
    assert torch == STANDARD
    assert "NO CPU BUILD: 2,550 MB more" in printed
    assert "TORCH_INDEX_URL names an index that has the CPU build" in printed
    assert figures == CUDA_FIGURES


def test_without_a_network_no_build_is_promised(checkout: Checkout) -> None:
    done = checkout.setup(FAKE_INDEX="", FAKE_PIP_FAILS="torch==")
    assert done.returncode == 1
    assert "pip sees no torch==2.13.0 at all" in done.stdout
    assert "NO CPU BUILD" not in done.stdout
    assert "TORCH_INDEX_URL names another index" in done.stderr


@pytest.mark.skipif(shutil.which("timeout") is None, reason="set-up looks for CPU builds on Linux alone, which has it")
def test_an_index_of_pytorch_that_does_not_answer_is_given_up_after_a_while(checkout: Checkout) -> None:
    limits = checkout.log.with_name("limits")
    checkout.add_stub("timeout", f'#!/bin/sh\necho "$1" >>{limits}\nshift\nexec {shutil.which("timeout")} 1 "$@"\n')
    torch, printed, figures = taken(checkout, FAKE_INDEX=STANDARD_WHEEL, FAKE_CPU_INDEX_HANGS="1")
    assert limits.read_text().split() == ["60", "20"]
    assert torch == STANDARD
    assert "NO CPU BUILD" in printed
    assert figures == CUDA_FIGURES


def test_the_standard_build_with_an_nvidia_driver(checkout: Checkout) -> None:
    checkout.add_stub("nvidia-smi", "#!/bin/sh\necho GPU 0\n")
    torch, printed, figures = taken(checkout)
    assert torch == STANDARD
    assert "the standard build with CUDA, for the NVIDIA driver" in printed
    assert figures == CUDA_FIGURES
    assert questions(checkout) == []


def test_the_standard_build_on_macos(checkout: Checkout) -> None:
    checkout.add_stub("uname", "#!/bin/sh\necho Darwin\n")
    checkout.add_stub("timeout", "#!/bin/sh\nexit 127\n")
    torch, printed, figures = taken(checkout)
    assert torch == STANDARD
    assert "2/4 torch: the standard build\n" in printed
    assert figures == CPU_FIGURES
    assert questions(checkout) == []


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ("https://torch.example/cpu", CPU_FIGURES),
        ("https://torch.example/whl/cpu/", CPU_FIGURES),
        ("https://torch.example/whl/cu130", CUDA_FIGURES),
    ],
)
def test_a_named_index_wins_over_everything_and_gives_torch_alone(
    checkout: Checkout, index: str, wanted: Figures
) -> None:
    checkout.add_stub("nvidia-smi", "#!/bin/sh\necho GPU 0\n")
    torch, printed, figures = taken(checkout, TORCH_INDEX_URL=index, PIP_FLAGS="--retries 9")
    assert torch == f"pip install -qq --retries 9 --no-deps --index-url {index} torch==2.13.0"
    assert f"the build of TORCH_INDEX_URL ({index})" in printed
    assert figures == wanted
    assert questions(checkout) == []


def test_spark_takes_more(checkout: Checkout) -> None:
    checkout.add_stub("java", "#!/bin/sh\necho 'openjdk version \"17.0.2\" 2024-01-01' >&2\n")
    assert taken(checkout)[2] == (1140, 7, 3)


def test_too_little_disk_for_the_standard_build_is_said_before_it_comes(checkout: Checkout) -> None:
    environment = {"DISK_GB": "", "FAKE_PREFLIGHT": "14", "FAKE_INDEX": STANDARD_WHEEL}
    refused = checkout.setup(**environment)
    assert refused.returncode == 2
    assert "NO CPU BUILD" in refused.stdout
    assert refused.stderr == "error: too little disk\n"
    assert checkout.calls() == ["venv .venv"]
    again = checkout.setup(**environment | {"FAKE_CPU_INDEX": CPU_WHEEL})
    assert again.returncode == 0
    assert "interrupted" not in again.stdout


def test_a_build_that_is_there_is_kept_and_asks_for_little(checkout: Checkout) -> None:
    checkout.setup()
    (checkout.root / "constraints.txt").open("a").write("# changed\n")
    checkout.asked.unlink()
    done = checkout.setup(DISK_GB="", FAKE_PREFLIGHT="-1", FAKE_TORCH="2.13.0+cpu")
    assert done.returncode == 0
    assert "torch: 2.13.0+cpu is there already (make clean removes it)" in done.stdout
    assert "to download" not in done.stdout
    assert "--disk-gb 2 " in checkout.asked.read_text()
    assert questions(checkout) == []


class Index(BaseHTTPRequestHandler):
    """A package index of torch alone."""

    wheels: ClassVar[dict[str, int]]  # name: size in bytes
    downloads: ClassVar[list[str]]

    def do_GET(self) -> None:
        if self.path != "/simple/torch/":
            self.downloads.append(self.path)
            self.send_error(404)
            return
        page = "".join(f'<a href="/{name}">{name}</a>' for name in self.wheels).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.wheels[unquote(self.path[1:])]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(wheels: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    """The address of such an index, and what it was asked to send beside the page."""
    handler = type("Served", (Index,), {"wheels": wheels, "downloads": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple", handler.downloads
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("wheels", "spec", "said"),
    [
        ({"": 526_000_000, "+cpu": 192_000_000}, "+cpu", "the CPU build, which pip finds where it is set to look"),
        ({"": 192_000_000}, "", "a CPU build by its size"),
        ({"": 427_000_000}, "", "the standard build with CUDA"),
        ({"": 192_000_000, "+cu130": 800_000_000}, "", "the standard build with CUDA"),  # pip would take the latter
    ],
)
def test_the_real_pip_names_what_there_is_and_downloads_nothing(
    checkout: Checkout, wheels: dict[str, int], spec: str, said: str
) -> None:
    script = checkout.root / "scripts/setup.sh"
    with served({f"torch-2.13.0{build}-py3-none-any.whl": size for build, size in wheels.items()}) as (
        index,
        downloads,
    ):
        script.write_text(script.read_text().replace(CPU_INDEX, index.replace("simple", "cpu")))  # has no page
        done = checkout.setup(FAKE_INDEX="real", PIP_INDEX_URL=index, PIP_CONFIG_FILE="/dev/null")
    assert done.returncode == 0, done.stderr
    assert checkout.calls()[1] == STANDARD + spec
    assert said in done.stdout
    assert set(downloads) <= {"/cpu/torch/"}
