"""Renders kustomize folders with the real tool, and validates Kubernetes documents strictly."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helpers_schemas
import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1]
MANIFESTS = ROOT / "manifests"
MONITORING = Path(__file__).parent / "manifests/monitoring.schema.json"
OLDEST = "1.32"  # Kubernetes that KServe 0.20 runs on; helpers_schemas checks against the newest

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
    metadata = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": document["metadata"]}
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        schema = json.loads(MONITORING.read_text()) | {"$ref": f"#/definitions/{document['kind']}"}
        errors = jsonschema.Draft7Validator(schema).iter_errors(document)
        return [f"{error.json_path}: {error.message}" for error in errors] + helpers_schemas.faults(metadata)
    if document["kind"] in helpers_schemas.FILES:  # whose schemas leave metadata open
        return helpers_schemas.faults(document) + helpers_schemas.faults(metadata)
    try:
        kubernetes_validate.validate(document, OLDEST, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return helpers_schemas.faults(document)


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def one(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found


def rights(documents: list[Document]) -> dict[tuple[str, str, str, str | None], set[str]]:
    """What our own roles allow: (namespace, group, resource, name) -> verbs."""
    found: dict[tuple[str, str, str, str | None], set[str]] = {}
    for role in of_kind(documents, "Role"):
        for rule in role["rules"]:
            assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [None]):
                        key = (role["metadata"].get("namespace"), group, resource, name)
                        assert key not in found, key
                        found[key] = set(rule["verbs"])
    return found
