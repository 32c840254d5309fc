"""The registry's champion, followed while serving: no request is lost, and nothing bad takes the place of what serves."""

import http.client
import json
import logging
import shutil
import threading
import time
import weakref
from itertools import groupby
from pathlib import Path

import pytest
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from helpers_server import until

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.following_champion import FollowedChampion
from longtail.components.predict.model import RecommendationModel, _Question
from longtail.components.predict.options import Options
from longtail.components.predict.service import Service
from longtail.contracts.artifacts import BUNDLE, MANIFEST, write_artifact
from longtail.contracts.errors import UserError
from longtail.registry.bundles import POINTER, bundle_id
from longtail.registry.opening import open_registry
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import load_bundle
from longtail.system.http import fetch

pytestmark = pytest.mark.slow  # they start the model server

OTHER = ("Green lamp", "Blue lamp", None, "Chair")


@pytest.fixture
def registry(tmp_path):
    return open_registry(str(tmp_path / "registry"))


@pytest.fixture
def bundle(tmp_path):
    return write_hand_bundle(tmp_path / "bundle")


@pytest.fixture
def first(registry, bundle):
    return promoted(registry, registry.publish(bundle))


@pytest.fixture
def second(registry, tmp_path):
    return registry.publish(write_hand_bundle(tmp_path / "second", titles=OTHER))


def promoted(registry, version):
    registry.promote(version, registry.champion(), "test")
    return version


def followed(registry, tmp_path, every=1e-9):
    """Looks when it is told to; what was refused is tried again at once."""
    service = Service(100)
    champion = FollowedChampion(registry.uri, service, tmp_path / "none", every)
    champion._follow = lambda: None
    champion.start()
    return service, champion


def copy_of(bundle, path, version=BUNDLE, **broken):
    """The bundle with files of other content, as checksums that fit."""
    with write_artifact(path, version, dict(load_bundle(bundle).facts)) as folder:
        for file in bundle.iterdir():
            if file.name != MANIFEST:
                (folder / file.name).write_bytes(broken.get(file.stem, file.read_bytes()))
    return path


class Clients:
    """Threads that ask one after the other over one connection each, until they are stopped."""

    def __init__(self, server, count=4):
        self.answers = [[] for _ in range(count)]  # status, versions of each request
        self._port, self._stop = server.http_port, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(answers,)) for answers in self.answers]

    def _ask(self, answers):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        body = json.dumps({"instances": [{"history": ["a"], "k": 2}, {"interests": "red lamp", "k": 1}]})
        while not self._stop.is_set():
            connection.request("POST", "/v1/models/shop:predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            read = json.loads(answer.read())
            answers.append((answer.status, {one["bundle_version"] for one in read.get("predictions", [])}))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, version, more=5):
        """Until every client was answered by it, some times."""
        marks = [len(answers) for answers in self.answers]
        end = time.monotonic() + 60
        while not all(
            sum(versions == {version} for _, versions in answers[mark:]) >= more
            for mark, answers in zip(marks, self.answers)
        ):
            assert time.monotonic() < end, [answers[-1:] for answers in self.answers]
            time.sleep(0.05)


def taken(server):
    (line,) = [
        line
        for line in fetch(f"{server.url}/metrics").decode().splitlines()
        if line.startswith("longtail_bundle_taken{")
    ]
    return float(line.rpartition(" ")[2])


def test_no_request_is_lost_while_bundles_take_each_others_place(registry, first, second, bundle, tmp_path):
    third = registry.publish(write_hand_bundle(tmp_path / "third", titles=("Lost lamp", None, None, None)))
    with (tmp_path / f"registry/versions/{third.id}/tensors.safetensors").open("r+b") as stream:
        stream.truncate(100)
    log, options = tmp_path / "log", ["--follow", registry.uri, "--follow-seconds", "0.1"]
    with running_server(tmp_path / "none", "shop", 60, log, options) as server, Clients(server) as clients:
        clients.wait_for(first.id)
        assert taken(server) == 1
        promoted(registry, second)
        clients.wait_for(second.id)
        promoted(registry, third)
        until(lambda: taken(server), 0)
        clients.wait_for(second.id)
        promoted(registry, first)
        clients.wait_for(first.id)
        until(lambda: taken(server), 1)
    assert {status for answers in clients.answers for status, _ in answers} == {200}
    for answers in clients.answers:
        assert all(len(versions) == 1 for _, versions in answers)  # no request is answered by two bundles
        served = [version for _, (version,) in answers]
        assert [version for version, _ in groupby(served)] == [first.id, second.id, first.id]
    said = [line for line in log.read_text().splitlines() if "is not taken" in line]
    assert len(said) == 1
    assert f"{second.id} serves on" in said[0] and "tensors.safetensors: differs from its checksum" in said[0]


