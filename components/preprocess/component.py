"""The KFP components of the first stage. Thin: they import the stage inside their bodies and call one function."""

import os

from kfp import dsl

IMAGE = os.environ.get("LONGTAIL_TRAIN_IMAGE", "longtail-train:0.1.0")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fingerprint(interactions: str, items: str, users: str, digest: dsl.OutputPath(str)) -> None:  # type: ignore[valid-type]
    """The digest of the input files; ``users`` is "" where there is no such table. Never cached."""
    from pathlib import Path

    from longtail.components.preprocess.fingerprint import fingerprint as digest_of
    from longtail.contracts.errors import reported

    with reported(digest):
        text = digest_of([uri for uri in (interactions, items, users) if uri])
        Path(digest).parent.mkdir(parents=True, exist_ok=True)
        Path(digest).write_text(text)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def preprocess(
    interactions: str, items: str, users: str, digest: str, settings: str, prepared: dsl.Output[dsl.Dataset]
) -> None:
    """Write the Prepared data set. ``digest`` is not read: it is what a changed input changes in the cache key."""
    from longtail.components.preprocess.prepare import prepare
    from longtail.contracts.errors import reported
    from longtail.contracts.settings import PreprocessSettings, from_json

    with reported(prepared.path):
        prepare(interactions, items, users or None, prepared.path, from_json(PreprocessSettings, settings))
