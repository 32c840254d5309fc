"""Validation as an API server does it: KServe's kinds by their CRDs' schemas, core kinds by kubernetes-validate, both strict."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

SCHEMAS = Path(__file__).parents[2] / "shared/schemas"
FILES = {
    "InferenceService": "inferenceservice-v1beta1.schema.json",
    "ServingRuntime": "servingruntime-v1alpha1.schema.json",
}


def faults(document: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest; skips where the schemas of KServe's kinds are not there."""
    if document["kind"] in FILES:
        path = SCHEMAS / FILES[document["kind"]]
        if not path.is_file():
            pytest.skip(f"the schema of {document['kind']} is not here ({path})")
        return [f"{error.json_path}: {error.message}" for error in validator(path).iter_errors(document)]
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


@cache
def validator(path: Path) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(path.read_text()))