def test_each_answer_names_the_bundle_that_made_it_within_one_batch_too(registry, first, second, tmp_path):
    model = RecommendationModel("batched", tmp_path / "none", Options(follow=registry.uri, follow_seconds=3600))
    model.load()
    before = model._service.now
    model._service.take_bundle(registry.fetch(second, tmp_path / "fetched"))
    after = model._service.now
    asked = [_Question(Asked(k=1), served) for served in (before, after, after, before)]
    answers = model._predictions(asked)
    assert [(answer["bundle_version"], answer["items"][0]["title"]) for answer in answers] == [
        (first.id, "Red lamp"),
        (second.id, "Green lamp"),
        (second.id, "Green lamp"),
        (first.id, "Red lamp"),
    ]


@pytest.mark.parametrize("kind", ["older format", "no encoder", "other answers", "other items"])
def test_a_bad_bundle_leaves_the_one_before_in_service(kind, registry, first, second, bundle, tmp_path, caplog):
    service, champion = followed(registry, tmp_path)
    golden, files = [], {}
    if kind == "older format":
        bad = copy_of(bundle, tmp_path / "bad", BUNDLE.__class__(BUNDLE.name, BUNDLE.version - 1))
        id = bundle_id((bad / MANIFEST).read_bytes())
        shutil.copytree(bad, tmp_path / f"registry/versions/{id}")
        version, reason = registry.version(id), f"is longtail/bundle version {BUNDLE.version - 1}"
    else:
        if kind == "no encoder":
            files, reason = {"sequence_encoder": b"no model"}, "Protobuf parsing failed"
        if kind == "other answers":
            golden, reason = [GOLDEN[0] | {"scores": [3.0, 1.2, -0.78, -2.1]}], r"evaluated user 0 (history [])"
        if kind == "other items":
            golden, reason = [GOLDEN[1] | {"expected": ["d", "c", "b"]}], r"evaluated user 0 (history ['a'])"
        good = write_hand_bundle(tmp_path / "good", titles=("Bad lamp", None, None, None))
        version = registry.publish(copy_of(good, tmp_path / "bad", **files), golden=golden)
    promoted(registry, version)
    with caplog.at_level(logging.INFO):
        champion.look()
        champion.look()
    assert (service.now.version, champion.is_taken()) == (first.id, False)
    (said,) = [record.getMessage() for record in caplog.records if "is not taken" in record.getMessage()]
    assert f"{first.id} serves on" in said and reason in said
    promoted(registry, second)
    champion.look()
    assert (service.now.version, champion.is_taken()) == (second.id, True)


def test_a_bundle_that_answers_as_evaluated_is_taken(registry, first, tmp_path):
    service, champion = followed(registry, tmp_path)
    version = promoted(registry, registry.publish(write_hand_bundle(tmp_path / "x", titles=OTHER), golden=GOLDEN))
    assert registry.golden(version) == GOLDEN
    champion.look()
    assert service.now.version == version.id


def test_nothing_hidden_becomes_visible(registry, first, tmp_path):
    """The rule's attribute is there before, and gone from the new bundle, so that it could hide nothing there."""
    hiding = write_hand_bundle(tmp_path / "h", attributes=(("adult",), ("x",), ("x",), ("x",)))
    promoted(registry, registry.publish(hiding))
    service, champion = followed(registry, tmp_path)
    service.obey("rules: [{name: safe, hide: [adult]}]", "rules.yaml")
    service.close("hidden: [b]", "availability.yaml")
    plain = promoted(registry, first)
    champion.look()
    assert champion.fault == "rules.yaml: rule 'safe': no item has the attribute 'adult'"
    assert shown(service) == ["c", "d"]
    champion.look()  # the same bundle, under the same files
    assert champion.fault.startswith("rules.yaml")
    service.obey("rules: [{name: safe, hide: [x]}]", "rules.yaml")
    service.obey("rules: []", "rules.yaml")
    champion.look()
    assert (service.now.version, champion.fault) == (plain.id, None)
    assert shown(service) == ["a", "c", "d"]  # what is hidden by availability stays it, from the first answer on


