"""The KFP component of stage 2."""

import os

from kfp import dsl

IMAGE = os.environ.get("LONGTAIL_TRAIN_IMAGE", "longtail-train:0.1.0")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune(
    prepared: dsl.Input[dsl.Dataset],
    settings: str,
    seed: int,
    checkpoints: str,
    teacher: dsl.Output[dsl.Model],
) -> None:
    """Adapt the language model and train the teacher. checkpoints: folder that outlives a killed run, "" = beside it."""
    from longtail.components.finetune.finetune import finetune as stage
    from longtail.components.finetune.settings import FinetuneSettings
    from longtail.contracts.errors import reported
    from longtail.contracts.settings_base import from_json

    with reported(teacher.path):
        stage(prepared.path, teacher.path, from_json(FinetuneSettings, settings), seed, checkpoints or None)
