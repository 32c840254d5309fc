"""Renders kustomize folders with the real tool, and validates Kubernetes documents strictly."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MANIFESTS = ROOT / "manifests"
SCHEMAS = ROOT.parent / "shared/schemas"  # KServe's CRDs as strict JSON schemas
MONITORING = Path(__file__).parent / "manifests/monitoring.schema.json"
KUBERNETES = ("1.32", "1.37")  # the oldest that KServe 0.20 runs on, and the newest whose schemas are here

Document = dict[str, Any]


@functools.cache
def kustomize() -> tuple[str, ...]:
    """The command that renders: kustomize, or a kubectl whose built-in kustomize is of version 5 (2.0 knows no ``patches``)."""
    for command in (("kustomize", "build"), ("kubectl", "kustomize")):
        if not shutil.which(command[0]):
            continue
        version = subprocess.run(
            [command[0], "version", *(["--client"] if command[0] == "kubectl" else [])], capture_output=True, text=True
        ).stdout
        if re.search(r"(^|Kustomize Version: )v5\.", version, re.MULTILINE):
            return command
    return ()


def render(folder: str | os.PathLike[str]) -> list[Document]:
    """The documents of a kustomize folder."""
    if not kustomize():
        pytest.skip("neither kustomize 5 nor a kubectl with kustomize 5 is installed")
    done = subprocess.run([*kustomize(), os.fspath(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def faults(document: Document) -> list[str]:
    """What is wrong with a document: unknown fields, wrong types, missing ones. Skips where its schema is not here."""
    import jsonschema

    group, _, _ = document["apiVersion"].rpartition("/")
    if group not in ("serving.kserve.io", "monitoring.coreos.com"):
        return _core_faults(document)
    if group == "monitoring.coreos.com":
        schema = json.loads(MONITORING.read_text()) | {"$ref": f"#/definitions/{document['kind']}"}
    else:
        path = SCHEMAS / f"{document['kind'].lower()}-{document['apiVersion'].rpartition('/')[2]}.schema.json"
        if not path.is_file():
            pytest.skip(f"the schema of {document['kind']} is not here ({path})")
        schema = json.loads(path.read_text())
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(document)
    ]
    # the schemas of custom resources leave metadata open
    return errors + _core_faults({"apiVersion": "v1", "kind": "ConfigMap", "metadata": document["metadata"]})


def _core_faults(document: Document) -> list[str]:
    validator = pytest.importorskip("kubernetes_validate")
    found = []
    for version in KUBERNETES:
        try:
            validator.validate(document, version, strict=True)
        except validator.ValidationError as error:
            found.append(f"{'.'.join(map(str, error.path))}: {error.message} (Kubernetes {version})")
    return found


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def one(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found
