"""The ServingRuntime, and the pod that KServe makes of it."""

import copy
import json

import pytest
from helpers_schemas import faults

from longtail.components.deploy.serving_runtime import MODEL_FORMAT, MODEL_FORMAT_VERSION, RUNTIME, serving_runtime
from longtail.rollout.inference_service import predictor
from longtail.rollout.service_settings import ServiceSettings


def pod(runtime, name="shop"):
    """What KServe makes: the runtime's container, with the service's name in it, in the predictor's pod."""
    spec = json.loads(json.dumps(runtime["spec"]).replace("{{.Name}}", name))
    pods = predictor(ServiceSettings(), "Standard", "s3://models/shop")
    kept = {key: pods[key] for key in ("serviceAccountName", "automountServiceAccountToken", "securityContext")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": spec["annotations"], "labels": pods["labels"]},
        "spec": {"containers": spec["containers"], "volumes": spec["volumes"], **kept},
    }


def test_the_runtime_serves_bundles_of_this_format():
    runtime = serving_runtime("longtail-predict:abc", "longtail")
    assert (runtime["apiVersion"], runtime["kind"]) == ("serving.kserve.io/v1alpha1", "ServingRuntime")
    assert (runtime["metadata"]["name"], runtime["metadata"]["namespace"]) == (RUNTIME, "longtail")
    (format_,) = runtime["spec"]["supportedModelFormats"]
    assert (format_["name"], format_["version"]) == (MODEL_FORMAT, MODEL_FORMAT_VERSION) == ("longtail-bundle", "1")
    (container,) = runtime["spec"]["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "longtail-predict:abc")


def test_the_pod_serves_the_model_by_the_services_name():
    (container,) = pod(serving_runtime())["spec"]["containers"]
    assert container["args"] == ["--bundle=/mnt/models", "--name=shop", "--http-port=8080", "--grpc-port=8081"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/models/shop/ready", "port": 8080}


def test_the_pod_meets_the_restricted_pod_security_standard_and_writes_to_tmp_alone():
    (container,) = pod(serving_runtime())["spec"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


def test_the_runtime_fits_its_schema():
    assert faults(serving_runtime("longtail-predict:abc", "longtail")) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("supportedModelFormats", "supportedModelFormat"),
        ("autoSelect", "autoselect"),
        ("readinessProbe", "readynessProbe"),
    ],
)
def test_a_misspelt_field_does_not_fit_the_schema_of_the_runtime(right, wrong):
    text = json.dumps(serving_runtime())
    assert right in text
    assert any(wrong in fault for fault in faults(json.loads(text.replace(right, wrong))))


def test_its_pod_is_valid():
    assert faults(pod(serving_runtime())) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("readOnlyRootFilesystem", "readOnlyRootFileSystem"), ("httpGet", "httpget"), ("emptyDir", "emptydir")],
)
def test_a_misspelt_field_makes_its_pod_invalid(right, wrong):
    text = json.dumps(pod(copy.deepcopy(serving_runtime())))
    assert right in text
    assert faults(json.loads(text.replace(right, wrong)))
