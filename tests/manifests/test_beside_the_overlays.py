"""The files that lie beside the overlays for `longtail submit` fit the overlays."""

import yaml
from helpers_manifests import MANIFESTS, one, render

from longtail.pipelines.resources import Resources, load_resources
from longtail.pipelines.run_settings import load_settings

OVERLAYS = MANIFESTS / "overlays"


def test_gpu_stages_ask_for_one_and_tolerate_its_taint():
    resources = load_resources(OVERLAYS / "gpu/resources.yaml")
    for stage in (resources.finetune, resources.distill):
        assert (stage.accelerator, stage.accelerator_count) == ("nvidia.com/gpu", 1)
        assert [toleration.key for toleration in stage.tolerations] == ["nvidia.com/gpu"]
        assert stage.shared_memory
        assert stage.retries
    assert resources.preprocess == Resources().preprocess


def test_the_checkpoints_claim_is_the_overlays():
    (claim,) = render(OVERLAYS / "gpu")
    assert claim["metadata"]["name"] == load_resources(OVERLAYS / "gpu/resources.yaml").finetune.checkpoint_claim
    assert claim["metadata"]["namespace"] == "kubeflow"  # that of the pods


def test_kind_stages_find_the_keys_of_the_secret_template():
    template = yaml.safe_load((MANIFESTS / "base/s3-secret.template.yaml").read_text())
    given = load_resources(OVERLAYS / "kind/resources.yaml").secret_env
    assert given == {template["metadata"]["name"]: tuple(template["stringData"])}


def test_the_deploy_step_keeps_productions_sizes():
    deploy = load_settings(OVERLAYS / "production/settings.yaml", ["deploy.registry_uri=s3://shop/models"]).deploy
    assert (deploy.target, deploy.min_replicas, deploy.max_replicas) == ("cluster", 2, 10)
    budget = one(render(OVERLAYS / "production"), "PodDisruptionBudget", "longtail")
    assert deploy.min_replicas > budget["spec"]["maxUnavailable"]
    pods = budget["spec"]["selector"]["matchLabels"]
    assert pods == {"serving.kserve.io/inferenceservice": deploy.name}
