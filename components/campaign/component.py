"""The KFP component of the campaign."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def campaign(
    prepared: dsl.Input[dsl.Dataset],
    bundle: dsl.Input[dsl.Model],
    settings: str,
    seed: int,
    planned: dsl.Output[dsl.Artifact],
) -> None:
    """Plan whom to contact with what, from the served bundle's lists, under the settings' budget and rules."""
    from longtail.components.campaign.after_a_run import plan_after_run
    from longtail.components.campaign.settings import CampaignSettings
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        plan_after_run(prepared.path, bundle.path, planned.path, from_json(CampaignSettings, settings), seed)
