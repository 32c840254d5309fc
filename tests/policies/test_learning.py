"""What is learnt is kept only where it is better, is served as it was judged, and finds what users like."""

from dataclasses import replace

import numpy as np
import pytest
from helpers_policies import ITEMS, LIKED, OTHER, shown_lists, tiny_bundle

from longtail.contracts.artifacts import BUNDLE, manifest_digest, read_artifact
from longtail.contracts.errors import UserError
from longtail.policies.learning import learn_policy, write_policy
from longtail.policies.settings import LearningSettings
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import POSTERIOR, load_bundle
from longtail.scoring.posterior import Posterior
from longtail.scoring.recommender import Recommender

pytestmark = pytest.mark.slow  # they learn policies

METHODS = ("thompson", "linucb", "policy-gradient")
SETTINGS = LearningSettings(candidates=ITEMS, folds=3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def lists(bundle):
    return shown_lists(bundle, 900, LIKED)


@pytest.fixture(scope="module")
def learnt(bundle, lists):
    return {method: learn_policy(bundle, lists, method, SETTINGS) for method in METHODS}


def liked_share(bundle):
    """Of the first places of users of all kinds."""
    asked = [Asked(history=[bundle.item_ids[code] for code in range(n)], k=1) for n in range(8)]
    answers = Recommender(bundle, threads=1).answers(asked)
    return np.mean([answer.items[0].item_id in LIKED for answer in answers])


@pytest.mark.parametrize("method", METHODS)
def test_what_users_like_comes_first_and_the_gain_is_true(bundle, lists, learnt, method, tmp_path):
    judged, learned = learnt[method]
    assert judged.kept, judged.why_not
    assert judged.own == 1.0
    write_policy(bundle, judged, learned, tmp_path / "new", {})
    new = load_bundle(tmp_path / "new")
    assert liked_share(new) > liked_share(bundle)
    drawn = shown_lists(new, 900, LIKED, seed=7)
    true = np.mean([sum(LIKED.get(item, OTHER) for item in one.items) for one in drawn])
    before = np.mean([sum(LIKED.get(item, OTHER) for item in one.items) for one in lists])
    assert (
        judged.compared.low - 0.03 < true - before < judged.compared.high + 0.03
    )  # what all lists teach, not four fifths
    assert judged.compared.logged == pytest.approx(np.mean([one.rewards.sum() for one in lists]))


@pytest.mark.parametrize("method", METHODS)
def test_the_written_bundle_scores_as_was_learnt(bundle, learnt, method, tmp_path):
    judged, learned = learnt[method]
    write_policy(bundle, judged, learned, tmp_path / "new", {"candidates": ITEMS})
    new = load_bundle(tmp_path / "new")
    recommender, before = Recommender(new, threads=1), Recommender(bundle, threads=1)
    for asked in (Asked(), Asked(history=["i001", "i004"], attributes=["gender=F"])):
        query = before.query(asked)
        expected = before.scorer.parts(query) @ learned.weights[len(query.history)] + learned.offsets
        np.testing.assert_allclose(recommender.scorer.score([query])[0], expected, atol=1e-4)
    facts = read_artifact(tmp_path / "new", BUNDLE).facts["policy"]
    assert facts["method"] == method
    assert facts["from_manifest"] == manifest_digest(bundle.path)
    assert facts["value"]["low"] == judged.compared.low > 0
    assert (tmp_path / "new" / POSTERIOR).is_file() == (method != "policy-gradient")


@pytest.mark.parametrize("method", METHODS)
def test_chance_is_not_kept(bundle, method):
    """Every item is chosen alike: no ranking is better than another."""
    lists = shown_lists(bundle, 600, dict.fromkeys(bundle.item_ids, 0.3), seed=3)
    judged, _ = learn_policy(bundle, lists, method, SETTINGS)
    assert not judged.kept
    assert "not shown to be better" in judged.why_not


def test_a_value_that_rests_on_few_lists_is_not_kept(bundle, lists):
    judged, _ = learn_policy(bundle, lists, "linucb", SETTINGS.model_copy(update={"least_effective_lists": 901.0}))
    assert "rests on" in judged.why_not


def test_the_posterior_is_as_sure_as_draws_are_spread(bundle, learnt, tmp_path):
    judged, learned = learnt["linucb"]
    write_policy(bundle, judged, learned, tmp_path / "new", {})
    posterior, recommender = Posterior.load(tmp_path / "new" / POSTERIOR), Recommender(bundle, threads=1)
    parts, items = recommender.scorer.parts(recommender.query(Asked(history=["i003"]))), np.arange(ITEMS)
    draws = posterior.draws(parts, items, 1, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(axis=0), posterior.deviations(parts, items, 1), rtol=0.03)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=5 * draws.std() / 200)
    shown = np.bincount(
        [int(item[1:]) for one in shown_lists(bundle, 900, LIKED) for item in one.items], minlength=ITEMS
    )
    sure = posterior.deviations(np.zeros_like(parts), items, 1)
    assert np.corrcoef(sure, shown)[0, 1] < -0.5  # the more often shown, the surer
    unseen = posterior.draws(parts[:1], np.array([ITEMS + 3]), 1, 10_000, np.random.default_rng(0))
    assert unseen.std() > draws.std(axis=0).max()


def test_a_policy_learns_on_from_what_a_policy_learnt(bundle, learnt, tmp_path):
    """Its offsets are part of the scores that the next one begins with."""
    write_policy(bundle, *learnt["thompson"], tmp_path / "first", {})
    first = load_bundle(tmp_path / "first")
    judged, learned = learn_policy(first, shown_lists(first, 600, LIKED, seed=5), "thompson", SETTINGS)
    assert judged.own == 1.0
    write_policy(first, judged, learned, tmp_path / "second", {})
    second = load_bundle(tmp_path / "second")
    np.testing.assert_allclose(second.tensors.item_offset, learned.offsets, rtol=1e-5)
    assert liked_share(second) >= liked_share(bundle)


def test_lists_of_other_items_are_left_out(bundle, lists):
    strange = replace(lists[0], items=("i000", "unknown"))
    seen = replace(lists[1], asked=replace(lists[1].asked, history=list(lists[1].items)))  # what is not given again
    judged, _ = learn_policy(bundle, [strange, seen, *lists[2:]], "linucb", SETTINGS)
    assert judged.left_out == {"with items that the bundle does not know or may not give": 2}
    with pytest.raises(UserError, match=r"lists of 20 users .* need at least 30"):
        learn_policy(bundle, lists[:20], "linucb", SETTINGS)
