"""Settings of the InferenceService, and of its rollout on a cluster."""

from typing import Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Settings


class ServiceSettings(Settings):
    """The InferenceService, and how it is rolled out."""

    name: str = Field(  # KServe's label of a canary's pods, isvc.<name>-candidate-predictor, holds 63 characters
        "longtail", pattern=r"^[a-z]([-a-z0-9]{0,36}[a-z0-9])?$", description="Name of the InferenceService."
    )
    namespace: str = Field("longtail", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Kubernetes namespace.")
    image: str | None = Field(
        None, description="Image of the model server, with a content-derived tag; none: the ServingRuntime's."
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
    rollout: Literal["auto", "canary", "rolling"] = Field(
        "auto", description="`auto`: canary where KServe can split traffic, else pod by pod; `canary`: that or nothing."
    )
    traffic_steps: tuple[int, ...] = Field(
        (10, 50), description="Percent of the traffic that a canary gets, step by step, before it gets all."
    )
    step_seconds: float = Field(60.0, ge=0, description="Seconds that each step is watched.")
    step_requests: int = Field(60, ge=1, description="Requests of evaluated users that are sent during a step.")
    drain_seconds: float = Field(
        10.0,
        ge=0,
        description="Seconds between the end of a canary's traffic and its removal, in which gateways forget it.",
    )
    max_error_share: float = Field(0.0, ge=0, le=1, description="Share of failed requests that ends the rollout.")
    max_p95_ms: float = Field(500.0, gt=0, description="95th percentile of the latency that ends the rollout.")
    ready_seconds: float = Field(600.0, gt=0, description="Seconds that new pods may take to become ready.")
    promote: bool = Field(
        True,
        description="Give the new bundle all of the traffic at the end; false leaves it with that of the last step until "
        "`longtail promote`, which needs a canary.",
    )
    take_over: bool = Field(False, description="Overwrite fields that another tool has set to other values.")
    kserve_namespace: str = Field("kserve", description="Namespace of KServe's controller and ConfigMap.")
    gateway_url: str | None = Field(
        None, description="Address of the gateway by which services are reached; none: by name in the cluster."
    )

    @model_validator(mode="after")
    def _replicas_fit(self) -> "ServiceSettings":
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}; raise the latter"
            )
        return self

    @model_validator(mode="after")
    def _the_bundle_before_can_serve_on(self) -> "ServiceSettings":
        if self.rollout == "rolling" and not self.promote:
            raise ValueError(
                "promote false leaves the bundle before in service, but rollout rolling replaces it at once; take rollout canary "
                "or promote true"
            )
        return self

    @model_validator(mode="after")
    def _steps_rise(self) -> "ServiceSettings":
        if list(self.traffic_steps) != sorted({step for step in self.traffic_steps if 0 < step < 100}):
            raise ValueError(f"traffic_steps {list(self.traffic_steps)}: take rising percents between 1 and 99")
        return self
