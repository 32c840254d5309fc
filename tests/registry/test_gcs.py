"""Google Cloud Storage that refuses or is not there: one message."""

from pathlib import Path

import pytest
from google.cloud.storage.retry import DEFAULT_RETRY
from helpers_gcs import Buckets

from longtail.contracts.errors import UserError
from longtail.registry.opening import open_registry
from longtail.system.machine import free_ports


def refused(address: str, bundle: Path) -> str:
    messages = set()
    for act in (lambda registry: registry.publish(bundle), lambda registry: registry.champion()):
        with pytest.raises(UserError) as caught:
            act(open_registry(address))
        messages.add(str(caught.value))
    (message,) = messages
    return message


def test_a_bucket_that_does_not_exist(gcs: Buckets, bundle: Path):
    assert refused("gs://nowhere/x", bundle) == "gs://nowhere/x: there is no such bucket; make it, or give another"


def test_an_account_without_rights(gcs: Buckets, bundle: Path):
    gcs.refuse = 403
    assert "the credentials were refused (HTTP 403); give this account the role" in refused("gs://models", bundle)


def test_no_credentials(gcs: Buckets, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert "has no credentials for Google Cloud (DefaultCredentialsError)" in refused("gs://models", bundle)


def test_nobody_listens(gcs: Buckets, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DEFAULT_RETRY, "_timeout", 2.0)  # seconds; it is two minutes
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(UserError, match=r"gs://models: (nobody answers|cannot be used)"):
        open_registry("gs://models").champion()


def test_an_address_without_a_bucket(gcs: Buckets):
    with pytest.raises(UserError, match=r"gs:///x: names no bucket; the form is gs://bucket/prefix"):
        open_registry("gs:///x")


def test_a_content_that_is_replaced_while_it_is_read(gcs: Buckets, bundle: Path):
    """What is read belongs to the tag that comes with it."""
    registry = open_registry("gs://models")
    version = registry.publish(bundle)
    key = f"versions/{version.id}/attributes.json"
    store = registry._store
    find = store._bucket.get_blob

    def slow(name: str, **options: object):
        found = find(name, **options)
        if gcs.objects["models"][key][0] != b"[]":
            gcs.objects["models"][key] = b"[]", next(gcs.generations)
        return found

    store._bucket.get_blob = slow
    assert store.read(key) == (b"[]", str(gcs.objects["models"][key][1]))
