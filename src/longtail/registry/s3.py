"""A bucket of S3, or of what speaks its protocol (MinIO, Ceph, ...), as a registry's store.

boto3, since KServe's storage initializer reads the bundle with it: the same credentials, endpoint and CA bundle mean the same
to both, and s3fs, by which tables are read, already brings its core. obstore is one typed API for all clouds, but has
neither AWS_CA_BUNDLE nor shared profiles; fsspec has no write on the condition of an ETag.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
)

from longtail.contracts.errors import UserError
from longtail.system.places import s3_options

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 10, 60, 3
ABSENT = {"NoSuchKey", "404"}
NOT_AS_EXPECTED = {"PreconditionFailed", "ConditionalRequestConflict", *ABSENT}


class S3Store:
    """Objects of a bucket below a prefix; a tag is an ETag."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        parts = urlsplit(self._uri)
        self._bucket, self._prefix = parts.netloc, f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        if not self._bucket:
            raise UserError(f"{uri}: names no bucket; the form is s3://bucket/prefix")
        retries: Any = {"max_attempts": ATTEMPTS, "mode": "standard"}
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)
        with self._reaching():
            # a session of its own: boto3's default one keeps the credentials that it saw first
            self._client: Any = boto3.session.Session().client("s3", config=config, **s3_options())

    @property
    def uri(self) -> str:
        return self._uri

    def sizes(self, prefix: str) -> dict[str, int]:
        with self._reaching():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            found = [entry for page in pages for entry in page.get("Contents", [])]
        return {entry["Key"].removeprefix(self._prefix): entry["Size"] for entry in found}

    def put(self, key: str, source: Path) -> None:
        with self._reaching(), source.open("rb") as stream:
            self._client.upload_fileobj(stream, self._bucket, self._prefix + key)

    def download(self, key: str, target: Path) -> None:
        with self._reaching(key), target.open("wb") as stream:
            self._client.download_fileobj(self._bucket, self._prefix + key, stream)

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._reaching():
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if _code(error) in ABSENT:
                    return None
                raise

    def tag(self, key: str) -> str | None:
        with self._reaching():
            try:
                return str(self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ETag"])
            except ClientError as error:
                if _code(error) in ABSENT:
                    return None
                raise

    def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with self._reaching():
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, **condition)
            except ClientError as error:
                if _code(error) in NOT_AS_EXPECTED:
                    return False
                raise
        return True

    @contextmanager
    def _reaching(self, key: str = "") -> Iterator[None]:
        """Say what botocore raises in one message: no credentials, signatures or addresses with passwords in it."""
        uri = f"{self._uri}/{key}" if key else self._uri
        try:
            yield
        except ClientError as error:
            raise UserError(f"{uri}: {self._refusal(error)}") from None
        except (NoCredentialsError, PartialCredentialsError):
            raise UserError(
                f"{uri}: this process has no credentials for S3; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                "(in a pod: of the service account's secret)"
            ) from None
        except (EndpointConnectionError, ConnectTimeoutError):
            raise UserError(
                f"{uri}: nobody answers at {self._endpoint()}; check AWS_ENDPOINT_URL (or S3_ENDPOINT and S3_USE_HTTPS)"
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise UserError(
                f"{uri}: cannot be used ({type(error).__name__}, at {self._endpoint()}); check the bucket's name, "
                "AWS_ENDPOINT_URL, AWS_CA_BUNDLE and AWS_DEFAULT_REGION"
            ) from None

    def _refusal(self, error: ClientError) -> str:
        code = _code(error)
        if code == "NoSuchBucket":
            return f"there is no bucket {self._bucket} at {self._endpoint()}; make it, or give another"
        if code in ABSENT:
            return "there is no such object; it was removed, publish the bundle again"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in (400, 401, 403):
            return (
                f"the credentials were refused ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION "
                "(in a pod: the service account's secret), and the rights on this bucket"
            )
        return f"{error.operation_name} failed ({code}, HTTP {status}); try again"

    def _endpoint(self) -> str:
        parts = urlsplit(str(s3_options().get("endpoint_url", "AWS")))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else parts.path


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
