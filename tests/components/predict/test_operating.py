"""What the staff replaces while the server serves: in its file or bucket, and in the next answer."""

import json
import stat
from pathlib import Path

import boto3
import pytest
from helpers_gcs import gcs  # noqa: F401  (a fixture)
from helpers_hand_bundle import write_hand_bundle
from helpers_server import ASKS, OPERATES, http_, put, tokens, until

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.components.predict.file_sources import Unwritable, open_source
from longtail.components.predict.followed_file import FollowedFile
from longtail.components.predict.model import LAST_GOOD
from longtail.contracts.errors import UserError

pytestmark = pytest.mark.slow  # they start the model server, and wait until it has read its files anew

AVAILABILITY, RULES = "/v1/models/shop/availability", "/v1/models/shop/rules"
ATTRIBUTES = (("lamp",), ("lamp",), ("chair",), ("chair",))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_hand_bundle(tmp_path_factory.mktemp("served") / "bundle", attributes=ATTRIBUTES)


@pytest.fixture
def files(tmp_path):
    put(tmp_path / "tokens.yaml", tokens(page=(ASKS, "ask"), staff=(OPERATES, "ask", "operate")))
    put(tmp_path / "availability.yaml", "sold_out: [a]")
    put(tmp_path / "rules.yaml", "rules: []")
    return {name: str(tmp_path / f"{name}.yaml") for name in ("tokens", "availability", "rules")}


def options(files, *names):
    return [word for name in names for word in (f"--{name}", files[name])]


def given(server, token=ASKS):
    status, _, answer = http_(server, "POST", "/v1/models/shop:predict", '{"instances": [{"k": 4}]}', token)
    assert status == 200
    return [item["item_id"] for item in answer["predictions"][0]["items"]]


def test_what_is_put_acts_at_once_stays_and_reaches_the_other_replica(bundle, files, tmp_path):
    all_files = options(files, "tokens", "availability", "rules")
    with (
        running_server(bundle, "shop", 60, tmp_path / "log", all_files) as server,
        running_server(bundle, "shop", 60, tmp_path / "log2", all_files) as other,
    ):
        shown = http_(server, "GET", AVAILABILITY, token=OPERATES)
        expected = {"availability": {"sold_out": ["a"]}, "at": files["availability"], "fault": None}
        assert (shown[0], shown[2], given(server)) == (200, expected, ["b", "c", "d"])
        status, _, answer = http_(server, "PUT", AVAILABILITY, "hidden: [b, d]", OPERATES)
        assert (status, answer["availability"], given(server)) == (200, {"hidden": ["b", "d"]}, ["a", "c"])
        scheduled = {"scheduled": {"c": {"until": "2020-01-01T00:00:00Z"}}}
        assert http_(server, "PUT", AVAILABILITY, json.dumps(scheduled), OPERATES)[2]["availability"] == scheduled
        assert given(server) == ["a", "b", "d"]
        rules = {"rules": [{"name": "front", "for": ["cold"], "pin": {"1": "d"}}]}
        assert http_(server, "PUT", RULES, json.dumps(rules), OPERATES)[2]["rules"] == rules
        assert given(server) == ["d", "a", "b"]
        until(lambda: given(other), ["d", "a", "b"])
    with running_server(bundle, "shop", 60, tmp_path / "log", all_files) as again:
        assert given(again) == ["d", "a", "b"]
    assert sorted(path.name for path in tmp_path.glob("*yaml*")) == ["availability.yaml", "rules.yaml", "tokens.yaml"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (AVAILABILITY, b"hiden: [b]", 422, "the body: hiden: Extra inputs"),
        (AVAILABILITY, b"hidden: [b", 422, "the body: is not YAML"),
        (AVAILABILITY, b"", 422, "the body: must hold hidden"),
        (AVAILABILITY, b"hidden: [\xff]", 400, "the body is not UTF-8"),
        (RULES, b"rules: [{name: x, hide: [table]}]", 422, "the body: rule 'x': no item has the attribute 'table'"),
        (AVAILABILITY.replace("shop", "sh"), b"hidden: [b]", 404, "there is no model 'sh'"),
    ],
)
def test_a_body_that_cannot_be_taken_changes_nothing(served, files, path, body, status, message):
    got, _, answer = http_(served, "PUT", path, body, OPERATES)
    assert (got, answer["error"].startswith(message)) == (status, True), answer
    assert given(served) == ["b", "c", "d"]
    assert http_(served, "GET", AVAILABILITY, token=OPERATES)[2]["fault"] is None
    assert Path(files["availability"]).read_text() == "sold_out: [a]"


@pytest.fixture
def served(bundle, files, tmp_path):
    with running_server(
        bundle, "shop", 60, tmp_path / "log", options(files, "tokens", "availability", "rules")
    ) as server:
        yield server


