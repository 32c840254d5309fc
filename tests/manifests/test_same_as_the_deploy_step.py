"""The deploy step writes the same ServingRuntime and InferenceService, from KServe's own types: neither may drift away."""

from helpers_manifests import MANIFESTS, one, render

from longtail.components.deploy.serving_runtime import serving_runtime
from longtail.rollout.inference_service import inference_service, predictor
from longtail.rollout.service_settings import ServiceSettings

STORAGE_URI = "s3://models/longtail/1"


def test_the_serving_runtime_is_the_deploy_steps():
    assert one(render(MANIFESTS / "base"), "ServingRuntime", "longtail") == serving_runtime(namespace="longtail")


def test_the_inference_service_is_the_deploy_steps_but_for_the_bundle():
    settings = ServiceSettings()
    wanted = inference_service(
        settings.name, settings.namespace, "Standard", predictor(settings, "Standard", STORAGE_URI)
    )
    assert wanted["spec"]["predictor"]["model"].pop("storageUri") == STORAGE_URI
    assert wanted["spec"]["predictor"]["model"].pop("name") == ""  # KServe's own type always writes it
    del wanted["spec"]["predictor"]["labels"]  # a digest of the above, by which it tells its own pods
    assert one(render(MANIFESTS / "base"), "InferenceService", "longtail") == wanted
