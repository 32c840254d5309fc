"""The pipeline component of the deploy stage."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Model, Output

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(bundle: Input[Model], evaluation: Input[Artifact], settings: str, service: Output[Artifact]) -> None:
    """Compare served with evaluated answers, write the manifests and, where the settings say so, roll out on the cluster."""
    from longtail.components.deploy.deploy import deploy as run
    from longtail.components.deploy.settings import DeploySettings
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        run(bundle.path, evaluation.path, service.path, from_json(DeploySettings, settings))
