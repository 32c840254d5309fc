"""What the deploy step makes of KServe's own types, and the manifests here: neither may drift away."""

import copy

import pytest
import yaml
from helpers_manifests import MANIFESTS, faults, one, render

from longtail.components.deploy.serving_runtime import serving_runtime
from longtail.pipelines.run_settings import load_settings
from longtail.rollout.inference_service import inference_service, predictor

PRODUCTION = MANIFESTS / "overlays/production"


def both(ours, theirs):
    """As server-side apply merges what two managers set; no field is of both."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        assert ours == theirs
        return ours
    shared = {key: both(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()}
    return ours | theirs | shared


def test_the_serving_runtime_is_the_deploy_steps():
    assert one(render(MANIFESTS / "base"), "ServingRuntime", "longtail") == serving_runtime(namespace="longtail")


@pytest.fixture
def merged():
    """The deploy step's InferenceService, with its settings for production, under what production adds."""
    deploy = load_settings(PRODUCTION / "settings.yaml", ["deploy.registry_uri=s3://shop/models"]).deploy
    stable = predictor(deploy, "Standard", "s3://models/longtail/1")
    ours = inference_service(deploy.name, deploy.namespace, "Standard", stable)
    return both(ours, yaml.safe_load((PRODUCTION / "inference-service.yaml").read_text()))


def test_what_production_adds_to_the_inference_service_fits_the_deploy_steps(merged):
    assert faults(merged) == []
    assert merged["spec"]["predictor"]["minReplicas"] == 2
    assert merged["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    for constraint in merged["spec"]["predictor"]["topologySpreadConstraints"]:
        pods = constraint["labelSelector"]["matchLabels"]
        assert pods == {"serving.kserve.io/inferenceservice": merged["metadata"]["name"]}


@pytest.mark.parametrize("key", ["topologySpreadConstraints", "scaleTarget"])
def test_a_misspelt_field_of_it_is_caught(merged, key):
    document = copy.deepcopy(merged)
    document["spec"]["predictor"][f"{key}s"] = document["spec"]["predictor"].pop(key)
    assert any(f"{key}s" in fault for fault in faults(document))
