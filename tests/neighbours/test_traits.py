"""What attributes and context add: by hand, and their weights against another library's fit."""

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared
from scipy import optimize

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.traits import (
    SMOOTHING,
    Newcomers,
    TraitTerm,
    conditional_logit,
    fit_traits,
    trait_counts,
    traits_of_users,
    vocabulary,
)

TRAIN, VALIDATION, TEST = Split
GENDERS = {"gender=F": 0, "gender=M": 1}


@pytest.fixture
def data(tmp_path):
    """Users 0 and 2 are F, users 1 and 3 are M (helpers_prepared); F chose items 0, 0 and 1, M chose 1."""
    chosen = [(0, 1), (1,), (0,), ()]
    users = [
        [*((item, place, TRAIN) for place, item in enumerate(items)), (2, 10, VALIDATION), (3, 20, TEST)]
        for items in chosen
    ]
    return PreparedDataset(write_tiny_prepared(tmp_path / "prepared", users, n_items=4))


def test_events_are_counted_by_the_attributes_of_their_users(data):
    names = [name.partition("=")[2] for name in vocabulary(data)]
    counts = dict(zip(names, trait_counts(data).toarray().tolist()))
    given = data.user_attributes
    expected = {name: [0.0] * 4 for name in names}
    for user, items in enumerate([(0, 1), (1,), (0,), ()]):
        for item in items:
            expected[given[user][0].partition("=")[2]][item] += 1
    assert counts == expected


def test_an_item_has_as_much_of_a_trait_as_its_events_and_thirty_usual_ones(data):
    names = vocabulary(data)
    term = TraitTerm.counted(data, names)
    counts, totals = trait_counts(data).toarray(), data.train_counts
    usual = counts.sum(axis=1) / totals.sum()
    share = (counts + SMOOTHING * usual[:, None]) / (totals + SMOOTHING)
    expected = np.log(share / usual[:, None])
    asked = [np.array([code]) for code in range(len(names))]
    assert term.scores(asked) == pytest.approx(expected, abs=1e-6)
    assert term.scores([np.array([], np.int64)]).tolist() == [[0, 0, 0, 0]]


def test_a_column_without_weight_adds_nothing_and_is_not_stored(data):
    term = TraitTerm.counted(data, vocabulary(data)).weighed({"gender": 0.0})
    assert term.matrix.nnz == 0
    assert not term.scores([np.array([0])]).any()


def test_a_trait_of_the_vocabulary_that_these_events_lack_says_nothing(data):
    names = [*vocabulary(data), "gender=X"]
    term = TraitTerm.counted(data, names)
    assert term.matrix[len(names) - 1].nnz == 0


def test_traits_of_users_are_their_attributes_in_the_vocabulary(data):
    found = traits_of_users(data, data.targets(TEST))
    assert [[vocabulary(data)[code] for code in codes] for codes in found] == data.user_attributes


def test_the_logit_is_the_one_that_a_general_optimizer_finds():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 12, 3)).astype(np.float32)
    utility = features @ np.array([1.0, -0.5, 0.0]) + rng.gumbel(size=(300, 12))
    chosen = utility.argmax(axis=1)
    found = conditional_logit(features, chosen)

    def loss(weights):
        logits = features.astype(np.float64) @ weights
        shares = np.log(np.exp(logits).sum(axis=1))
        return (shares - logits[np.arange(300), chosen]).mean()

    oracle = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
    assert found.weights == pytest.approx(oracle.x, abs=1e-3)
    assert found.loss == pytest.approx(oracle.fun, abs=1e-6)
    step = 1e-3 * np.eye(3)
    second = [
        [
            (loss(oracle.x + i + j) - loss(oracle.x + i - j) - loss(oracle.x - i + j) + loss(oracle.x - i - j)) / 4e-6
            for j in step
        ]
        for i in step
    ]
    assert found.errors == pytest.approx(np.sqrt(np.diag(np.linalg.inv(second)) / 300), rel=1e-3)


def crowd(path, seed, telling):
    """400 users of two kinds; ``telling``: each kind has ten items of its own, else both choose among all twenty."""
    rng = np.random.default_rng(seed)
    users = []
    for user in range(400):
        own = 10 * (user % 2) * telling + rng.permutation(10 if telling else 20)
        split = [TRAIN] if user < 300 else [VALIDATION, TEST]
        users.append([(int(item), place, part) for place, (item, part) in enumerate(zip(own, split))])
    return PreparedDataset(write_tiny_prepared(path / "prepared", users, n_items=20))


def fitted(data):
    targets = data.targets(VALIDATION)
    first = np.array([items[0] for items in targets.items])
    beside = np.zeros((len(first), len(data.item_ids), 1), np.float32)
    return fit_traits(data, Newcomers(traits_of_users(data, targets), first, beside))


def test_a_column_that_tells_what_is_chosen_gets_a_weight(tmp_path):
    assert fitted(crowd(tmp_path, 0, telling=True)).weights["gender"] > 1


def test_columns_that_tell_nothing_are_left_out(tmp_path):
    found = [fitted(crowd(tmp_path / str(seed), seed, telling=False)).weights["gender"] for seed in range(8)]
    assert sum(weight == 0.0 for weight in found) >= 7  # one in forty by chance
