"""The bundle that is in service: named by a registry, or given as a bundle itself. (Of a run's folder ``bundle_of_run`` takes it.)

``registry:ADDRESS`` (or ``model-registry://…``)  the registry's champion; none before the first promotion
``ADDRESS``                                       a bundle, or a registry with a champion: a folder, pvc://, s3:// or gs://
``ADDRESS#ID``                                    the bundle of this id there, as ``bundle_today`` found it
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longtail.contracts.artifacts import MANIFEST, results_of
from longtail.contracts.decision import check_passed
from longtail.contracts.errors import UserError, about
from longtail.registry.bundles import POINTER, bundle_id
from longtail.registry.locations import fetch_bundle, open_store
from longtail.registry.opening import MODEL_REGISTRY, open_registry

log = logging.getLogger(__name__)

REGISTRY = "registry:"


def bundle_of_run(given: str, override: str | None = None) -> str:
    """``given``, or the bundle in the run's folder that it is, whose gate passed.

    override: why that bundle is compared with whatever its Decision says.

    Raises:
        UserError: the run's Decision did not pass, is missing, or is of another bundle.
    """
    if "://" in given or given.startswith(REGISTRY) or not (results_of(given) / "bundle").is_dir():
        return given
    results = results_of(given)
    try:
        check_passed(results, results / "bundle")
    except UserError as error:
        if override is None:
            with about("--champion"):
                raise UserError(f"{error} (or give --override with a reason)") from None
        log.warning("--champion %s; it is compared with because: %s", error, override)
    return str(results / "bundle")


def bundle_today(given: str) -> str:
    """The bundle that ``given`` names now, as ``ADDRESS#ID``; a bundle's folder on this disk as it is; "" for none.

    Raises:
        UserError: neither a bundle nor a registry is there.
    """
    if not given or "#" in given or _is_bundle(given):
        return given
    if given.startswith((REGISTRY, MODEL_REGISTRY)):
        champion = open_registry(given.removeprefix(REGISTRY)).champion()
        if champion is None:
            log.warning("%s: has no champion yet, so the student is compared with none", given)
            return ""
        return f"{champion.uri}#{champion.id}"
    store = open_store(given)
    if found := store.read(MANIFEST):
        return f"{given.rstrip('/')}#{bundle_id(found[0])}"
    if store.read(POINTER):
        return bundle_today(REGISTRY + given)
    raise UserError(
        f"{given}: holds neither a bundle ({MANIFEST}) nor a registry's champion ({POINTER}); check the address, or give "
        f"{REGISTRY}{given} for a registry that is still empty"
    )


@contextmanager
def champion_folder(given: str) -> Iterator[Path | None]:
    """The bundle that ``given`` names, checked, on this disk for as long as the block lasts; None for none.

    Raises:
        UserError: it is not there, damaged, or not the one of the id.
    """
    today = bundle_today(given)
    if not today or _is_bundle(today):
        yield Path(today) if today else None
        return
    place, _, id = today.rpartition("#")
    with tempfile.TemporaryDirectory(prefix="longtail-champion-") as folder:
        yield fetch_bundle(place, id, Path(folder))


def _is_bundle(given: str) -> bool:
    return "://" not in given and (Path(given) / MANIFEST).is_file()
