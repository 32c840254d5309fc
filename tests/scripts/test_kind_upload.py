"""scripts/kind/upload.py against a real S3 server."""

import base64
import json
import subprocess
import sys

from helpers_kind import ROOT
from helpers_s3 import client, s3_server


def test_files_go_into_the_store_with_the_secrets_credentials(tmp_path):
    (tmp_path / "items.parquet").write_bytes(b"items")
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    secret = {"data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}}
    with s3_server() as endpoint:
        client(endpoint).create_bucket(Bucket="mlpipeline")
        script = [sys.executable, str(ROOT / "scripts/kind/upload.py"), endpoint, "s3://mlpipeline/longtail/data"]
        done = subprocess.run(
            [*script, str(tmp_path / "items.parquet")], input=json.dumps(secret), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "s3://mlpipeline/longtail/data/items.parquet\n"
        stored = client(endpoint).get_object(Bucket="mlpipeline", Key="longtail/data/items.parquet")["Body"].read()
    assert stored == b"items"
