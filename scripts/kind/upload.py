"""Put files into the cluster's object store: ``upload.py ENDPOINT s3://bucket/prefix FILE...``, its Secret as JSON on stdin."""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import boto3


def main(endpoint: str, target: str, *files: str) -> None:
    data = {key: base64.b64decode(value).decode() for key, value in json.load(sys.stdin)["data"].items()}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=data["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=data["AWS_SECRET_ACCESS_KEY"],
        region_name=data["AWS_DEFAULT_REGION"],
    )
    place = urlsplit(target)
    for file in files:
        key = f"{place.path.strip('/')}/{Path(file).name}"
        client.upload_file(file, place.netloc, key)
        print(f"s3://{place.netloc}/{key}")


if __name__ == "__main__":
    main(*sys.argv[1:])
