"""The KFP component of stage 5."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def refresh(
    prepared: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    bundle: dsl.Input[dsl.Model],
    passed: bool,
    settings: str,
    served: dsl.Output[dsl.Model],
) -> None:
    """Let the bundle learn from all events. passed: whether the gate passed; a bundle that it refused stays as it is."""
    from longtail.components.refresh.refresh import refresh as stage
    from longtail.components.refresh.settings import RefreshSettings
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        chosen = from_json(RefreshSettings, settings)
        stage(prepared.path, teacher.path, bundle.path, served.path, chosen, passed)
