"""Files behind URIs: local paths, globs, folders, buckets."""

import gzip
import os
from pathlib import Path

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from longtail.contracts.errors import UserError
from longtail.system import places
from longtail.tables.sources import fetch, fetch_folder, find


def test_a_folder_is_its_data_files_in_order(tmp_path: Path):
    for name in ("b.csv", "a.csv", "_SUCCESS", ".hidden.csv"):
        (tmp_path / name).write_text("x,y\n")
    assert [Path(file).name for file in find(str(tmp_path)).files] == ["a.csv", "b.csv"]


def test_a_glob_finds_compressed_files(tmp_path: Path):
    for name in ("part-2.jsonl.gz", "part-1.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"{}\n"))
    (tmp_path / "other.csv").write_text("x\n")
    source = find(f"{tmp_path}/part-*.jsonl.gz")
    assert source.format == "jsonl"
    assert [Path(file).name for file in source.files] == ["part-1.jsonl.gz", "part-2.jsonl.gz"]


def test_a_glob_leaves_out_what_a_folder_leaves_out(tmp_path: Path):
    (tmp_path / "_run" / "day=1").mkdir(parents=True)
    for name in ("part-1.csv", "day=1/part-0.csv", "day=1/_SUCCESS", "_SUCCESS", ".part-1.csv.crc", "_tmp.csv"):
        (tmp_path / "_run" / name).write_text("x,y\n" if name.endswith("csv") else "")
    found = find(f"{tmp_path}/_run/*").files  # the folder that the user names may start with _
    assert [str(Path(file).relative_to(tmp_path / "_run")) for file in found] == ["day=1/part-0.csv", "part-1.csv"]


@pytest.mark.parametrize("name", ["inter[1].csv", "what?.csv", "a*b.csv", "a::b.csv", "50%#1.csv"])
def test_an_existing_path_is_itself_before_it_is_a_pattern(tmp_path: Path, name: str):
    (tmp_path / name).write_text("x,y\n")
    (tmp_path / "inter1.csv").write_text("x,y\n")
    (tmp_path / "whatx.csv").write_text("x,y\n")
    assert find(str(tmp_path / name)).files == (str(tmp_path / name),)


def test_the_home_folder_is_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.csv").write_text("x,y\n")
    assert find("~/t.csv").files == find("~/*.csv").files == (f"{tmp_path}/t.csv",)


@pytest.mark.parametrize(
    ("files", "uri", "message"),
    [
        ({}, "t.csv", "no such file; give an existing file, folder or glob"),
        ({}, "*.csv", "no such file"),
        ({"t.csv": b""}, "t.csv", "t.csv: is empty"),
        ({"t.xlsx": b"x"}, "t.xlsx", "is not a table that can be read"),
        ({"a.csv": b"x\n", "b.parquet": b"x"}, "", "give one format of"),
    ],
)
def test_what_cannot_be_found_says_why(tmp_path: Path, files: dict[str, bytes], uri: str, message: str):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        find(str(tmp_path / uri))


@pytest.mark.parametrize("address", ["", "  "])
def test_an_empty_address_says_so(address: str):
    with pytest.raises(UserError, match=r"the address of a table is '\s*', which is empty"):
        find(address)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch):
    """An S3 server on a free loopback port, with the bucket ``shop``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # one of another test would ask that test's server
    client = boto3.client("s3")
    client.create_bucket(Bucket="shop")
    yield client
    server.stop()


def test_a_bucket_is_listed_and_fetched(bucket, tmp_path: Path):
    for name in ("log/b.csv", "log/a.csv"):
        bucket.put_object(Bucket="shop", Key=name, Body=f"x,y\n{name},1\n".encode())
    source = find("s3://shop/log")
    assert source.files == ("s3://shop/log/a.csv", "s3://shop/log/b.csv")
    assert find("s3://shop/log/*.csv").files == source.files
    assert [Path(file).read_text() for file in fetch(source, tmp_path).files] == [
        "x,y\nlog/a.csv,1\n",
        "x,y\nlog/b.csv,1\n",
    ]
    with pytest.raises(UserError, match=r"s3://shop/nothing\.csv: no such file"):
        find("s3://shop/nothing.csv")
    with pytest.raises(UserError, match="s3://elsewhere/"):
        find("s3://elsewhere/log.csv")


def test_a_claim_is_read_where_it_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "CLAIMS", tmp_path)
    (tmp_path / "data/log").mkdir(parents=True)
    for name in ("b.csv", "a.csv"):
        (tmp_path / "data/log" / name).write_text("x,y\n")
    assert find("pvc://data/log").files == (f"{tmp_path}/data/log/a.csv", f"{tmp_path}/data/log/b.csv")
    assert find("pvc://data/log/*.csv").files == find("pvc://data/log").files
    assert fetch_folder("pvc://data/log", tmp_path) == tmp_path / "data/log"
    with pytest.raises(UserError, match=r"^pvc://data/none\.csv: no such file"):
        find("pvc://data/none.csv")
    with pytest.raises(
        UserError, match=rf"^pvc://other/log: the claim other is not mounted at {tmp_path}/other.*claims"
    ):
        find("pvc://other/log")
    for wrong in ("pvc:///log", "pvc://data/../other"):
        with pytest.raises(UserError, match="is no path in a claim; the form is pvc://claim/path"):
            find(wrong)


def test_an_artifact_of_kfp_is_read_through_s3(bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """KFP's launcher writes minio:// addresses, and KServe's secret names the endpoint in its own way."""
    bucket.put_object(Bucket="shop", Key="v2/artifacts/log/a.csv", Body=b"x,y\n1,2\n")
    monkeypatch.setenv("S3_ENDPOINT", os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"))
    monkeypatch.setenv("S3_USE_HTTPS", "0")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    source = find("minio://shop/v2/artifacts/log")
    assert source.files == ("s3://shop/v2/artifacts/log/a.csv",)
    assert Path(fetch(source, tmp_path).files[0]).read_bytes() == b"x,y\n1,2\n"
    folder = fetch_folder("minio://shop/v2/artifacts/log", tmp_path)
    assert [file.name for file in folder.iterdir()] == ["a.csv"]


def test_an_unknown_protocol_says_so():
    with pytest.raises(UserError, match=r"nosuch://x/y\.csv: .*[Pp]rotocol"):
        find("nosuch://x/y.csv")
