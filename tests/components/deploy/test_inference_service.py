import json
from pathlib import Path

import pytest
import yaml

from longtail.components.deploy.inference_service import inference_service
from longtail.contracts.errors import UserError
from longtail.contracts.settings import DeploySettings

SCHEMA = Path(__file__).parents[4] / "shared/schemas/inferenceservice-v1beta1.schema.json"


@pytest.fixture(scope="module")
def validator():
    if not SCHEMA.is_file():
        pytest.skip(f"the InferenceService schema is not here ({SCHEMA})")
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


def test_the_manifest_says_what_serves_what(tmp_path):
    manifest = yaml.safe_load(
        inference_service(str(tmp_path), DeploySettings(name="shop", storage_uri="s3://models/shop"))
    )
    assert manifest["apiVersion"] == "serving.kserve.io/v1beta1"
    assert manifest["kind"] == "InferenceService"
    assert manifest["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}
    predictor = manifest["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 3)
    (container,) = predictor["containers"]
    assert container["name"] == "kserve-container"
    assert container["image"] == "longtail-predict:0.1.0"
    assert container["env"] == [{"name": "STORAGE_URI", "value": "s3://models/shop"}]
    assert container["resources"] == {key: {"cpu": "1", "memory": "1Gi"} for key in ("requests", "limits")}
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/models/shop/ready", "port": 8080}
    assert "--name=shop" in container["args"]
    assert "--bundle=/mnt/models" in container["args"]


def test_the_container_meets_the_restricted_pod_security_standard():
    manifest = yaml.safe_load(inference_service("bundle", DeploySettings()))
    context = manifest["spec"]["predictor"]["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_without_a_storage_uri_the_local_folder_is_named(tmp_path):
    manifest = yaml.safe_load(inference_service(str(tmp_path / "a bundle"), DeploySettings()))
    assert manifest["spec"]["predictor"]["containers"][0]["env"][0]["value"] == f"file://{tmp_path}/a%20bundle"


@pytest.mark.parametrize("settings", [DeploySettings(), DeploySettings(mode="Knative", min_replicas=0, cpu="500m")])
def test_the_manifest_fits_the_schema(validator, settings):
    assert list(validator.iter_errors(yaml.safe_load(inference_service("bundle", settings)))) == []


def test_a_misspelt_field_does_not_fit_the_schema(validator):
    text = inference_service("bundle", DeploySettings())
    for right, wrong in (("minReplicas", "minReplica"), ("readinessProbe", "readynessProbe"), ("httpGet", "httpget")):
        assert right in text
        assert not validator.is_valid(yaml.safe_load(text.replace(right, wrong))), wrong


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DeploySettings(min_replicas=5), "min_replicas 5 is above deploy.max_replicas 3"),
        (DeploySettings(min_replicas=0), "Standard mode does not scale to zero"),
    ],
)
def test_replicas_that_kserve_would_refuse_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        inference_service("bundle", settings)
