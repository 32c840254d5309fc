"""Popularity counts more in a bundle whose vectors are older than its counts, where the newest choices say so, and only there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers_counted import write_counted_bundle
from helpers_prepared import write_tiny_prepared
from numpy.testing import assert_array_equal

from longtail.contracts.columns import DAY
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.ageing import NEWEST, popularity_factors
from longtail.neighbours.recounting import freshened, recount, write_recounted
from longtail.neighbours.usual import FEWEST
from longtail.scoring.bundle import Bundle, load_bundle

ITEMS, OLD, NEW = 40, range(10), 35
TRAIN, VALIDATION, TEST = Split


def data(path: Path, newest: list[int], histories: bool = True) -> PreparedDataset:
    """Old items were chosen for a hundred days, then the new one; newest: what the users of the last day choose, one each."""
    rng = np.random.default_rng(0)
    old = [[(int(item), day * DAY, TRAIN) for item in rng.permutation(OLD)[:2]] for day in range(100) for _ in range(9)]
    fashion = [[(NEW, 200 * DAY, VALIDATION)] for _ in range(60)]
    before = [[(place % 10, 100 * DAY, TRAIN)] if histories else [] for place in range(len(newest))]
    last = [[*known, (item, 201 * DAY, TEST)] for known, item in zip(before, newest)]
    everybody = [*old, *fashion, *last]
    split = {"rule": "global_time"}
    return PreparedDataset(write_tiny_prepared(path, everybody, n_items=ITEMS, split=split)).learnt_until(TEST)


def bundle_of(path: Path, prepared: PreparedDataset, half_life: float | None = 1.0) -> Bundle:
    """Its vectors are of the old days: who chose an old item is shown the other old ones."""
    loaded = load_bundle(
        write_counted_bundle(path, prepared, sparse_weight=0, popularity_weight=0.02, popularity_half_life=half_life)
    )
    matrix = np.zeros_like(loaded.tensors.item_matrix)
    matrix[:, 1] = 1
    matrix[list(OLD)] = np.eye(matrix.shape[1])[0]
    return replace(loaded, tensors=replace(loaded.tensors, item_matrix=matrix))


def newest(item: int | None) -> list[int]:
    return [(place + 1) % 10 if item is None else item for place in range(FEWEST + 10)]


def test_the_newest_events_are_held_back(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW))
    past = prepared.newest_held_back(NEWEST)
    held = past.splits == VALIDATION
    assert held.sum() == FEWEST + 10 and (past.timestamps[held] == 201 * DAY).all()
    assert past.train_counts.sum() == len(past.splits) - held.sum() and past.train_counts[NEW] == 60
    assert (prepared.splits == TRAIN).all()  # it stays as it is


@pytest.mark.parametrize(("wanted", "more"), [(NEW, True), (None, False)], ids=["the fashion", "as before"])
def test_popularity_counts_more_where_the_newest_choices_say_so(tmp_path, wanted, more):
    prepared = data(tmp_path / "prepared", newest(wanted))
    bundle = bundle_of(tmp_path / "bundle", prepared)
    made = freshened(bundle, prepared)
    assert made.factors[0] == 1  # nobody came without a history
    assert (made.factors[1] > 1) == more
    expected = bundle.tensors.popularity_weight * np.where(np.arange(7) == 0, 1, made.factors[1])
    assert_array_equal(made.bundle.tensors.popularity_weight, expected)


def test_newcomers_have_a_factor_of_their_own(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW), histories=False)
    bundle = bundle_of(tmp_path / "bundle", prepared)
    tensors = replace(bundle.tensors, start=np.eye(bundle.tensors.item_matrix.shape[1], dtype=np.float32)[0])
    factors = freshened(replace(bundle, tensors=tensors), prepared).factors
    assert factors[0] > 1 and factors[1] == 1


def test_too_few_users_say_nothing(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW)[: FEWEST - 1])
    bundle = bundle_of(tmp_path / "bundle", prepared)
    held = prepared.newest_held_back(NEWEST)
    assert_array_equal(popularity_factors(recount(bundle, held).bundle, held), [1, 1])


def test_where_age_says_nothing_the_weights_stay(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW))
    bundle = bundle_of(tmp_path / "bundle", prepared, half_life=None)
    assert_array_equal(freshened(bundle, prepared).bundle.tensors.popularity_weight, bundle.tensors.popularity_weight)


def test_items_that_the_bundle_does_not_know_are_no_answers(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW))
    bundle = bundle_of(tmp_path / "bundle", prepared)
    prepared.item_ids = ["unknown" if code == NEW else item for code, item in enumerate(prepared.item_ids)]
    assert_array_equal(freshened(bundle, prepared).factors, [1, 1])


def test_a_second_refresh_begins_with_the_weights_of_training(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW))
    bundle = bundle_of(tmp_path / "bundle", prepared)
    facts = bundle.facts | {"refreshed": {"popularity_factors": [1.0, 8.0]}}
    served = replace(bundle, facts=facts)
    factors = np.where(np.arange(7) == 0, 1, 8).astype(np.float32)
    tensors = replace(served.tensors, popularity_weight=bundle.tensors.popularity_weight * factors)
    served = replace(served, tensors=tensors)
    assert_array_equal(recount(served, prepared).bundle.tensors.popularity_weight, bundle.tensors.popularity_weight)
    once, twice = freshened(bundle, prepared), freshened(served, prepared)
    assert_array_equal(once.factors, twice.factors)
    assert_array_equal(once.bundle.tensors.popularity_weight, twice.bundle.tensors.popularity_weight)


def test_the_manifest_says_it(tmp_path):
    prepared = data(tmp_path / "prepared", newest(NEW))
    path = write_counted_bundle(
        tmp_path / "bundle", prepared, sparse_weight=0, popularity_weight=0.02, popularity_half_life=1.0
    )
    write_recounted(path, prepared, tmp_path / "out")
    made = load_bundle(tmp_path / "out")
    factors = made.facts["refreshed"]["popularity_factors"]
    assert factors[1] > 1
    np.testing.assert_allclose(made.tensors.popularity_weight[1:], 0.02 * factors[1], rtol=1e-6)
