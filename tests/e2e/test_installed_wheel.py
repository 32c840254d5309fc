"""The built wheel, from inside a folder whose own packages have the names of ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_shop import write_shop

ROOT = Path(__file__).parents[2]
THREADS = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
PARTS = ("src", "components", "pipelines", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the wheel's content and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:  # a build writes into its source tree
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, source / part, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
            )
        elif (ROOT / part).is_file():
            shutil.copy(ROOT / part, source / part)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob("longtail-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", built], check=True)
    return folder / "site"


@pytest.fixture
def foreign(tmp_path):
    """A user's repository with packages of our folders' names."""
    for name in ("components", "pipelines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the foreign package was imported')\n")
    return tmp_path


def longtail(installed, folder, *words, timeout=600):
    script = "import longtail; from longtail.pipelines.cli.main import main; print(longtail.__file__); main()"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(installed)} | THREADS,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
def test_wheel_puts_one_name_into_site_packages(installed):
    assert [path.name for path in installed.iterdir() if path.suffix != ".dist-info" and path.name != "bin"] == [
        "longtail"
    ]
    for packaged in (
        "pipelines/cli/demo.yaml",
        "components/evaluate/report.html",
        "synthetic/goods.yaml",
        "py.typed",
    ):
        assert (installed / "longtail" / packaged).is_file(), packaged


@pytest.mark.slow
def test_whole_run_from_inside_a_foreign_repository(installed, foreign, tiny_encoder):
    """A small shop with a tiny language model and next to no training: about code paths, not quality."""
    shop = write_shop(foreign / "data")
    small = [
        f"finetune.language_model={tiny_encoder}",
        "finetune.adaptation.method=frozen",
        "finetune.training.epochs=1",
        "finetune.training.dim=16",
        "finetune.training.blocks=1",
        "finetune.training.epoch_steps=1",
    ]
    small += [
        "distill.training.epochs=1",
        "distill.training.dim=16",
        "distill.training.epoch_steps=1",
        "evaluate.bootstrap_samples=100",
        "evaluate.gate_rules=[{must_be: not_worse, than: popularity, margin: 1000}]",
        "evaluate.gate_min_users=10",
    ]
    options = [word for setting in small for word in ("--set", setting)]
    tables = [word for name in ("interactions", "items") for word in (f"--{name}", shop / f"{name}.csv")]
    ended = longtail(installed, foreign, "run", *tables, *options, "--out", "out")
    log = foreign / "out/run.log"
    assert ended.stdout.startswith(str(installed))
    assert ended.returncode == 0, ended.stderr + (log.read_text()[-3000:] if log.exists() else "")
    shown = {path.name for path in (foreign / "out").iterdir() if path.name != ".work"}
    assert shown == {
        "results", "bundle", "measured-bundle", "teacher", "prepared", "decision.json", "evaluation.json", "per_user.parquet",
        "report.html",
        "servingruntime.yaml", "inferenceservice.yaml", "run.log",
    }  # fmt: skip
    asked = longtail(installed, foreign, "recommend", "--run", "out", "--user", "u1", "-k", "3")
    assert asked.returncode == 0, asked.stderr
    assert "  3. " in asked.stdout
    again = longtail(installed, foreign, "run", *tables, *options, "--out", "out")
    assert again.returncode == 0, again.stderr
    for stage in ("preprocess", "finetune", "distill", "evaluate"):
        assert f"{stage:<12} cached" in again.stdout
