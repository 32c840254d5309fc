"""The house keeps its order: lint, types, layers, and files small enough to read."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE, LONGEST_COMPONENT, MOST_PARAMETERS = 400, 140, 12
LARGEST_FILE = 500_000  # bytes
LONGEST_FUNCTION, MOST_OF_A_FUNCTION = 60, 7  # lines, parameters


def tracked() -> list[Path]:
    """Files that git keeps, or would keep if they were added; outside a checkout (an unpacked archive) there is no list."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", ".")


def test_files_are_formatted() -> None:
    run("ruff", "format", "--check", ".")


@pytest.mark.slow
def test_types_are_right() -> None:
    run("mypy")


def test_layers_are_kept() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_files_are_short_and_small() -> None:
    long = {str(path): lines for path in python_files() if (lines := path.read_text().count("\n")) > LONGEST_FILE}
    assert not long
    large = {str(path): size for path in tracked() if (size := path.stat().st_size) > LARGEST_FILE}
    assert not large


def test_components_are_thin() -> None:
    components = sorted((ROOT / "components").glob("*/component.py"))
    assert len(components) >= 5
    for path in components:
        text = path.read_text()
        assert text.count("\n") <= LONGEST_COMPONENT, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                assert len(parameters) <= MOST_PARAMETERS, (path, node.name)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = function.args
    return [
        each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs) if each.arg not in ("self", "cls")
    ]


def has_free_parameters(path: Path) -> bool:
    """Commands and KFP components have a parameter for each option or artifact."""
    return path.name in ("component.py", "activation.py") or path.parent == ROOT / "pipelines/cli"


def test_functions_fit_a_screen_and_take_few_parameters() -> None:
    above = set()
    for path in python_files():
        if path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                many = len(parameters(node)) > MOST_OF_A_FUNCTION and not has_free_parameters(path)
                if lines > LONGEST_FUNCTION or many:
                    above.add(f"{path.relative_to(ROOT)}: {node.name}")
    assert above == set()


def test_every_stage_says_what_goes_in_and_what_comes_out() -> None:
    stages = [path for path in sorted((ROOT / "components").iterdir()) if (path / "__init__.py").exists()]
    assert len(stages) == 9
    assert [path.name for path in stages if not (path / "README.md").is_file()] == []


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in names}


def test_everything_is_imported_under_one_name() -> None:
    """``components`` and ``pipelines`` at top level would be a second copy of the same modules."""
    files = python_files()
    assert len(files) > 30
    wrong = {str(path) for path in files if imported(path) & {"components", "pipelines", "src"}}
    assert not wrong


def test_stages_leave_kfp_to_their_component() -> None:
    stages = [path for path in (ROOT / "components").rglob("*.py") if path.name != "component.py"]
    assert len(stages) > 10
    assert not {str(path) for path in stages if "kfp" in imported(path)}


def test_nothing_is_pickled() -> None:
    pickles = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
    library = [path for path in python_files() if path.parts[len(ROOT.parts)] in ("src", "components", "pipelines")]
    assert not {str(path) for path in library if imported(path) & pickles}
