import copy
import json

import pytest
from helpers_schemas import faults

from longtail.contracts.errors import UserError
from longtail.rollout.inference_service import (
    CANARY,
    REVISION,
    VERSION,
    inference_service,
    labelled,
    predictor,
)
from longtail.rollout.service_settings import ServiceSettings

SETTINGS = ServiceSettings(name="shop", image="longtail-predict:abc")
URI = "s3://models/shop/v1"


def manifest(settings=SETTINGS, mode="Standard", **more):
    return inference_service("shop", "longtail", mode, predictor(settings, mode, URI, "v1"), **more)


def test_the_manifest_says_what_serves_what():
    document = manifest()
    assert (document["apiVersion"], document["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert document["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}
    pods = document["spec"]["predictor"]
    assert (pods["minReplicas"], pods["maxReplicas"]) == (1, 3)
    assert pods["serviceAccountName"] == "longtail-predictor"
    assert pods["automountServiceAccountToken"] is False
    model = pods["model"]
    assert (model["modelFormat"], model["runtime"], model["storageUri"]) == (
        {"name": "longtail-bundle"},
        "longtail",
        URI,
    )
    assert model["image"] == "longtail-predict:abc"
    assert model["resources"] == {key: {"cpu": "1", "memory": "1Gi"} for key in ("requests", "limits")}


def test_without_an_image_that_of_the_serving_runtime_stays():
    assert "image" not in manifest(ServiceSettings())["spec"]["predictor"]["model"]


def test_a_pods_label_changes_exactly_when_its_pods_must():
    def revision(uri=URI, version="v1", **settings):
        return predictor(ServiceSettings(**settings), "Standard", uri, version)["labels"][REVISION]

    assert revision() == revision(max_replicas=9, min_replicas=2) == revision(version="v2")
    assert len({revision(), revision(uri="s3://models/shop/v2"), revision(image="other:1"), revision(cpu="2")}) == 4


def test_a_predictor_read_back_from_the_cluster_can_be_pointed_at_another_bundle():
    first, second = (predictor(SETTINGS, "Standard", f"s3://models/{version}", version) for version in ("v1", "v2"))
    moved = labelled(second | {"model": second["model"] | {"storageUri": "s3://models/v1"}}, "v1")
    assert moved == first


def test_knative_gets_its_share_in_the_predictor_and_no_field_that_it_refuses():
    document = manifest(mode="Knative", percent=10)
    assert document["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert "securityContext" not in document["spec"]["predictor"]
    assert "canary" not in document["spec"]
    assert document["metadata"]["annotations"]["serving.kserve.io/enable-tag-routing"] == "true"
    assert "canaryTrafficPercent" not in manifest(mode="Knative")["spec"]["predictor"]


def test_standard_gets_a_second_predictor_of_fixed_size():
    candidate = predictor(SETTINGS, "Standard", "s3://models/shop/v2", "v2")
    document = manifest(canary=candidate, percent=25)
    (canary,) = document["spec"]["canary"]
    assert canary["trafficPercent"] == 25
    assert canary["predictor"]["name"] == CANARY
    assert "maxReplicas" not in canary["predictor"]
    assert canary["predictor"]["minReplicas"] == 1
    assert canary["predictor"]["labels"][VERSION] == "v2"
    assert document["spec"]["predictor"]["model"]["storageUri"] == URI
    assert "canaryTrafficPercent" not in json.dumps(document)


@pytest.mark.parametrize(
    "document",
    [
        manifest(),
        manifest(ServiceSettings(min_replicas=0, cpu="500m", service_account=None), "Knative", percent=0),
        manifest(canary=predictor(SETTINGS, "Standard", URI), percent=100),
    ],
)
def test_the_manifest_fits_the_schema(document):
    assert faults(document) == []


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("spec.predictor", "minReplicas", "minReplica"),
        ("spec.predictor", "serviceAccountName", "serviceAcountName"),
        ("spec.predictor.model", "storageUri", "storageURI"),
        ("spec.predictor.model.modelFormat", "name", "nmae"),
        ("spec.predictor.securityContext", "runAsNonRoot", "runAsNonroot"),
        ("spec.canary.0", "trafficPercent", "trafficPercentage"),
        ("spec.canary.0.predictor.model", "runtime", "runTime"),
    ],
)
def test_a_misspelt_field_does_not_fit_the_schema(path, right, wrong):
    document = copy.deepcopy(manifest(canary=predictor(SETTINGS, "Standard", URI), percent=10))
    place = document
    for key in path.split("."):
        place = place[int(key) if key.isdigit() else key]
    place[wrong] = place.pop(right)
    assert any(wrong in fault or right in fault for fault in faults(document))


def test_zero_replicas_are_refused_where_kserve_would_ignore_them():
    with pytest.raises(UserError, match="min_replicas 0: Standard mode does not scale to zero"):
        predictor(ServiceSettings(min_replicas=0), "Standard", URI)
