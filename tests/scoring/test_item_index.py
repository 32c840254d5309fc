from dataclasses import replace

import numpy as np
import pytest
from helpers_bundle import write_tiny_bundle
from scipy import sparse

from longtail.contracts.errors import UserError
from longtail.scoring import bundle_writing, item_index, question
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.availability import Availability
from longtail.scoring.bundle import load_bundle
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.item_index import INDEX, ItemIndex, linear_query, linear_rows, linear_scores
from longtail.scoring.query import Query
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules
from longtail.scoring.scorer import Scorer

ITEMS = 3000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """With an index, and with traits, which the written one has none of."""
    patch = pytest.MonkeyPatch()
    patch.setattr(bundle_writing, "INDEXED_FROM", ITEMS)
    counts = np.random.default_rng(0).integers(50, size=ITEMS)
    written = load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "b", ITEMS, 17, train_counts=counts))
    patch.undo()
    rng = np.random.default_rng(1)
    traits = sparse.csr_array(sparse.random(2, ITEMS, density=0.02, rng=rng, dtype=np.float32))
    known = {"traits": traits, "trait_scale": np.array([0.5, 1], np.float32)}
    known |= {"trait_base": rng.random(ITEMS, dtype=np.float32), "trait_weight": np.full(7, 0.3, np.float32)}
    known |= {"dense_weight": np.array([0, *[1] * 6], np.float32)}  # newcomers get what is popular, as they often do
    return replace(written, tensors=replace(written.tensors, **known))


@pytest.fixture
def few(monkeypatch):
    """So few are looked at that the index has something to do."""
    monkeypatch.setattr(item_index, "FOUND", 300)
    monkeypatch.setattr(item_index, "POPULAR", 20)
    monkeypatch.setattr(question, "SCORED_AT_ONCE", 100)


def with_index(bundle):
    made = Recommender(bundle, threads=1)
    made._scorer.item_index = ItemIndex.build(bundle.tensors)
    assert made._scorer.item_index is not None
    return made


def without_index(bundle):
    made = Recommender(bundle, threads=1)
    made._scorer.item_index = None
    return made


def test_a_large_catalogue_is_written_with_its_index(bundle):
    assert Scorer(bundle).item_index.always.shape == (500,)
    small = ItemIndex.load(bundle.path / INDEX, bundle.tensors)
    assert small.recall() >= 0.98
    other = replace(bundle.tensors, log_popularity=np.zeros(7, np.float32))
    with pytest.raises(UserError, match="is of 3000 items, not 7"):
        ItemIndex.load(bundle.path / INDEX, other)


def test_an_index_that_misses_too_much_is_not_used(bundle, monkeypatch, caplog):
    monkeypatch.setattr(item_index, "FOUND", 12)
    monkeypatch.setattr(item_index, "POPULAR", 1)
    assert ItemIndex.build(bundle.tensors) is None
    assert "all items are scored instead" in caplog.text


