"""A bundle counted again: by hand, and against what training makes of the same events."""

from dataclasses import replace

import numpy as np
import pytest
from helpers_bundle import write_tiny_bundle
from helpers_counted import term_by, term_of, write_counted_bundle
from helpers_prepared import write_tiny_prepared
from safetensors.numpy import load_file

from longtail.contracts.artifacts import MANIFEST, sha256
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.item_to_item import Mixture
from longtail.neighbours.recounting import recount, write_recounted
from longtail.neighbours.traits import TraitTerm, vocabulary
from longtail.scoring.bundle import LIKENESS, load_bundle
from longtail.scoring.int8 import Int8Rows

TRAIN, VALIDATION, TEST = Split
FOLLOWING = Mixture((0, 1, 0, 0), decay=0.5, neighbours=3)


def events(*items):
    """A user's events in order; the last two validate and test."""
    splits = [TRAIN] * (len(items) - 2) + [VALIDATION, TEST]
    return [(item, 2_000_000 * place, split) for place, (item, split) in enumerate(zip(items, splits))]


@pytest.fixture
def four(tmp_path):
    """Two users and four items, of which training saw 0, 1 and 0."""
    users = [events(0, 1, 2, 3), events(0, 2, 3)]
    return PreparedDataset(write_tiny_prepared(tmp_path / "prepared", users, n_items=4))


@pytest.fixture
def data(tmp_path):
    return PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))


def same_rows(one, other):
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("data", "indices", "indptr"))


def test_all_events_are_counted_by_hand(four, tmp_path):
    measured = write_counted_bundle(tmp_path / "bundle", four, term_by(four, FOLLOWING))
    assert write_recounted(measured, four, tmp_path / "out") == 7
    made = load_bundle(tmp_path / "out")
    # events of the followers: 0, 1, 2, 3 have 2, 1, 2, 2; a step more is .8
    often = 2**-0.25
    rows = np.array(
        [
            [0, 1, (0.8 + 1) * often, (0.64 + 0.8) * often],
            [0, 0, often, 0.8 * often],
            [0, 0, 0, 2 * often],
            [0, 0, 0, 0],
        ]
    )
    expected = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    assert made.tensors.neighbours.toarray() == pytest.approx(expected, abs=1e-6)
    assert made.train_counts.tolist() == [2, 1, 2, 2]
    logs = np.log([3, 2, 3, 3])
    assert made.tensors.log_popularity == pytest.approx((logs - logs.mean()) / logs.std(), abs=1e-6)
    assert made.facts["refreshed"] == {
        "mode": "refresh",
        "from": sha256(measured / MANIFEST),
        "events": 7,
        "until": 6,
        "popularity_factors": [1.0, 1.0],
    }
    assert made.facts["data_until"] == 6
    assert made.facts["train_digest"] != load_bundle(measured).facts["train_digest"]


def test_what_training_gave_stays(data, tmp_path):
    measured = write_counted_bundle(tmp_path / "bundle", data)
    write_recounted(measured, data, tmp_path / "out")
    before, after = (load_file(path / "tensors.safetensors") for path in (measured, tmp_path / "out"))
    changed = {name for name, values in before.items() if not np.array_equal(values, after[name])}
    assert changed <= {"log_popularity", "neighbours.data", "neighbours.indices", "neighbours.indptr"}
    assert {"log_popularity", "neighbours.data"} <= changed
    encoder = "sequence_encoder.onnx"
    assert (measured / encoder).read_bytes() == (tmp_path / "out" / encoder).read_bytes()
    old, new = load_bundle(measured), load_bundle(tmp_path / "out")
    assert (new.item_ids, new.titles, new.attributes) == (old.item_ids, old.titles, old.attributes)


@pytest.mark.parametrize(
    ("width", "settings"),
    [
        (4, {}),
        (0, {}),
        (4, {"lexical": False}),
        (4, {"cooccurrence": False}),
        (0, {"cooccurrence": False, "lexical": False}),
    ],
)
def test_the_same_events_give_the_same_to_the_last_bit(data, tmp_path, width, settings):
    term = term_of(data, width, **settings)
    loaded = load_bundle(write_counted_bundle(tmp_path / "bundle", data, term))
    made = recount(loaded, data)
    assert same_rows(made.bundle.tensors.neighbours, term.neighbours)
    assert np.array_equal(made.bundle.tensors.log_popularity, loaded.tensors.log_popularity)
    assert np.array_equal(made.bundle.train_counts, loaded.train_counts)
    made.term.likeness.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (loaded.path / LIKENESS).read_bytes()


