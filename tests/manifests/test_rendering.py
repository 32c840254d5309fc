"""Every overlay as kustomize renders it: valid to the field, no secret inside, no image without a version."""

import copy
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers_manifests import MANIFESTS, faults, of_kind, one, render

from longtail import __version__

FOLDERS = ("base", "overlays/kind", "overlays/gpu", "overlays/production", "overlays/workload-identity")


@pytest.fixture(scope="module")
def rendered():
    return {folder: render(MANIFESTS / folder) for folder in FOLDERS}


def test_every_kustomization_is_among_those_tested():
    found = {str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("kustomization.yaml")}
    assert found == {*FOLDERS, "components/dashboard", "components/shop-files", "components/access-tokens"}


def beside_component(folder, beside, *components):
    """The ServingRuntime of an overlay of the user's own, and the options of the server that take files below /mnt."""
    paths = [os.path.relpath(MANIFESTS / "components" / name, folder) for name in components]
    overlay = {"resources": [os.path.relpath(MANIFESTS / beside, folder)], "components": paths}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    runtime = one(render(folder), "ServingRuntime", "longtail")
    assert not faults(runtime)
    (container,) = runtime["spec"]["containers"]
    told = subprocess.run(
        [sys.executable, "-m", "longtail.components.predict.server", "--help"], capture_output=True, text=True
    ).stdout
    assert all(argument.partition("=")[0] in told for argument in container["args"])
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in runtime["spec"]["volumes"]}
    volume_at = {path: volumes[mount["name"]] for path, mount in mounts.items()}
    assert all(mount["readOnly"] for path, mount in mounts.items() if path != "/tmp")
    return container["args"], volume_at


@pytest.mark.parametrize("beside", ["base", "overlays/production"])
def test_the_component_gives_the_server_the_shops_files(tmp_path, beside):
    """In an overlay of the user's own. The server takes the options that it names."""
    arguments, volume_at = beside_component(tmp_path, beside, "shop-files")
    files = [argument for argument in arguments if "/mnt/shop/" in argument]
    assert files == ["--availability=/mnt/shop/availability.yaml", "--rules=/mnt/shop/rules.yaml"]
    assert set(volume_at) == {"/tmp", "/mnt/shop"}
    assert volume_at["/mnt/shop"]["configMap"] == {"name": "longtail-shop"}


@pytest.mark.parametrize("beside", ["base", "overlays/production"])
def test_the_component_gives_the_server_its_tokens(tmp_path, beside):
    """One key of the Secret, which is not optional: without it the pod does not start, rather than serve everybody."""
    arguments, volume_at = beside_component(tmp_path, beside, "shop-files", "access-tokens")
    assert "--tokens=/mnt/access/tokens.yaml" in arguments
    assert set(volume_at) == {"/tmp", "/mnt/shop", "/mnt/access"}
    items = [{"key": "tokens.yaml", "path": "tokens.yaml"}]
    assert volume_at["/mnt/access"]["secret"] == {"secretName": "longtail-tokens", "items": items, "optional": False}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_document_is_valid(rendered, folder):
    wrong = {
        f"{document['kind']} {document['metadata']['name']}": found
        for document in rendered[folder]
        if (found := faults(document))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("ServingRuntime", "longtail", ("spec", "supportedModelFormats", 0, "autoSelekt")),
        ("ServingRuntime", "longtail", ("spec", "containers", 0, "readinesProbe")),
        ("ServingRuntime", "longtail", ("metadata", "lables")),
        ("NetworkPolicy", "default-deny", ("spec", "policyType")),
        ("PodDisruptionBudget", "longtail", ("spec", "maxUnavailible")),
        ("Role", "longtail-deploy", ("rules", 0, "resource")),
        ("ServiceAccount", "longtail-predictor", ("automountServiceAccountTokens",)),
        ("PersistentVolumeClaim", "longtail-models", ("spec", "accessMode")),
        ("PodMonitor", "longtail", ("spec", "podMetricsEndpoint")),
        ("PrometheusRule", "longtail", ("spec", "groups", 0, "rules", 0, "form")),
    ],
)
def test_a_misspelt_field_is_caught(rendered, kind, name, path):
    document = copy.deepcopy(one(rendered["overlays/production"], kind, name))
    assert not faults(document)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = "x"
    assert any(str(path[-1]) in fault for fault in faults(document))


def test_no_secret_is_applied(rendered):
    assert not [document for documents in rendered.values() for document in of_kind(documents, "Secret")]


def test_the_secret_template_holds_no_value_and_is_valid_once_filled():
    text = (MANIFESTS / "base/s3-secret.template.yaml").read_text()
    template = yaml.safe_load(text)
    assert all(value == f"${{{key}}}" for key, value in template["stringData"].items())
    variables = string.Template(text).get_identifiers()
    filled = yaml.safe_load(string.Template(text).substitute(dict.fromkeys(variables, "1234")))
    assert filled["metadata"]["annotations"]["serving.kserve.io/s3-usehttps"] == "1234"
    # numbers must stay texts where people's keys are made of digits
    filled["metadata"]["namespace"] = "longtail"
    assert [fault for fault in faults(filled)] == []


def test_the_service_account_names_the_templates_secret(rendered):
    template = yaml.safe_load((MANIFESTS / "base/s3-secret.template.yaml").read_text())
    account = one(rendered["base"], "ServiceAccount", "longtail-predictor")
    assert account["secrets"] == [{"name": template["metadata"]["name"]}]


def images(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["image"]] if isinstance(value.get("image"), str) else []
        return own + [image for child in value.values() for image in images(child)]
    return [image for child in value for image in images(child)] if isinstance(value, list) else []


def test_images_have_a_version(rendered):
    found = {image for documents in rendered.values() for document in documents for image in images(document)}
    assert found == {f"longtail-predict:{__version__}"}


def test_the_service_is_left_to_the_first_run(rendered):
    """Without a bundle its pods would fail; and applying the manifests again never takes back what the deploy step serves."""
    assert not [document for documents in rendered.values() for document in of_kind(documents, "InferenceService")]


def test_workload_identity_names_no_secret(rendered):
    account = one(rendered["overlays/workload-identity"], "ServiceAccount", "longtail-predictor")
    assert account.get("secrets") is None
    base = {(document["kind"], document["metadata"]["name"]): document for document in rendered["base"]}
    own = {
        (document["kind"], document["metadata"]["name"]): document
        for document in rendered["overlays/workload-identity"]
    }
    assert base.keys() == own.keys()
    assert [key for key in base if base[key] != own[key]] == [("ServiceAccount", "longtail-predictor")]


def test_kinds_namespace_is_let_in_to_the_object_store(rendered):
    labels = one(rendered["overlays/kind"], "Namespace", "longtail")["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "kubeflow-profile"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_file_is_used():
    """A manifest that no kustomization names would never be applied."""
    beside = {
        "resources.yaml",
        "settings.yaml",
        "s3-secret.template.yaml",
        "inference-service.yaml",
    }  # read by people and by longtail
    for folder in FOLDERS:
        kustomization = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())
        named = set(kustomization["resources"]) | {patch["path"] for patch in kustomization.get("patches", [])}
        files = {path.name for path in Path(MANIFESTS / folder).glob("*.yaml")} - beside - {"kustomization.yaml"}
        assert files == {name for name in named if not name.startswith("..")}, folder
