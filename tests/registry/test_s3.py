"""S3 that refuses, is elsewhere or is not there: one message, without a secret."""

import json
import re
from pathlib import Path

import pytest
from helpers_s3 import client, rights_are_checked

from longtail.contracts.errors import UserError
from longtail.registry.opening import open_registry
from longtail.system.machine import free_ports
from longtail.system.places import s3_options


def refused(address: str, bundle: Path) -> str:
    """The message, the same for reading and writing."""
    messages = set()
    for act in (lambda registry: registry.publish(bundle), lambda registry: registry.champion()):
        with pytest.raises(UserError) as caught:
            act(open_registry(address))
        messages.add(str(caught.value))
    assert len(messages) == 1
    (message,) = messages
    assert "secret-of-the-test" not in message
    assert "\n" not in message
    return message


def test_a_bucket_that_does_not_exist(s3: str, bundle: Path, s3_endpoint: str):
    assert refused("s3://nowhere/x", bundle) == (
        f"s3://nowhere/x: there is no bucket nowhere at {s3_endpoint}; make it, or give another"
    )


def test_wrong_credentials(s3: str, s3_endpoint: str, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    iam = client(s3_endpoint, "iam")
    iam.create_user(UserName="pipeline")
    key = iam.create_access_key(UserName="pipeline")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    with rights_are_checked(s3_endpoint):
        assert re.search(
            "credentials were refused .SignatureDoesNotMatch.; check AWS_ACCESS_KEY_ID", refused(s3, bundle)
        )
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        message = refused(s3, bundle)
        assert "(AccessDenied)" in message
        assert key["SecretAccessKey"] not in message
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    iam.put_user_policy(UserName="pipeline", PolicyName="s3", PolicyDocument=json.dumps(policy))
    with rights_are_checked(s3_endpoint):
        open_registry(s3).publish(bundle)


def test_no_credentials(s3: str, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "has no credentials for S3; give AWS_ACCESS_KEY_ID" in refused(s3, bundle)


@pytest.mark.slow
def test_nobody_listens(s3: str, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    port = free_ports(1)[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:secret-of-the-test@127.0.0.1:{port}")
    assert refused(s3, bundle) == (
        f"{s3}: nobody answers at http://127.0.0.1:{port}; check AWS_ENDPOINT_URL (or S3_ENDPOINT and S3_USE_HTTPS)"
    )


def test_an_endpoint_that_is_no_address(s3: str, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    assert "check the bucket's name, AWS_ENDPOINT_URL" in refused(s3, bundle)


def test_a_bucket_name_that_cannot_be(s3: str, bundle: Path):
    assert "check the bucket's name" in refused("s3://Not A Bucket/x", bundle)
    with pytest.raises(UserError, match=r"s3:///x: names no bucket; the form is s3://bucket/prefix"):
        open_registry("s3:///x")


def test_the_endpoint_as_kserve_names_it(s3: str, s3_endpoint: str, bundle: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("S3_ENDPOINT", s3_endpoint.removeprefix("http://"))
    monkeypatch.setenv("S3_USE_HTTPS", "0")
    version = open_registry(s3).publish(bundle)
    assert open_registry(s3).version(version.id) == version
    monkeypatch.setenv("S3_USE_HTTPS", "1")
    monkeypatch.setenv("S3_VERIFY_SSL", "false")
    assert s3_options() == {"endpoint_url": s3_endpoint.replace("http", "https"), "verify": False}


@pytest.mark.parametrize("address", ["", "ftp://x/y", "minio://bucket/x"])
def test_an_address_of_another_kind(address: str):
    with pytest.raises(UserError, match="is no place for a registry; give a folder, pvc://claim/path"):
        open_registry(address)
