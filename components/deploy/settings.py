"""Settings of the deploy stage: the service and its rollout, where bundles are published, and the smoke test here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Place
from longtail.rollout.service_settings import ServiceSettings


class DeploySettings(ServiceSettings):
    """The InferenceService, how it is rolled out, where its bundle lies, and the smoke test."""

    storage_uri: str | None = Field(
        None, description="Where the cluster finds the bundle (s3://, gs://, pvc://); none: the local folder."
    )
    registry_uri: Annotated[str, Place(written=True)] | None = Field(
        None,
        description="Registry to which the bundle is published (a folder, s3://, gs://, pvc://claim/path, model-registry://); "
        "its version's address goes before storage_uri.",
    )
    golden_users: int = Field(8, ge=1, description="Evaluated users whose served answers are compared.")
    startup_seconds: int = Field(120, ge=5, description="Seconds the local server may take to become ready.")
    target: Literal["local", "cluster"] = Field(
        "local", description="`local`: write the manifests; `cluster`: also bring the bundle into service there."
    )

    @model_validator(mode="after")
    def _a_cluster_has_a_registry(self) -> "DeploySettings":
        if self.target == "cluster" and not self.registry_uri:
            raise ValueError(
                "target cluster needs a place from which the cluster reads bundles; set deploy.registry_uri"
            )
        return self
