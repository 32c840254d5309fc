"""The terms that validation should choose are known by construction."""

import numpy as np
from scipy import sparse

from longtail.retrieval.fitting import fit_terms, history_matrix

N_ITEMS = 40


def fit(dense: np.ndarray, next_item: np.ndarray, seed: int = 0):  # type: ignore[no-untyped-def]
    """Users with one item; the lexical term names ``next_item`` of it, the dense part scores ``dense``."""
    rng = np.random.default_rng(seed)
    histories = [np.array([item], dtype=np.int32) for item in rng.integers(0, N_ITEMS, 300)]
    targets = [next_item[history].astype(np.int32) for history in histories]
    lexical = sparse.csr_array(
        (np.ones(N_ITEMS, np.float32), (np.arange(N_ITEMS), next_item)), shape=(N_ITEMS, N_ITEMS)
    )
    nothing = sparse.csr_array((N_ITEMS, N_ITEMS), dtype=np.float32)
    popularity = np.zeros(N_ITEMS, np.float32)
    popularity[7] = 3.0
    return fit_terms(
        nothing,
        lexical,
        dense,
        popularity,
        histories,
        targets,
        lambda cut, rows: np.stack(
            [dense[history[-1]] if len(history) else np.zeros(dense.shape[1]) for history in cut]
        ).astype(np.float32),
        neighbours=5,
        exclude_history=True,
        seed=0,
    )


def test_a_useful_sparse_term_gets_weight() -> None:
    dense = np.random.default_rng(1).normal(size=(N_ITEMS, 8)).astype(np.float32)  # knows nothing
    result = fit(dense, (np.arange(N_ITEMS) + 1) % N_ITEMS)
    assert result.neighbour_weight[1] > 0
    assert result.ndcg[1] is not None and result.ndcg[1] > 0.95


def test_a_useless_sparse_term_gets_none() -> None:
    rng = np.random.default_rng(1)
    dense = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    following = (np.arange(N_ITEMS) + 1) % N_ITEMS
    dense[following, np.arange(N_ITEMS)] = 1.0  # item_matrix[i] . query(j) is 1 where i follows j

    histories = [np.array([item], dtype=np.int32) for item in rng.integers(0, N_ITEMS, 300)]
    wrong = sparse.csr_array(
        (np.ones(N_ITEMS, np.float32), (np.arange(N_ITEMS), (np.arange(N_ITEMS) + 5) % N_ITEMS)),
        shape=(N_ITEMS, N_ITEMS),
    )
    result = fit_terms(
        wrong,
        wrong,
        dense,
        np.zeros(N_ITEMS, np.float32),
        histories,
        [following[history].astype(np.int32) for history in histories],
        lambda cut, rows: np.eye(N_ITEMS, dtype=np.float32)[[h[-1] if len(h) else 0 for h in cut]],
        5,
        True,
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


def test_recency_weights_by_hand() -> None:
    found = history_matrix([np.array([2, 0, 1]), np.array([], dtype=np.int64)], 3, 0.5).toarray()
    assert np.allclose(found, [[0.5, 1.0, 0.25], [0, 0, 0]])