def test_linear_parts_are_what_scores_owe_to_items_alone(bundle):
    tensors, rng = bundle.tensors, np.random.default_rng(0)
    vectors = rng.normal(size=(2, 17)).astype(np.float32)
    items = np.array([5, 9])
    queries = linear_query(tensors, vectors, np.array([0, 3]), np.array([0.0, 1.5], np.float32))
    found = queries @ linear_rows(tensors, items).T
    for row, (scale, weight) in enumerate(((0.0, 0), (1.5, 1))):
        for column, item in enumerate(items):
            expected = weight * (vectors[row] @ tensors.item_matrix[item]) + 0.1 * tensors.log_popularity[item]
            assert found[row, column] == pytest.approx(expected - 0.3 * scale * tensors.trait_base[item], abs=1e-5)
        np.testing.assert_allclose(linear_scores(tensors, items, queries[row]), found[row], atol=1e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_scores_of_some_items_are_those_of_all(bundle, int8):
    matrix = Int8Rows.of(bundle.tensors.item_matrix) if int8 else bundle.tensors.item_matrix
    scorer = Scorer(replace(bundle, tensors=replace(bundle.tensors, item_matrix=matrix)))
    queries = [
        Query(np.array(history, dtype=np.int32), attributes)
        for history, attributes in (([], ()), ([3, 9, 3], ("gender=F",)), ([7] * 4, ("gender=M", "gender=F", "other")))
    ]
    codes = np.sort(np.random.default_rng(0).choice(ITEMS, 500, replace=False))
    among = [codes, None, codes[:0]]
    few, some, none = scorer.found(queries, among)
    whole = scorer.score(queries)
    np.testing.assert_allclose(few.values, whole[0][codes], atol=1e-4)
    np.testing.assert_allclose(some.values, whole[1][some.codes], atol=1e-4)
    assert (np.diff(some.codes) > 0).all()
    assert (few.complete, some.complete, len(none.values)) == (True, False, 0)
    assert np.isin(np.argsort(-whole[1])[:10], some.codes).mean() >= 0.9


def questions(rng):
    for length in (0, 1, 3, 10):
        for _ in range(10):
            history = [f"i{code:03d}" for code in rng.integers(ITEMS, size=length)]
            attributes = ("gender=F",) if rng.random() < 0.5 else ()
            exclude = [f"i{code:03d}" for code in rng.integers(ITEMS, size=rng.integers(200))]
            yield Asked(history, attributes, k=10, exclude=exclude)
            yield Asked(history, attributes, k=10)


def test_answers_are_those_of_the_whole_catalogue(bundle, few):
    asked = list(questions(np.random.default_rng(0)))
    pairs = zip(with_index(bundle).answers(asked), without_index(bundle).answers(asked))
    same = [len({item.item_id for item in one.items} & {item.item_id for item in two.items}) / 10 for one, two in pairs]
    assert np.mean(same) >= 0.98


def test_few_allowed_items_are_all_scored(bundle, few):
    """Also by an index that finds nothing."""
    indexed, plain = with_index(bundle), without_index(bundle)
    indexed._scorer.item_index.find = lambda queries: np.zeros((len(queries), 0), np.int64)
    for availability in (Availability(), Availability(hidden=("i001", "i500", "i2999"))):
        indexed.close(availability), plain.close(availability)
        rng = np.random.default_rng(0)
        for one in questions(rng):
            among = tuple(f"i{code:03d}" for code in rng.integers(ITEMS, size=60))
            one = replace(one, candidates=(*among, "i500"))
            (found,), (expected,) = indexed.answers([one]), plain.answers([one])
            assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
            np.testing.assert_allclose(
                [item.score for item in found.items], [item.score for item in expected.items], atol=1e-4
            )
            assert (found.fewer_than_k, found.changed_by_shop) == (expected.fewer_than_k, expected.changed_by_shop)


def test_where_too_little_was_found_all_are_scored(bundle, few):
    """All that the index finds is excluded; more are asked for than it finds; a limit uses up what it finds."""
    indexed, plain = with_index(bundle), without_index(bundle)
    best = [item.item_id for item in plain.recommend(k=400).items]
    for asked in (Asked(exclude=best, k=10), Asked(k=500), Asked(max_per={"x": 1}, k=3)):
        (found,), (expected,) = indexed.answers([asked]), plain.answers([asked])
        assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
        assert found.fewer_than_k == expected.fewer_than_k


def test_what_rules_and_explorers_ask_for_is_as_without(bundle, few):
    indexed, plain = with_index(bundle), without_index(bundle)
    worst = plain.recommend(k=ITEMS).items[-1].item_id
    for rules in (
        {"rules": [{"name": "pin", "pin": {2: worst}}]},
        {"rules": [{"name": "boost", "boost": {"x": 1}}]},
    ):
        for made in (indexed, plain):
            made.obey(Rules.model_validate(rules))
        asked = Asked(["i005", "i006"], k=5, filters=Filters(all=["x"]))
        (found,), (expected,) = indexed.answers([asked]), plain.answers([asked])
        assert [item.item_id for item in found.items] == [item.item_id for item in expected.items]
        assert [item.source for item in found.items] == [item.source for item in expected.items]


def test_what_a_policy_lifted_is_found_and_scored_alike(bundle, few):
    """Items far down by all else, which an offset brings to the front."""
    offset = np.zeros(ITEMS, dtype=np.float32)
    offset[[7, 1500, 2999]] = 30, 20, -5
    learnt = replace(bundle, tensors=replace(bundle.tensors, item_offset=offset))
    asked = [Asked(history=[bundle.item_ids[item] for item in (3, 9)], k=5), Asked(k=5)]
    for found, exact in zip(with_index(learnt).answers(asked), without_index(learnt).answers(asked)):
        assert [item.item_id for item in found.items] == [item.item_id for item in exact.items]
        assert [item.item_id for item in exact.items[:2]] == ["i007", "i1500"]
        np.testing.assert_allclose([one.score for one in found.items], [one.score for one in exact.items], rtol=1e-4)
