"""The KFP component that writes lists for everybody."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def recommend(
    bundle: dsl.Input[dsl.Model],
    prepared: dsl.Input[dsl.Dataset],
    settings: str,
    lists: dsl.Output[dsl.Dataset],
) -> None:
    """Recommend to every user of the Prepared data set, by the whole history, with the bundle that is served."""
    from longtail.components.recommend.recommend import recommend as stage
    from longtail.components.recommend.settings import RecommendSettings
    from longtail.contracts.histories import Histories
    from longtail.contracts.prepared import PreparedDataset
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        chosen = from_json(RecommendSettings, settings)
        stage(bundle.path, Histories.of(PreparedDataset(prepared.path)), lists.path, chosen)