def test_nobody_operates_an_open_server(bundle, files, tmp_path):
    with running_server(bundle, "shop", 60, tmp_path / "log", options(files, "availability")) as server:
        for method in ("GET", "PUT"):
            status, _, answer = http_(server, method, AVAILABILITY, "hidden: []", OPERATES)
            assert (status, "start it with --tokens" in answer["error"]) == (403, True)
        assert given(server) == ["b", "c", "d"]


def test_where_no_file_is_followed_nothing_would_stay(bundle, files, tmp_path):
    with running_server(bundle, "shop", 60, tmp_path / "log", options(files, "tokens")) as server:
        for method in ("GET", "PUT"):
            status, _, answer = http_(server, method, RULES, "rules: []", OPERATES)
            assert (status, "start it with --rules FILE" in answer["error"]) == (409, True)


def followed(path):
    """A file, and what was taken of it last."""
    taken = []
    return FollowedFile("rules", path, lambda text, place: taken.append(text)), taken


def test_what_cannot_be_written_does_not_act(tmp_path, monkeypatch):
    """A folder that is gone, as root may write read-only ones."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f").write_text("before")
    file, taken = followed(folder / "f")
    (folder / "f").rename(tmp_path / "f")
    folder.rmdir()
    with pytest.raises(Unwritable, match=r"cannot be written from here \(No such file or directory\); change it where"):
        file.replace("after")
    assert (taken, file.text) == (["before"], "before")


def test_what_fails_at_the_last_step_is_taken_back(tmp_path):
    """The rename onto a folder that stands there meanwhile."""
    path = tmp_path / "f"
    path.write_text("before")
    file, taken = followed(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(Unwritable, match="Is a directory"):
        file.replace("after")
    assert (taken, file.text) == (["before", "after", "before"], "before")
    assert [found.name for found in tmp_path.iterdir()] == ["f"]


def test_a_file_that_is_put_can_be_read_by_others(tmp_path):
    """Replicas may run as other users: as open as the umask lets any file be."""
    (tmp_path / "f").write_text("before")
    mode = stat.S_IMODE((tmp_path / "f").stat().st_mode)
    followed(tmp_path / "f")[0].replace("after")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


def test_an_object_of_s3_is_followed_and_replaced(bundle, files, s3, tmp_path, monkeypatch):
    bucket, client = s3.removeprefix("s3://"), boto3.client("s3")

    def put_object(text):
        client.put_object(Bucket=bucket, Key="shop/availability.yaml", Body=text.encode())

    put_object("sold_out: [a]")
    of_bucket = files | {"availability": f"{s3}/shop/availability.yaml"}
    with running_server(bundle, "shop", 60, tmp_path / "log", options(of_bucket, "tokens", "availability")) as server:
        monkeypatch.setenv("LONGTAIL_TOKEN", ASKS)
        assert given(server) == ["b", "c", "d"]
        put_object("hidden: [b]")
        until(lambda: given(server), ["a", "c", "d"])
        assert http_(server, "PUT", AVAILABILITY, "hidden: [d]", OPERATES)[0] == 200
        assert given(server) == ["a", "b", "c"]
        assert client.get_object(Bucket=bucket, Key="shop/availability.yaml")["Body"].read() == b"hidden: [d]"
        client.delete_object(Bucket=bucket, Key="shop/availability.yaml")
        until(lambda: ask(server.url, "shop", [{"k": 4}])[0]["degraded"], LAST_GOOD.format("availability"))
        assert given(server) == ["a", "b", "c"]
        put_object("hidden: [d]")  # as it was
        until(lambda: ask(server.url, "shop", [{"k": 4}])[0]["degraded"], None)


def test_an_object_of_gcs_is_read_and_replaced_only_as_it_was_seen(gcs):  # noqa: F811
    gcs.objects["models"]["shop/rules.yaml"] = b"before", 7
    source = open_source("gs://models/shop/rules.yaml")
    assert (source.read(), source.state()) == ("before", "7")
    with source.replacing("after"):
        assert source.read() == "before"
    assert source.read() == "after" and source.state() != "7"
    with pytest.raises(Unwritable, match="somebody else has written it meanwhile"), source.replacing("mine"):
        gcs.objects["models"]["shop/rules.yaml"] = b"another's", 70
    assert source.read() == "another's"


def test_while_a_bucket_is_out_of_reach_the_last_good_one_acts(gcs, monkeypatch):  # noqa: F811
    gcs.objects["models"]["rules.yaml"] = b"good", 7
    monkeypatch.setattr("longtail.components.predict.file_sources.EVERY_OF_BUCKETS", 0.05)
    file, taken = followed("gs://models/rules.yaml")
    assert (taken, file.is_good()) == (["good"], True)
    gcs.refuse = 403
    until(file.is_good, False)
    assert "the credentials were refused (HTTP 403)" in file.fault and file.text == "good"
    with pytest.raises(Unwritable, match="HTTP 403"):
        file.replace("mine")
    gcs.refuse = None
    until(file.is_good, True)  # though it has not changed
    assert file.text == "good"


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "gs://bucket"])
def test_an_address_without_an_object_is_refused(uri):
    with pytest.raises(UserError, match="names no object"):
        open_source(uri)
