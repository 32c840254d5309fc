import json

import pytest

from longtail.contracts.errors import UserError
from longtail.rollout.kserve_install import Kserve, deployment_mode, find_kserve, why_no_canary


def test_version_mode_and_abilities_are_found(stage):
    stage.cluster.config["deploy"] = json.dumps({"defaultDeploymentMode": "RawDeployment"})  # its name before 0.16
    assert find_kserve(stage.connection, "kserve") == Kserve("0.20.1", "Standard", True, True)


def test_what_may_not_be_read_is_not_guessed(stage):
    stage.cluster.forbidden = {("get", "configmaps"), ("get", "deployments")}
    assert find_kserve(stage.connection, "kserve") == Kserve(None, None, None, True)
    assert find_kserve(stage.connection, "elsewhere") == Kserve(None, None, None, True)


@pytest.mark.parametrize(("field", "found"), [(True, True), (False, False), (None, None)])
def test_the_schema_says_whether_there_is_a_canary(stage, field, found):
    stage.cluster.canary_field = field
    assert find_kserve(stage.connection, "kserve").canary_field is found


def kserve(version="0.20.1", mode="Standard", gateway=True, field=True):
    return Kserve(version, mode, gateway, field)


@pytest.mark.parametrize(
    ("mode", "found", "reason"),
    [
        ("Standard", kserve(), None),
        ("Standard", kserve(field=None), None),  # the schema says nothing, the version does
        ("Standard", kserve("0.21.0", field=None), None),
        ("Standard", kserve("1.0.0", field=None), None),
        ("Standard", kserve("0.19.2", field=None), "KServe 0.19.2 has no spec.canary"),
        ("Standard", kserve(field=False), "KServe 0.20.1 has no spec.canary"),  # the API server would drop the field
        ("Standard", kserve(None, field=None), "KServe of an unknown version has no spec.canary"),
        ("Standard", kserve(gateway=False), "without the Gateway API"),
        ("Standard", kserve(gateway=None), "not readable here"),
        ("Knative", kserve("0.16.0", gateway=None, field=False), None),
    ],
)
def test_where_traffic_can_be_split(mode, found, reason):
    why = why_no_canary(mode, found)
    assert why is None if reason is None else reason in why


def service(status=None, annotation=None):
    metadata = {"name": "shop", "namespace": "longtail"}
    if annotation:
        metadata["annotations"] = {"serving.kserve.io/deploymentMode": annotation}
    return {"metadata": metadata, "status": {"deploymentMode": status} if status else {}}


@pytest.mark.parametrize(
    ("wanted", "existing", "default", "mode"),
    [
        ("auto", None, None, "Standard"),
        ("auto", None, "Knative", "Knative"),
        ("Standard", None, "Knative", "Standard"),
        ("auto", service(status="Standard"), "Knative", "Standard"),
        ("auto", service(annotation="Serverless"), "Standard", "Knative"),
        ("auto", service(status="RawDeployment", annotation="Knative"), "Knative", "Standard"),
        ("Knative", service(status="Serverless"), "Standard", "Knative"),
    ],
)
def test_the_mode_is_what_is_wanted_or_what_is_there(wanted, existing, default, mode):
    assert deployment_mode(wanted, existing, kserve(mode=default)) == mode


def test_a_mode_that_serves_no_bundle_is_refused():
    with pytest.raises(UserError, match="deployment mode ModelMesh: serves no bundles"):
        deployment_mode("auto", None, kserve(mode="ModelMesh"))
