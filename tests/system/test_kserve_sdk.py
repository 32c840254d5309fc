"""kserve parses the command line when it is imported; nobody's command line is its business."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "src/longtail/system/kserve_sdk.py"


def imports_kserve(text):
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return any(name.partition(".")[0] == "kserve" for name in names)


def test_the_command_line_is_left_alone_and_kept():
    program = "import sys; from longtail.system.kserve_sdk import kserve; print(sys.argv[1:], kserve.Model)"
    line = ["--config", "settings.yaml", "--model", "--http_port", "none"]
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(line))


def test_it_is_imported_in_one_place():
    files = [
        path for folder in ("src", "components", "pipelines", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 100
    assert [path for path in files if imports_kserve(path.read_text())] == [PLACE]
    programs = ROOT / "benchmarks/serving.py"  # one of its programs is a text
    assert "from kserve import" not in programs.read_text()