def test_all_events_give_what_training_on_all_events_gives(data, tmp_path):
    """The mixture is that of the training events; all else is as if nothing had been held back."""
    everything = data.learnt_until(Split.TEST)
    bundle = write_counted_bundle(tmp_path / "bundle", data)
    write_recounted(bundle, data, tmp_path / "out")
    made = load_bundle(tmp_path / "out")
    trained = load_bundle(write_counted_bundle(tmp_path / "trained", everything, term_of(data)))
    again = recount(trained, everything)
    assert same_rows(made.tensors.neighbours, again.bundle.tensors.neighbours)
    assert np.array_equal(made.tensors.log_popularity, trained.tensors.log_popularity)
    assert np.array_equal(made.train_counts, np.bincount(data.item_codes, minlength=30))


def test_a_second_time_names_the_bundle_that_was_measured(data, tmp_path):
    measured = write_counted_bundle(tmp_path / "bundle", data)
    digest = sha256(measured / MANIFEST)
    write_recounted(measured, data, measured)
    first = load_file(measured / "tensors.safetensors")
    write_recounted(measured, data, tmp_path / "out")
    assert load_bundle(tmp_path / "out").facts["refreshed"]["from"] == digest
    assert all(np.array_equal(load_file(tmp_path / "out/tensors.safetensors")[name], first[name]) for name in first)


def test_items_that_the_bundle_does_not_know_are_left_out(data, tmp_path):
    """Their events are as if they had not been, and another order of codes is no other item."""
    more = tmp_path / "more"
    users = [events(31, 0, 30, 1, 2)]
    grown = PreparedDataset(write_tiny_prepared(more, users, n_items=32)).learnt_until(Split.TEST)
    known = PreparedDataset(write_tiny_prepared(tmp_path / "known", [events(0, 1, 2)])).learnt_until(Split.TEST)
    loaded = load_bundle(write_counted_bundle(tmp_path / "bundle", data))
    one, other = recount(loaded, grown), recount(loaded, known)
    assert same_rows(one.bundle.tensors.neighbours, other.bundle.tensors.neighbours)
    assert one.bundle.train_counts[:4].tolist() == [1, 1, 1, 0]


def test_compression_stays(data, tmp_path):
    bundle = write_counted_bundle(tmp_path / "bundle", data, int8=True, keep_neighbours=2)
    write_recounted(bundle, data, tmp_path / "out")
    old, new = load_bundle(bundle).tensors, load_bundle(tmp_path / "out").tensors
    assert isinstance(new.item_matrix, Int8Rows)
    assert np.array_equal(new.item_matrix.codes, old.item_matrix.codes)
    assert np.diff(new.neighbours.indptr).max() == 2 < np.diff(old.neighbours.indptr).max()


def test_a_bundle_of_an_earlier_version_is_to_be_trained_again(data, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with pytest.raises(UserError, match=r"bundle: is of an earlier version .* train it again"):
        write_recounted(bundle, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_attributes_are_counted_again_where_the_events_know_them(data, tmp_path):
    weights = {"gender": 0.5}
    known = {"trait_columns": weights, "popularity_half_life": None}
    loaded = load_bundle(write_counted_bundle(tmp_path / "bundle", data, **known))
    everything = data.learnt_until(Split.TEST)
    made = recount(replace(loaded, attributes=vocabulary(data)), everything).bundle.tensors
    expected = TraitTerm.counted(everything, vocabulary(data)).weighed(weights)
    assert np.array_equal(made.traits.toarray(), expected.matrix.toarray())
    assert np.array_equal(made.trait_base, expected.base)


def test_attributes_stay_as_they_are_where_the_events_do_not_know_them(data, tmp_path):
    loaded = load_bundle(write_counted_bundle(tmp_path / "bundle", data, trait_columns={"gender": 0.5}))
    nobody = PreparedDataset(write_tiny_prepared(tmp_path / "nobody", user_attributes=[]))
    made = recount(loaded, nobody).bundle.tensors
    assert made.traits is loaded.tensors.traits and made.trait_base is loaded.tensors.trait_base


def test_popularity_is_counted_again_with_its_half_life(tmp_path):
    day = 86_400_000_000
    users = [[(0, 0, TRAIN), (0, 0, TRAIN), (1, 100 * day, TRAIN), (2, 101 * day, VALIDATION), (3, 110 * day, TEST)]]
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "prepared", users, n_items=4))
    loaded = load_bundle(write_counted_bundle(tmp_path / "bundle", prepared, popularity_half_life=10.0))
    made = recount(loaded, prepared.learnt_until(Split.TEST)).bundle.tensors.log_popularity
    logs = np.log1p([2 * 0.5**11, 0.5, 0.5**0.9, 1.0])
    assert made == pytest.approx((logs - logs.mean()) / logs.std(), abs=1e-6)
