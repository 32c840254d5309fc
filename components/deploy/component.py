"""The pipeline component of the deploy stage."""

import os

from kfp import dsl
from kfp.dsl import Artifact, Input, Model, Output

IMAGE = os.environ.get("LONGTAIL_TRAIN_IMAGE", "longtail-train:0.1.0")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(bundle: Input[Model], evaluation: Input[Artifact], settings: str, service: Output[Artifact]) -> None:
    """Compare served with evaluated answers, write the manifests and, where the settings say so, roll out on the cluster."""
    from longtail.components.deploy.deploy import deploy as run
    from longtail.contracts.errors import reported
    from longtail.contracts.settings_base import from_json
    from longtail.rollout.service_settings import DeploySettings

    with reported(service.path):
        run(bundle.path, evaluation.path, service.path, from_json(DeploySettings, settings))
