"""Opens a registry by its address."""

from pathlib import Path
from urllib.parse import unquote

from longtail.contracts.errors import UserError
from longtail.contracts.places import PVC, readable
from longtail.registry.bundles import BundleRegistry
from longtail.registry.interface import Registry
from longtail.registry.stores import FolderStore, Store

FORMS = "a folder, pvc://claim/path, s3://bucket/prefix"


def open_registry(uri: str) -> Registry:
    """The registry at a folder, ``pvc://claim/path`` or ``s3://bucket/prefix``; nothing is written yet.

    Raises:
        UserError: an address of another form, or a claim that is not mounted.
    """
    return BundleRegistry(open_store(uri))


def open_store(uri: str) -> Store:
    """The files behind such an address."""
    if uri.startswith("s3://"):
        from longtail.registry.s3 import S3Store

        return S3Store(uri)
    if uri.startswith(PVC):
        return FolderStore(Path(readable(uri)), uri.rstrip("/"))
    path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    if "://" in path or not path:
        raise UserError(f"{uri or 'an empty address'}: is no place for a registry; give {FORMS}")
    return FolderStore(Path(path).absolute(), Path(path).absolute().as_uri())
