"""Addresses of data that a pod sees in its own way: claims that are mounted, and S3 as KServe is told of it."""

import os
from pathlib import Path
from typing import Any

from longtail.contracts.errors import UserError

CLAIMS = Path("/mnt/pvc")  # where the pipeline mounts the claims of its resources file
PVC, MINIO = "pvc://", "minio://"


def readable(uri: str) -> str:
    """The address by which this process reads ``uri``: a mounted claim's path, and S3's for KFP's own ``minio://``.

    Raises:
        UserError: the claim is not mounted.
    """
    if uri.startswith(MINIO):
        return "s3://" + uri.removeprefix(MINIO)
    if not uri.startswith(PVC):
        return uri
    claim, _, path = uri.removeprefix(PVC).partition("/")
    if not claim or ".." in Path(uri).parts:
        raise UserError(f"{uri}: is no path in a claim; the form is pvc://claim/path")
    if not (CLAIMS / claim).is_dir():
        raise UserError(
            f"{uri}: the claim {claim} is not mounted at {CLAIMS / claim}; name it under claims in the resources file "
            "(--resources), or, outside a cluster, give the path itself"
        )
    return str(CLAIMS / claim / path)


def s3_options() -> dict[str, Any]:
    """``endpoint_url`` and ``verify`` of an S3 client, where the environment names them as KServe does.

    AWS_ENDPOINT_URL, else S3_ENDPOINT (host:port) with S3_USE_HTTPS; S3_VERIFY_SSL. The client itself reads AWS_CA_BUNDLE,
    AWS_DEFAULT_REGION and the credentials.
    """
    options: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint and (host := os.environ.get("S3_ENDPOINT")):
        endpoint = host if "://" in host else f"{'https' if _is_on('S3_USE_HTTPS') else 'http'}://{host}"
    if endpoint:
        options["endpoint_url"] = endpoint
    if not _is_on("S3_VERIFY_SSL"):
        options["verify"] = False
    return options


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "1").lower() not in ("0", "false")
