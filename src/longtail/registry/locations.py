"""Where bundles and registries lie: the files behind an address, and a bundle copied from one."""

import os
from pathlib import Path
from urllib.parse import unquote

from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.registry.bundles import bundle_id, copy_bundle
from longtail.registry.stores import FolderStore, Store
from longtail.system.places import PVC, readable

FORMS = "a folder, pvc://claim/path, s3://bucket/prefix, gs://bucket/prefix or model-registry://host:port/name"


def open_store(uri: str) -> Store:
    """The files behind such an address, model registries aside."""
    if uri.startswith("s3://"):
        from longtail.registry.s3 import S3Store

        return S3Store(uri)
    if uri.startswith("gs://"):
        from longtail.registry.gcs import GcsStore

        return GcsStore(uri)
    if uri.startswith(PVC):
        return FolderStore(Path(readable(uri)), uri.rstrip("/"))
    path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else os.path.expanduser(uri)  # noqa: PTH111
    if "://" in path or not path:
        raise UserError(f"{uri or 'an empty address'}: is no place for a registry; give {FORMS}")
    return FolderStore(Path(path).absolute(), Path(path).absolute().as_uri())


def fetch_bundle(uri: str, id: str, folder: Path) -> Path:
    """A checked copy of the bundle of this id that lies at ``uri``, in a folder named by its id below ``folder``.

    Raises:
        UserError: another bundle, or none, lies there, or it is damaged.
    """
    store = open_store(uri)
    found = store.read(MANIFEST)
    if found is None or bundle_id(found[0]) != id:
        raise UserError(f"{uri}: is not the bundle {id} (any more); look its version up anew")
    return copy_bundle(store, "", found[0], folder)
