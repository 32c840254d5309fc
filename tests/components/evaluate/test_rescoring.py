"""The model in service beside the student."""

import hashlib

import numpy as np
from helpers_bundle import write_tiny_bundle
from helpers_evaluate_case import Case
from helpers_prepared import leave_last_out, write_tiny_prepared

from longtail.components.evaluate.decide import champion_of
from longtail.components.evaluate.rescoring import Champion
from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.decision import Champion as Decided
from longtail.contracts.prepared import PreparedDataset
from longtail.registry.opening import open_registry
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer


def test_champion_is_told_the_context(tmp_path, monkeypatch):
    data = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    champion = Champion(write_tiny_bundle(tmp_path / "champion", item_ids=data.item_ids), data)
    told = []
    score = champion._scorer.score
    monkeypatch.setattr(champion._scorer, "score", lambda queries: told.extend(queries) or score(queries))
    champion.score([Query(np.array([0], dtype=np.int32), ["gender=F"], context=["day=monday"])])
    assert (told[0].attributes, told[0].context) == (["gender=F"], ["day=monday"])


def test_champion_that_knows_the_targets_stops_the_student(tmp_path):
    users = [leave_last_out([user % 15, 15 + user % 7, 22 + user % 7, 29]) for user in range(60)]
    case = Case(tmp_path, users)
    items = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    items[29] = items[15:29].sum(axis=0)  # near to what everyone saw last
    strong = write_tiny_bundle(tmp_path / "champion", item_ids=case.data.item_ids, item_matrix=items)
    case.champion = str(strong)
    result = case.run()
    assert result["systems"]["champion"]["all"]["ndcg@10"] > result["systems"]["student"]["all"]["ndcg@10"]
    assert case.passed is result["decision"]["passed"] is False
    assert any("worse than champion" in finding["sentence"] for finding in result["decision"]["findings"])


def test_the_champion_may_come_from_a_registry(tmp_path, s3):
    case = Case(tmp_path)
    registry = open_registry(f"{s3}/shop")
    case.champion = f"registry:{s3}/shop"
    first = case.run()
    assert "champion" not in first["systems"] and first["decision"]["champion"] is None  # none was promoted yet
    version = registry.publish(case.bundle)
    registry.promote(version, None, "the first")
    again = case.run("again")
    systems = again["systems"]
    digest = hashlib.sha256((case.bundle / "manifest.json").read_bytes()).hexdigest()
    assert again["decision"]["champion"] == {
        "address": version.uri, "registry": f"{s3}/shop", "version": version.id, "digest": digest
    }  # fmt: skip
    for segment in ("all", "tail", "head"):
        assert systems["champion"][segment]["ndcg@10"] == systems["student"][segment]["ndcg@10"]


def test_a_link_to_the_champion_is_followed_to_its_registry(tmp_path):
    registry = open_registry(str(tmp_path / "models"))
    bundle = write_tiny_bundle(tmp_path / "bundle")
    version = registry.publish(bundle)
    (tmp_path / "link").symlink_to(tmp_path / "models/versions" / version.id)
    found = champion_of(str(tmp_path / "link"), tmp_path / "link")
    assert found == Decided(version.uri, registry.uri, version.id, manifest_digest(bundle))
    found = champion_of(str(bundle), bundle)
    assert (found.address, found.registry, found.version) == (bundle.as_uri(), None, version.id)
    assert champion_of("", None) is None


def test_champion_of_another_catalogue(tmp_path):
    data = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    ids = ["gone", *data.item_ids[:1:-1]]  # knows neither i000 nor i001, in another order
    write_tiny_bundle(tmp_path / "champion", item_ids=ids)
    scorer = Scorer(load_bundle(tmp_path / "champion"))
    scores = Champion(tmp_path / "champion", data).score([Query(np.array([0, 7, 2], dtype=np.int32))])
    (expected,) = scorer.score([Query(np.array([ids.index("i007"), ids.index("i002")], dtype=np.int32))])
    assert np.isneginf(scores[0, :2]).all()
    np.testing.assert_allclose(scores[0, 2:], [expected[ids.index(item)] for item in data.item_ids[2:]], rtol=1e-6)
