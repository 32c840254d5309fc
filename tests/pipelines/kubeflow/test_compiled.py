"""The compiled pipeline as a cluster reads it: through the protobuf messages that its driver and compiler parse."""

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from longtail.contracts.errors import UserError
from longtail.pipelines.activation import compile_pipeline
from longtail.pipelines.parameters import STAGES, arguments
from longtail.pipelines.resources import (
    Resources,
    StageResources,
    Toleration,
    TrainingResources,
    check_claims,
    load_resources,
)
from longtail.pipelines.run_settings import load_settings

GPU = TrainingResources(
    cpu="8",
    memory="32Gi",
    accelerator="nvidia.com/gpu",
    accelerator_count=2,
    node_selector={"pool": "gpu"},
    tolerations=(
        Toleration(key="nvidia.com/gpu", effect="NoSchedule"),
        Toleration(key="spot", operator="Equal", value="yes"),
    ),
    shared_memory="4Gi",
    retries=3,
    checkpoint_claim="longtail-checkpoints",
)


def parse(path):
    """The two messages of a compiled file: PipelineSpec, and each executor's KubernetesExecutorConfig."""
    spec_document, *platform_documents = yaml.safe_load_all(path.read_text())
    spec = json_format.ParseDict(spec_document, pipeline_spec_pb2.PipelineSpec())
    if not platform_documents:
        return spec, {}
    (document,) = platform_documents
    platform = json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
    executors = platform.platforms["kubernetes"].deployment_spec.executors
    return spec, {
        name: json_format.ParseDict(
            json_format.MessageToDict(config), kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        )
        for name, config in executors.items()
    }


def compiled(folder, resources=None):
    path = folder / "activation.yaml"
    compile_pipeline(path, resources)
    return parse(path)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("gpu"), Resources(finetune=GPU))


def containers(spec):
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    return {name.removeprefix("exec-"): executor.container for name, executor in deployment.executors.items()}


def tasks_of(spec):
    """Every task by name, those under the gate included."""
    tasks = dict(spec.root.dag.tasks)
    for component in spec.components.values():
        tasks |= dict(component.dag.tasks)
    return tasks


def test_every_task_has_a_container_whose_image_is_pinned(default):
    spec, _ = default
    images = {stage: containers(spec)[stage].image for stage in STAGES}
    assert len(set(images.values())) == 1
    assert not images["finetune"].endswith(":latest")
    assert ":" in images["finetune"]


def test_requests_are_limits_and_those_of_the_default_resources(default):
    spec, _ = default
    for stage in STAGES:
        wanted: StageResources = getattr(Resources(), stage)
        given = containers(spec)[stage].resources
        assert given.resource_cpu_request == given.resource_cpu_limit == wanted.cpu, stage
        assert given.resource_memory_request == given.resource_memory_limit == wanted.memory, stage
        assert not given.HasField("accelerator"), stage


def test_retries_wait_and_belong_to_the_long_stage_alone(default):
    spec, _ = default
    tasks = tasks_of(spec)
    policy = tasks["finetune"].retry_policy
    assert (policy.max_retry_count, policy.backoff_duration.seconds, policy.backoff_factor) == (2, 60, 2.0)
    assert {name for name in STAGES if tasks[name].HasField("retry_policy")} == {"finetune"}


def test_shared_memory_where_data_is_loaded_by_workers(default):
    _, kubernetes = default
    mounts = {name: list(config.empty_dir_mounts) for name, config in kubernetes.items()}
    assert {name: (mount.mount_path, mount.medium, mount.size_limit) for name, (mount,) in mounts.items()} == {
        "exec-finetune": ("/dev/shm", "Memory", "2Gi"),
        "exec-distill": ("/dev/shm", "Memory", "2Gi"),
    }


def test_the_gpu_is_asked_for_by_the_one_stage_that_was_given_it(on_gpu):
    spec, kubernetes = on_gpu
    accelerator = containers(spec)["finetune"].resources.accelerator
    assert (accelerator.resource_type, accelerator.resource_count) == ("nvidia.com/gpu", "2")
    config = kubernetes["exec-finetune"]
    assert dict(config.node_selector.labels) == {"pool": "gpu"}
    assert [(t.key, t.operator, t.value, t.effect) for t in config.tolerations] == [
        ("nvidia.com/gpu", "Exists", "", "NoSchedule"),
        ("spot", "Equal", "yes", ""),
    ]
    assert tasks_of(spec)["finetune"].retry_policy.max_retry_count == 3
    for stage in set(STAGES) - {"finetune"}:
        assert not containers(spec)[stage].resources.HasField("accelerator"), stage
        assert not kubernetes.get(f"exec-{stage}", config.__class__()).tolerations, stage


def test_a_retried_task_finds_its_checkpoints_on_the_claim(on_gpu, default):
    spec, kubernetes = on_gpu
    (mount,) = kubernetes["exec-finetune"].pvc_mount
    assert mount.pvc_name_parameter.runtime_value.constant.string_value == "longtail-checkpoints"
    given = tasks_of(spec)["finetune"].inputs.parameters["checkpoints"].component_input_parameter
    assert spec.root.input_definitions.parameters[given].default_value.string_value == mount.mount_path
    assert not any(config.pvc_mount for name, config in kubernetes.items() if name != "exec-finetune")
    plain, without = default
    assert not any(config.pvc_mount for config in without.values())
    assert plain.root.input_definitions.parameters["checkpoints"].default_value.string_value == ""


