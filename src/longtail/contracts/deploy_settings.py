"""Settings of the InferenceService, of its rollout on a cluster, and of the smoke test."""

from typing import Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Settings


class DeploySettings(Settings):
    """The InferenceService, how it is rolled out, and its smoke test."""

    name: str = Field(
        "longtail", pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", description="Name of the InferenceService."
    )
    namespace: str = Field("longtail", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Kubernetes namespace.")
    image: str | None = Field(
        None, description="Image of the model server, with a content-derived tag; none: the ServingRuntime's."
    )
    storage_uri: str | None = Field(
        None, description="Where the cluster finds the bundle (s3://, gs://, pvc://); none: the local folder."
    )
    service_account: str | None = Field(
        "longtail-predictor",
        description="Service account of the model server, with the secret of its storage; none: the namespace's own.",
    )
    mode: Literal["auto", "Standard", "Knative"] = Field(
        "auto",
        description="KServe's deployment mode, annotated explicitly; `auto`: that of the service or the cluster, else Standard.",
    )
    min_replicas: int = Field(1, ge=0, description="Pods kept when there is no load.")
    max_replicas: int = Field(3, ge=1, description="Pods at most.")
    cpu: str = Field("1", description="CPU request and limit of a pod.")
    memory: str = Field("1Gi", description="Memory request and limit of a pod.")
    golden_users: int = Field(8, ge=1, description="Evaluated users whose served answers are compared.")
    startup_seconds: int = Field(120, ge=5, description="Seconds the local server may take to become ready.")

    @model_validator(mode="after")
    def _replicas_fit(self) -> "DeploySettings":
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}; raise the latter"
            )
        return self
