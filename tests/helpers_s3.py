"""A real S3 server (moto's) as a process of its own on a free loopback port, and the fixtures of it (imported by conftest).

It handles one request after the other, so that a conditional write is one step, as it is in a bucket; moto's threaded server
looks and writes in two.
"""

import itertools
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config

SERVER = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(server.port, flush=True)
server.serve_forever()
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The server's address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def environment(endpoint: str) -> dict[str, str]:
    """What a process needs to use the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def client(endpoint: str, service: str = "s3"):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
        config=Config(proxies={}),
    )


@contextmanager
def rights_are_checked(endpoint: str) -> Iterator[None]:
    """Within the block the server checks keys, signatures and policies."""

    def switch(free_actions: str) -> None:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            urllib.request.Request(
                f"{endpoint}/moto-api/reset-auth", free_actions.encode(), {"Content-Type": "text/plain"}, method="POST"
            )
        ).close()

    switch("0")
    try:
        yield
    finally:
        switch("inf")


_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket; the environment holds what its use needs."""
    for name, value in environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_numbers)}"
    client(s3_endpoint).create_bucket(Bucket=bucket)
    return f"s3://{bucket}"
