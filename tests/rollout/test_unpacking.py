"""The pod of ``test_real_cluster.py`` unpacks bundles with the Python of the image: Debian 12's 3.11.2, too, whose ``extractall``
has no ``filter``."""

import ast
import subprocess
import sys
import tarfile
from pathlib import Path

from helpers_hand_bundle import write_hand_bundle
from test_real_cluster import UNPACK

ROOT = Path(__file__).parents[2]
AS_3_11_2 = """
import tarfile
extractall = tarfile.TarFile.extractall
def of_3_11_2(self, path=".", members=None, *, numeric_owner=False):
    return extractall(self, path, members, numeric_owner=numeric_owner)
tarfile.TarFile.extractall = of_3_11_2
"""


def test_the_oldest_python_unpacks_the_bundles(tmp_path):
    write_hand_bundle(tmp_path / "bundle")
    with tarfile.open(tmp_path / "bundles.tar", "w") as archive:
        archive.add(tmp_path / "bundle", "versions/1")
    program = UNPACK.replace("/packed", str(tmp_path)).replace("/claim", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", AS_3_11_2 + program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "longtail-test/versions/1/manifest.json").is_file()


def test_nobody_else_asks_for_a_filter():
    found = []
    for folder in ("src/longtail", "components", "pipelines", "benchmarks", "scripts", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("extractall", "extract"):
                    found += [str(path) for keyword in node.keywords if keyword.arg == "filter"]
    assert not found
