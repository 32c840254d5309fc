"""The KFP component of stage 2."""

from kfp import dsl

from longtail.components.image import IMAGE


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
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        stage(prepared.path, teacher.path, from_json(FinetuneSettings, settings), seed, checkpoints or None)
