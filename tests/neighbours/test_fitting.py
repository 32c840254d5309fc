"""The terms that validation should choose are known by construction."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from longtail.neighbours.fitting import GREATER, NEIGHBOUR_WEIGHTS, Fit, Terms, fit_terms
from longtail.neighbours.item_to_item import ItemToItem, Mixture, OwnPairs
from longtail.neighbours.traits import no_traits
from longtail.neighbours.usual import FEWEST, USUAL
from longtail.neighbours.validation_cases import ENOUGH, ValidationCases
from longtail.scoring.likeness import Likeness

N_ITEMS = 40
MIXTURE = Mixture((1, 0, 0, 0), decay=0.7, neighbours=N_ITEMS)


def no_likeness(count: int) -> Likeness:
    nothing = np.zeros(count, np.float32)
    return Likeness(np.zeros((count, 0), np.float32), nothing, nothing, np.zeros(2, np.float32))


def term_of(next_item: np.ndarray) -> ItemToItem:
    """A sparse term that names ``next_item`` of each item."""
    count = len(next_item)
    values = (np.ones(count, np.float32), (np.arange(count), next_item))
    own = OwnPairs(*[np.zeros(count, np.float32)] * 4)
    return ItemToItem(sparse.csr_array(values, shape=(count, count)), MIXTURE, own, no_likeness(count))


def terms(next_item, popularity):
    return Terms(term_of(next_item), popularity, no_traits(len(popularity)))


def fit(dense: np.ndarray, next_item: np.ndarray, seed: int = 0) -> Fit:
    """Users with one item; the sparse term names ``next_item`` of it, the dense part scores ``dense``."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, N_ITEMS, 300)
    histories = [
        np.array([item], dtype=np.int32) for item in drawn if next_item[item] != item
    ]  # or it would be excluded
    targets = [next_item[history].astype(np.int32) for history in histories]
    popularity = np.zeros(N_ITEMS, np.float32)
    popularity[7] = 3.0
    return fit_terms(
        terms(next_item, popularity),
        dense,
        ValidationCases(histories, targets, exclude_history=True),
        lambda cut, rows: np.stack(
            [dense[history[-1]] if len(history) else np.zeros(dense.shape[1]) for history in cut]
        ).astype(np.float32),
        seed=0,
    )


def test_a_useful_sparse_term_gets_weight() -> None:
    dense = np.random.default_rng(1).normal(size=(N_ITEMS, 8)).astype(np.float32)  # knows nothing
    result = fit(dense, (np.arange(N_ITEMS) + 1) % N_ITEMS)
    assert result.neighbour_weight[1] > 0
    assert result.ndcg[1] is not None and result.ndcg[1] > 0.95


def test_a_dense_part_that_learnt_noise_is_outweighed() -> None:
    """Of few events: the sparse term knows all, in small numbers, and dense scores are large and know nothing."""
    dense = 5 * np.random.default_rng(1).normal(size=(N_ITEMS, 8)).astype(np.float32)
    result = fit(dense, (np.arange(N_ITEMS) + 1) % N_ITEMS)
    assert NEIGHBOUR_WEIGHTS[-1] < result.neighbour_weight[1] <= GREATER[-1]
    assert result.neighbour_weight[0] == 0
    assert result.ndcg[1] is not None and result.ndcg[1] > 0.8


def test_a_useless_sparse_term_gets_none() -> None:
    rng = np.random.default_rng(1)
    dense = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    following = (np.arange(N_ITEMS) + 1) % N_ITEMS
    dense[following, np.arange(N_ITEMS)] = 1.0  # item_matrix[i] . query(j) is 1 where i follows j

    histories = [np.array([item], dtype=np.int32) for item in rng.integers(0, N_ITEMS, 300)]
    result = fit_terms(
        terms((np.arange(N_ITEMS) + 5) % N_ITEMS, np.zeros(N_ITEMS, np.float32)),
        dense,
        ValidationCases(histories, [following[history].astype(np.int32) for history in histories], True),
        lambda cut, rows: np.eye(N_ITEMS, dtype=np.float32)[[h[-1] if len(h) else 0 for h in cut]],
        0,
    )
    assert result.neighbour_weight[1] == 0.0
    assert result.ndcg[1] == 1.0


def test_newcomers_get_popularity_where_the_dense_part_knows_nothing() -> None:
    rng = np.random.default_rng(2)
    dense = rng.normal(size=(N_ITEMS, 8)).astype(np.float32)
    result = fit(dense, np.full(N_ITEMS, 7))
    assert result.popularity_weight[0] > 0
    assert result.ndcg[0] == 1.0


def test_items_that_were_cut_off_do_not_compete_with_the_target() -> None:
    """Users chose 0, then 1, then want 2. The dense part puts item 0 first after item 1, the sparse term item 2."""
    following = np.array([2, 2, 0])
    dense = np.zeros((3, 3), np.float32)
    dense[0, 1], dense[2, 1] = 1.0, 0.5
    result = fit_terms(
        terms(following, np.zeros(3, np.float32)),
        dense,
        ValidationCases([np.array([0, 1], dtype=np.int32)] * FEWEST, [np.array([2], dtype=np.int32)] * FEWEST, True),
        lambda cut, rows: np.eye(3, dtype=np.float32)[[h[-1] if len(h) else 0 for h in cut]],
        0,
    )
    assert result.neighbour_weight[1] == 0.0 and result.ndcg[1] == 1.0  # item 0 is out: nothing has to push item 2


def test_who_is_asked_for_short_histories():
    """By a clock those who really have them, where they are not too few; else all whose histories can be cut."""
    short, long = np.zeros(1, np.int32), np.zeros(7, np.int32)
    histories = [short] * ENOUGH + [long] * 3 + [np.zeros(0, np.int32)]
    targets = [np.zeros(1, np.int32)] * len(histories)
    drawn = ValidationCases(histories, targets, exclude_history=False)
    clock = replace(drawn, by_clock=True)
    assert [len(drawn.rows_of(bucket)) for bucket in (0, 1, 4, 5, 6)] == [ENOUGH + 4, ENOUGH + 3, 3, 3, 0]
    assert [len(clock.rows_of(bucket)) for bucket in (0, 1, 4, 5, 6)] == [ENOUGH + 4, ENOUGH, 3, 3, 0]


def test_few_users_choose_no_weights_and_longer_histories_take_those_of_shorter_ones():
    """Histories of one item are asked for often enough, longer ones and newcomers are not."""
    following = (np.arange(N_ITEMS) + 1) % N_ITEMS
    dense = np.zeros((N_ITEMS, 4), np.float32)

    def fitted(count: int) -> Fit:
        histories = [np.array([item % N_ITEMS], dtype=np.int32) for item in range(count)]
        targets = [following[history].astype(np.int32) for history in histories]
        nothing = lambda cut, rows: np.zeros((len(cut), 4), np.float32)  # noqa: E731
        cases = ValidationCases(histories, targets, exclude_history=True)
        return fit_terms(terms(following, np.zeros(N_ITEMS, np.float32)), dense, cases, nothing, seed=0)

    few, enough = fitted(FEWEST - 1), fitted(FEWEST)
    assert set(few.neighbour_weight[1:].tolist()) == {USUAL.weights[1].neighbours}
    assert few.popularity_weight.tolist() == np.float32([1.0, *[USUAL.weights[1].popularity] * 6]).tolist()
    assert few.ndcg[1] == 1.0 and few.ndcg[5] is None  # measured all the same, where anybody can be asked
    assert set(enough.neighbour_weight[1:].tolist()) == {2.0}  # the least weight that puts the target first
