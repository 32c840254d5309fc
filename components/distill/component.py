"""The KFP component of stage 3."""

import os

from kfp import dsl

IMAGE = os.environ.get("LONGTAIL_TRAIN_IMAGE", "longtail-train:0.1.0")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def distill(
    prepared: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    settings: str,
    seed: int,
    bundle: dsl.Output[dsl.Model],
) -> None:
    """Train the student on labels and on the teacher's scores."""
    from longtail.components.distill.distill import distill as stage
    from longtail.components.distill.settings import DistillSettings
    from longtail.contracts.errors import reported
    from longtail.contracts.settings_base import from_json

    with reported(bundle.path):
        stage(prepared.path, teacher.path, bundle.path, from_json(DistillSettings, settings), seed)
