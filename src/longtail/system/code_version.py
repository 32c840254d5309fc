"""A digest of the code that makes results: cached results of other code, or other libraries, must not be taken."""

import hashlib
import os
import sys
from importlib import metadata
from pathlib import Path

import longtail
from longtail.contracts.settings_base import Settings, places

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "duckdb",
    "narwhals",
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "pillow",
    "onnxruntime",
    "onnx",
    "scikit-learn",
    "pyarrow",
)
OUTSIDE = "pipelines"  # how stages are run, not what they compute


def code_digest() -> str:
    """SHA-256 over the sources, and the versions of what they compute with."""
    digest = hashlib.sha256(sys.version.encode())
    for name in LIBRARIES:
        digest.update(f"{name} {metadata.version(name)}\n".encode())
    digest.update(source_digest().encode())
    return digest.hexdigest()


def source_digest() -> str:
    """SHA-256 over the installed package's files, without ``pipelines``: the same on every machine."""
    digest = hashlib.sha256()
    root = Path(longtail.__file__).parent
    for folder, names, files in os.walk(root, followlinks=True):
        names[:] = sorted(name for name in names if name != "__pycache__" and Path(folder, name) != root / OUTSIDE)
        for name in sorted(files):
            path = Path(folder, name)
            digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_digest(settings: Settings) -> str:
    """SHA-256 over what lies at the places on this machine that the settings let stages read; what is elsewhere counts by
    its name, which the settings' text holds."""
    digest = hashlib.sha256()
    for key, uri, place in places(settings):
        if not place.written and "://" not in uri and Path(uri).exists():
            digest.update(f"{key}\0{content_digest(Path(uri))}\n".encode())
    return digest.hexdigest()


def content_digest(root: Path) -> str:
    """SHA-256 over names and bytes of all files below a folder, or of one file."""
    digest = hashlib.sha256()
    for path in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        digest.update(f"{path.relative_to(root)}\0".encode() + content)
    return digest.hexdigest()
