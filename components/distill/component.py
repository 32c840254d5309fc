"""The KFP component of stage 3."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def distill(
    prepared: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    settings: str,
    seed: int,
    checkpoints: str,
    bundle: dsl.Output[dsl.Model],
) -> None:
    """Train the student on labels and on the teacher's scores. checkpoints: as in finetune."""
    from longtail.components.distill.distill import distill as stage
    from longtail.components.distill.settings import DistillSettings
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        chosen = from_json(DistillSettings, settings)
        stage(prepared.path, teacher.path, bundle.path, chosen, seed, checkpoints or None)