def checkpoints_of(spec, stage):
    """What a stage is given: the pipeline's parameter, or a constant."""
    given = tasks_of(spec)[stage].inputs.parameters["checkpoints"]
    return given.component_input_parameter or given.runtime_value.constant.string_value


def test_distill_finds_its_checkpoints_on_a_claim_of_its_own(tmp_path, on_gpu, default):
    claim = TrainingResources(checkpoint_claim="more")
    spec, kubernetes = compiled(tmp_path, Resources(distill=claim))
    (mount,) = kubernetes["exec-distill"].pvc_mount
    assert mount.pvc_name_parameter.runtime_value.constant.string_value == "more"
    assert spec.root.input_definitions.parameters["checkpoints"].default_value.string_value == mount.mount_path
    # a stage without the claim would write into its pod's root: it is given none
    assert (checkpoints_of(spec, "finetune"), checkpoints_of(spec, "distill")) == ("", "checkpoints")
    assert (checkpoints_of(on_gpu[0], "finetune"), checkpoints_of(on_gpu[0], "distill")) == ("checkpoints", "")
    assert [checkpoints_of(default[0], stage) for stage in ("finetune", "distill")] == ["checkpoints"] * 2
    both, mounted = compiled(tmp_path, Resources(finetune=claim, distill=claim))
    assert [checkpoints_of(both, stage) for stage in ("finetune", "distill")] == ["checkpoints"] * 2
    assert mounted["exec-finetune"].pvc_mount and mounted["exec-distill"].pvc_mount


def test_secrets_become_environment_variables_of_every_stage(tmp_path, default):
    _, kubernetes = compiled(tmp_path, Resources(secret_env={"longtail-s3": ("AWS_ACCESS_KEY_ID", "AWS_REGION")}))
    for stage in STAGES:
        (secret,) = kubernetes[f"exec-{stage}"].secret_as_env
        assert secret.secret_name_parameter.runtime_value.constant.string_value == "longtail-s3"
        pairs = {(pair.secret_key, pair.env_var) for pair in secret.key_to_env}
        assert pairs == {("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"), ("AWS_REGION", "AWS_REGION")}
    assert not any(config.secret_as_env for config in default[1].values())


def test_claims_are_named_as_kubernetes_names_them(tmp_path):
    path = tmp_path / "resources.yaml"
    path.write_text("finetune: {checkpoint_claim: Not_A_Name}")
    with pytest.raises(UserError, match=r"resources\.yaml: finetune\.checkpoint_claim: .*\(given: 'Not_A_Name'\)"):
        load_resources(path)
    path.write_text("evaluate: {checkpoint_claim: longtail-checkpoints}")
    with pytest.raises(UserError, match=r"no setting 'evaluate\.checkpoint_claim'"):
        load_resources(path)


def test_every_pod_mounts_the_claims_of_the_data(tmp_path):
    _, kubernetes = compiled(tmp_path, Resources(claims=("data", "models")))
    for stage in STAGES:
        mounts = {
            mount.pvc_name_parameter.runtime_value.constant.string_value: mount.mount_path
            for mount in kubernetes[f"exec-{stage}"].pvc_mount
        }
        assert mounts == {"data": "/mnt/pvc/data", "models": "/mnt/pvc/models"}, stage


def test_a_claim_is_mounted_once(tmp_path):
    path = tmp_path / "resources.yaml"
    for stage in ("finetune", "distill"):
        path.write_text(f"claims: [data]\n{stage}: {{checkpoint_claim: data}}")
        with pytest.raises(UserError, match=f"{stage}.checkpoint_claim data, and a pod mounts a claim only once"):
            load_resources(path)


def test_a_claim_that_is_not_mounted_is_refused():
    settings = load_settings(None, ["deploy.registry_uri=pvc://models/shop"])
    given = arguments("pvc://data/log", "s3://shop/items", None, settings)
    with pytest.raises(UserError, match=r"interactions: names pvc://data, but .* claims: \[data\]"):
        check_claims(given, Resources())
    with pytest.raises(UserError, match=r"deploy_settings: names pvc://models, but"):
        check_claims(given, Resources(claims=("data",)))
    check_claims(given, Resources(claims=("models", "data")))


def test_a_misspelt_field_is_refused_by_the_parser(tmp_path):
    path = tmp_path / "activation.yaml"
    compile_pipeline(path)
    for right, wrong in (("resourceCpuLimit", "resourceCpuLimits"), ("emptyDirMounts", "emptyDirMount")):
        path.with_name("wrong.yaml").write_text(path.read_text().replace(f"{right}:", f"{wrong}:"))
        with pytest.raises(json_format.ParseError, match=wrong):
            containers(parse(path.with_name("wrong.yaml"))[0])
