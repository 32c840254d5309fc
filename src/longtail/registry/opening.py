"""Opens registries by their addresses."""

from longtail.contracts.errors import UserError
from longtail.registry.bundles import BundleRegistry
from longtail.registry.interface import Registry
from longtail.registry.locations import open_store

MODEL_REGISTRY = "model-registry://"


def open_registry(uri: str) -> Registry:
    """The registry at an address of one of the ``FORMS`` in locations; nothing is written yet.

    Raises:
        UserError: an address of another form, or a claim that is not mounted.
    """
    if uri.startswith(MODEL_REGISTRY):
        try:
            from longtail.registry.kubeflow import KubeflowRegistry
        except ModuleNotFoundError as error:
            raise UserError(f"{uri}: needs the package {error.name}; install longtail[model-registry]") from None
        return KubeflowRegistry(uri)
    return BundleRegistry(open_store(uri))
