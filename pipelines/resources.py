"""What each stage asks of the cluster: fixed when the pipeline is compiled, and apart from the stages' settings."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from kfp import kubernetes
from kfp.dsl import PipelineTask
from pydantic import Field, model_validator

from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings, parse, read_yaml
from longtail.system.places import CLAIMS

CHECKPOINTS = "/mnt/checkpoints"  # where a claim for checkpoints is mounted
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?$"


class Toleration(Settings):
    """Lets a pod run on nodes with this taint."""

    key: str = Field(description="Key of the taint, for example nvidia.com/gpu.")
    operator: Literal["Equal", "Exists"] = Field("Exists", description="Equal compares the value too.")
    value: str | None = Field(None, description="Value of the taint, with operator Equal.")
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = Field(
        None, description="Effect of the taint; none tolerates every effect."
    )


class StageResources(Settings):
    """Requests of one stage's pod."""

    cpu: str | None = Field(None, pattern=QUANTITY, description="CPU request and limit, for example 4 or 500m.")
    memory: str | None = Field(None, pattern=QUANTITY, description="Memory request and limit, for example 16Gi.")
    accelerator: str | None = Field(None, description="Resource name of the accelerator, for example nvidia.com/gpu.")
    accelerator_count: int = Field(0, ge=0, description="Accelerators; 0 trains on CPU.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels that the node must have.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints that the pod accepts.")
    shared_memory: str | None = Field(
        None, pattern=QUANTITY, description="Size of /dev/shm, which data-loader workers need; none keeps 64Mi."
    )
    retries: int = Field(0, ge=0, description="Times that a failed task is started again.")

    @model_validator(mode="after")
    def _accelerator_is_whole(self) -> "StageResources":
        if (self.accelerator is None) != (self.accelerator_count == 0):
            raise ValueError("accelerator and accelerator_count go together; give both, or neither")
        return self


class TrainingResources(StageResources):
    """Requests of a stage that trains, whose progress can outlive its pod."""

    checkpoint_claim: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        description="PersistentVolumeClaim for checkpoints, in the pods' namespace; none starts a retried task anew.",
    )


class Resources(Settings):
    """Resources of all stages."""

    fingerprint: StageResources = StageResources(cpu="1", memory="1Gi")
    preprocess: StageResources = StageResources(cpu="4", memory="8Gi")
    finetune: TrainingResources = TrainingResources(cpu="4", memory="16Gi", shared_memory="2Gi", retries=2)
    distill: TrainingResources = TrainingResources(cpu="4", memory="16Gi", shared_memory="2Gi")
    evaluate: StageResources = StageResources(cpu="4", memory="8Gi")
    refresh: StageResources = StageResources(cpu="4", memory="8Gi")
    campaign: StageResources = StageResources(cpu="4", memory="8Gi")
    deploy: StageResources = StageResources(cpu="1", memory="2Gi")
    secret_env: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Environment variables of every stage from keys of Secrets in the pods' namespace, {longtail-s3: [AWS_REGION]}.",
    )
    claims: tuple[str, ...] = Field(
        (),
        description="PersistentVolumeClaims that every stage's pod mounts at /mnt/pvc/<claim>, for pvc://claim/path.",
    )

    @model_validator(mode="after")
    def _claims_are_mounted_once(self) -> "Resources":
        for stage, wanted in (("finetune", self.finetune), ("distill", self.distill)):
            if wanted.checkpoint_claim in self.claims:
                raise ValueError(
                    f"claims: holds {stage}.checkpoint_claim {wanted.checkpoint_claim}, and a pod mounts a claim only "
                    "once; take another one for the checkpoints"
                )
        return self

    @property
    def have_checkpoint_claims(self) -> bool:
        return bool(self.finetune.checkpoint_claim or self.distill.checkpoint_claim)


def apply(task: PipelineTask, wanted: StageResources) -> None:
    """Put the requests on the task."""
    if wanted.cpu:
        task.set_cpu_request(wanted.cpu).set_cpu_limit(wanted.cpu)
    if wanted.memory:
        task.set_memory_request(wanted.memory).set_memory_limit(wanted.memory)
    if wanted.accelerator:
        task.set_accelerator_type(wanted.accelerator).set_accelerator_limit(wanted.accelerator_count)
    for key, value in wanted.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in wanted.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
    if wanted.shared_memory:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=wanted.shared_memory)  # noqa: S108
    if isinstance(wanted, TrainingResources) and wanted.checkpoint_claim:
        kubernetes.mount_pvc(task, wanted.checkpoint_claim, CHECKPOINTS)
    if wanted.retries:
        task.set_retry(num_retries=wanted.retries, backoff_duration="60s", backoff_factor=2.0)


def use_secrets(task: PipelineTask, secret_env: Mapping[str, Sequence[str]]) -> None:
    """Make the secrets' keys environment variables of the same names."""
    for secret, keys in secret_env.items():
        kubernetes.use_secret_as_env(task, secret, {key: key for key in keys})


def mount_claims(task: PipelineTask, claims: Sequence[str]) -> None:
    """Mount each claim where ``pvc://claim/path`` is looked for."""
    for claim in claims:
        kubernetes.mount_pvc(task, claim, str(CLAIMS / claim))


def check_claims(arguments: Mapping[str, str | int], resources: Resources) -> None:
    """Refuse, before a run is started, a claim that its pods would not have.

    Raises:
        UserError: naming the parameter and the claim.
    """
    for name, value in arguments.items():
        for claim in re.findall(r"pvc://([^/\"]+)", str(value)):
            if claim not in resources.claims:
                raise UserError(
                    f"{name}: names pvc://{claim}, but the pods do not mount the claim {claim}; give a resources file "
                    f"(--resources) with claims: [{claim}]"
                )


def load_resources(path: str | os.PathLike[str] | None) -> Resources:
    """Read a YAML file of resources; without one, the defaults.

    Raises:
        UserError: naming file, key and remedy.
    """
    return Resources() if path is None else parse(Resources, read_yaml(path), str(path))
