"""The rights that the manifests grant, listed once more: whoever widens them changes this list too."""

from helpers_manifests import MANIFESTS, of_kind, one, render, rights

from longtail.rollout.inference_service import CANARY, predictor
from longtail.rollout.service_settings import ServiceSettings

PIPELINE = {("kubeflow", "longtail-pipeline")}
GRANTED = {
    # namespace, API group, resource, its name (None: any) -> verbs
    ("longtail", "serving.kserve.io", "inferenceservices", None): {"get", "create", "patch"},
    ("longtail", "gateway.networking.k8s.io", "httproutes", None): {"get"},
    ("longtail", "autoscaling", "horizontalpodautoscalers", "longtail-candidate-predictor"): {"delete"},
    ("longtail", "serving.knative.dev", "services", None): {"get"},
    ("longtail", "", "pods", None): {"list"},
    ("longtail", "", "events", None): {"list"},
    ("longtail", "", "pods/log", None): {"get"},
    ("kserve", "", "configmaps", "inferenceservice-config"): {"get"},
    ("kserve", "apps", "deployments", "kserve-controller-manager"): {"get"},
}


def test_the_rights_are_these_and_no_more():
    documents = render(MANIFESTS / "base")
    assert rights(documents) == GRANTED
    assert rights(render(MANIFESTS / "overlays/production")) == GRANTED
    assert rights(render(MANIFESTS / "overlays/kind")) == GRANTED


def test_all_of_them_go_to_the_pipeline_alone():
    documents = render(MANIFESTS / "base")
    assert not [document for document in documents if document["kind"].startswith("ClusterRole")]
    bindings = of_kind(documents, "RoleBinding")
    for binding in bindings:
        assert {(subject["namespace"], subject["name"]) for subject in binding["subjects"]} == PIPELINE
        assert {subject["kind"] for subject in binding["subjects"]} == {"ServiceAccount"}
    own = {(role["kind"], role["metadata"]["name"]) for role in of_kind(documents, "Role")}
    bound = {(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings}
    assert bound - own == {("Role", "pipeline-runner")}  # of Kubeflow Pipelines, in its own namespace
    assert one(documents, "RoleBinding", "longtail-pipeline-runner")["metadata"]["namespace"] == "kubeflow"
    assert own <= bound


def test_the_model_server_has_no_rights_and_no_token():
    documents = render(MANIFESTS / "base")
    assert one(documents, "ServiceAccount", "longtail-predictor")["automountServiceAccountToken"] is False
    service = predictor(ServiceSettings(), "Standard", "s3://models/longtail/1")
    assert service["serviceAccountName"] == "longtail-predictor"
    assert service["automountServiceAccountToken"] is False


def test_what_may_be_deleted_is_the_autoscaler_of_the_services_canary():
    (resource,) = [resource for (_, _, _, resource), verbs in GRANTED.items() if "delete" in verbs]
    assert resource == f"{ServiceSettings().name}-{CANARY}-predictor"
