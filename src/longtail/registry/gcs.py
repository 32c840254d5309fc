"""A bucket of Google Cloud Storage as a registry's store: google-cloud-storage, as KServe's storage initializer reads with it.

Credentials are the application default ones: workload identity in a pod, or GOOGLE_APPLICATION_CREDENTIALS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from requests.exceptions import RequestException

from longtail.contracts.errors import UserError

TIMEOUT_SECONDS = 60


class GcsStore:
    """Objects of a bucket below a prefix; a tag is an object's generation."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        parts = urlsplit(self._uri)
        if not parts.netloc:
            raise UserError(f"{uri}: names no bucket; the form is gs://bucket/prefix")
        self._prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        with self._reaching():
            self._bucket: Any = storage.Client().bucket(parts.netloc)

    @property
    def uri(self) -> str:
        return self._uri

    def sizes(self, prefix: str) -> dict[str, int]:
        with self._reaching():
            found = list(self._bucket.list_blobs(prefix=self._prefix + prefix, timeout=TIMEOUT_SECONDS))
        return {blob.name.removeprefix(self._prefix): blob.size for blob in found}

    def put(self, key: str, source: Path) -> None:
        with self._reaching(), source.open("rb") as stream:
            self._blob(key).upload_from_file(stream, size=source.stat().st_size, timeout=TIMEOUT_SECONDS)

    def download(self, key: str, target: Path) -> None:
        with self._reaching(key):
            self._blob(key).download_to_filename(str(target), timeout=TIMEOUT_SECONDS)

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._reaching():
            blob = self._bucket.get_blob(self._prefix + key, timeout=TIMEOUT_SECONDS)
            if blob is None:
                list(self._bucket.list_blobs(max_results=1, timeout=TIMEOUT_SECONDS))  # raises where there is no bucket
                return None
            generation = blob.generation  # the download may take it away
            try:
                content = blob.download_as_bytes(if_generation_match=generation, timeout=TIMEOUT_SECONDS)
            except exceptions.PreconditionFailed:  # it was replaced meanwhile
                return self.read(key)
            return content, str(generation)

    def tag(self, key: str) -> str | None:
        with self._reaching():
            blob = self._bucket.get_blob(self._prefix + key, timeout=TIMEOUT_SECONDS)
            return None if blob is None else str(blob.generation)

    def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
        with self._reaching():
            try:
                self._blob(key).upload_from_string(content, if_generation_match=int(tag or 0), timeout=TIMEOUT_SECONDS)
            except exceptions.PreconditionFailed:
                return False
        return True

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(self._prefix + key)

    @contextmanager
    def _reaching(self, key: str = "") -> Iterator[None]:
        """Say what the library raises in one message, without tokens."""
        uri = f"{self._uri}/{key}" if key else self._uri
        try:
            yield
        except exceptions.NotFound:
            what = (
                "such object; it was removed, publish the bundle again"
                if key
                else "such bucket; make it, or give another"
            )
            raise UserError(f"{uri}: there is no {what}") from None
        except (GoogleAuthError, OSError) as error:
            if isinstance(error, RequestException):
                raise UserError(f"{uri}: nobody answers ({type(error).__name__}); check the network") from None
            if isinstance(error, OSError):
                raise
            raise UserError(
                f"{uri}: this process has no credentials for Google Cloud ({type(error).__name__}); give its pod a service "
                "account with workload identity, or GOOGLE_APPLICATION_CREDENTIALS"
            ) from None
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise UserError(
                f"{uri}: the credentials were refused (HTTP {error.code}); give this account the role Storage Object User on "
                "the bucket"
            ) from None
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise UserError(f"{uri}: cannot be used ({type(error).__name__}); try again") from None