def shown(service):
    return [item.item_id for item in service.now.recommender.recommend().items]


def test_what_was_refused_is_looked_at_again_ever_more_rarely(registry, first, second, tmp_path, monkeypatch):
    service, champion = followed(registry, tmp_path, every=10)
    now, fetches = [1000.0], []
    monkeypatch.setattr("longtail.components.predict.following_champion.time.monotonic", lambda: now[0])
    tensors = tmp_path / f"registry/versions/{second.id}/tensors.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(b"")
    fetch_ = champion._registry.fetch
    monkeypatch.setattr(champion._registry, "fetch", lambda *given: fetches.append(now[0]) or fetch_(*given))
    promoted(registry, second)
    for now[0] in range(1000, 1100, 5):
        champion.look()
    assert fetches == [1000, 1010, 1030, 1070]
    tensors.write_bytes(whole)
    now[0] = 1150
    champion.look()
    assert (service.now.version, champion.fault) == (second.id, None)


def test_a_registry_out_of_reach_is_said_once_and_found_again(registry, first, second, tmp_path, caplog):
    service, champion = followed(registry, tmp_path)
    pointer = tmp_path / "registry" / POINTER
    whole = pointer.read_bytes()
    pointer.write_text("{")
    champion.look()
    champion.look()
    assert caplog.text.count("champion.json: is damaged") == 1 and not champion.is_taken()
    pointer.write_bytes(whole)
    champion.look()
    assert champion.is_taken() and service.now.version == first.id


def test_the_memory_of_the_one_before_is_freed_and_so_is_its_copy_on_disk(registry, first, second, tmp_path):
    service, champion = followed(registry, tmp_path)
    service.now.recommender.recommend(interests="red lamp")  # fills caches, which refer to each other
    before, place = weakref.ref(service.now.recommender.scorer), service.now.bundle.path
    assert place.is_dir()
    promoted(registry, second)
    asking = service.now  # as a request that is not answered yet
    champion.look()
    assert before() is not None and asking.recommender.recommend(interests="red lamp").items
    del asking
    champion.look()
    assert before() is None
    assert not place.exists() and service.now.bundle.path.is_dir()


def test_where_the_champion_cannot_be_had_the_bundle_beside_serves(registry, bundle, second, tmp_path):
    service = Service(100)
    with pytest.raises(UserError, match="has no champion yet; promote a bundle"):
        FollowedChampion(registry.uri, service, tmp_path / "none", 3600).start()
    champion = FollowedChampion(registry.uri, service, bundle, 3600)
    champion.start()
    assert (service.now.bundle.path, champion.is_taken()) == (bundle, False)
    promoted(registry, second)
    champion.look()
    assert (service.now.version, champion.is_taken()) == (second.id, True)


def test_the_champion_that_lies_beside_is_not_fetched(registry, first, bundle):
    service = Service(100)
    FollowedChampion(registry.uri, service, bundle, 3600).start()
    assert service.now.bundle.path == bundle and service.now.version == first.id


def test_a_bucket_is_followed(s3, bundle, tmp_path):
    registry = open_registry(f"{s3}/shop")
    version = promoted(registry, registry.publish(bundle))
    service, champion = followed(registry, tmp_path)
    other = promoted(registry, registry.publish(write_hand_bundle(tmp_path / "second", titles=OTHER), golden=GOLDEN))
    assert service.now.version == version.id
    champion.look()
    assert (service.now.version, champion.fault) == (other.id, None)


def test_a_bundle_that_is_damaged_on_its_way_leaves_nothing_on_the_disk(registry, first, second, tmp_path, monkeypatch):
    service, champion = followed(registry, tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    Path(tmp_path / f"registry/versions/{second.id}/items.parquet").write_bytes(b"")
    promoted(registry, second)
    champion.look()
    assert service.now.version == first.id and list(scratch.iterdir()) == []
