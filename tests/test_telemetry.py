"""Libraries that would report what a user runs are told not to."""

import subprocess
import sys
from pathlib import Path


def test_onnxruntime_keeps_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    """Its telemetry begins, with a file in HOME, as soon as it is loaded; it is silent by itself only where CI is set."""
    script = "import longtail.scoring.scorer, onnxruntime; print(onnxruntime.__version__)"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
