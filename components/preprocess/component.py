"""The KFP components of the first stage. Thin: they import the stage inside their bodies and call one function."""

from kfp import dsl

from longtail.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fingerprint(
    interactions: str,
    items: str,
    users: str,
    champion: str,
    incumbent: str,
    digest: dsl.OutputPath(str),  # type: ignore[valid-type]
    bundle: dsl.OutputPath(str),  # type: ignore[valid-type]
    lists: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> None:
    """What the addresses hold today: the digest of the tables, the champion's bundle and the digest of the incumbent's lists ("" = none). Never cached.

    users, incumbent: "" where there is no such table; champion: a registry or a bundle, "" where there is none.
    """
    from pathlib import Path

    from longtail.components.preprocess.fingerprint import fingerprint as digest_of
    from longtail.registry.champion import bundle_today
    from longtail.system.channel import reported

    with reported():
        found = {
            digest: digest_of([uri for uri in (interactions, items, users) if uri]),
            bundle: bundle_today(champion),
            lists: digest_of([incumbent]) if incumbent else "",
        }
        for path, text in found.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def preprocess(
    interactions: str, items: str, users: str, digest: str, settings: str, prepared: dsl.Output[dsl.Dataset]
) -> None:
    """Write the Prepared data set. ``digest`` is not read: it is what a changed input changes in the cache key."""
    from longtail.components.preprocess.prepare import prepare
    from longtail.components.preprocess.settings import PreprocessSettings
    from longtail.contracts.settings_base import from_json
    from longtail.system.channel import reported

    with reported():
        prepare(interactions or None, items, users or None, prepared.path, from_json(PreprocessSettings, settings))
