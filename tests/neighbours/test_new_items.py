"""New items of the bundle in helpers_hand_bundle, computed by hand."""

import json
import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from helpers_hand_bundle import ITEMS, TEXTS, A, B, C, D, likeness, neighbours, write_hand_bundle
from sklearn.feature_extraction.text import TfidfVectorizer

from longtail.contracts.artifacts import BUNDLE, MANIFEST, sha256, write_artifact
from longtail.contracts.errors import UserError
from longtail.neighbours.new_items import Added, add_items
from longtail.scoring.asked import Filters
from longtail.scoring.bundle import ENCODERS, LIKENESS, copy_files, items_table, load_bundle
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.query import Query
from longtail.scoring.recommender import Recommender
from longtail.scoring.scorer import Scorer

NEW = 4  # code of the first new item


def table(*rows):
    names = ("item_id", "title", "attributes", "text")
    kinds = (pa.string(), pa.string(), pa.list_(pa.string()), pa.string())
    return pa.table({name: pa.array([row[i] for row in rows], kinds[i]) for i, name in enumerate(names)})


RED = ("e", "Lamp in red", ["y"], "red lamp")  # its vector is (.6, .8), as that of c


@pytest.fixture
def bundle(tmp_path):
    return write_hand_bundle(tmp_path / "bundle")


def query(*history):
    return Query(np.array(history, dtype=np.int32))


def test_a_new_item_is_its_text(bundle, tmp_path):
    assert add_items(bundle, table(RED), tmp_path / "out") == Added(new=1, replaced=0, unchanged=0)
    after = load_bundle(tmp_path / "out")
    assert after.item_ids == ["a", "b", "c", "d", "e"]
    assert (after.titles[NEW], after.item_attributes[NEW], after.train_counts[NEW]) == ("Lamp in red", ["y"], 0)
    assert after.tensors.item_matrix[NEW] == pytest.approx([0.6, 0.8])
    assert after.tensors.log_popularity[NEW] == pytest.approx(0)  # median of 1, .5, -.5, -1


def test_its_neighbours_are_what_reads_alike(bundle, tmp_path):
    add_items(bundle, table(RED), tmp_path / "out")
    matrix = load_bundle(tmp_path / "out").tensors.neighbours.toarray()
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform([*TEXTS, "red lamp"])
    by_words = (words @ words.T).toarray()[NEW]  # a reads the same, c has the rarer of the two words
    assert by_words[A] == pytest.approx(1) and by_words[C] > by_words[B] > by_words[D] > 0
    by_texts = [1, 0.0625, 0.0625, 0.0625]  # cosines 1 and .5 ** .5, to the power 8
    expected = [
        0.5 * 1 + 0.25 * 1,
        0.25 * by_words[B] + 0.5 * by_texts[B],
        0 * by_words[C] + 1 * by_texts[C],
        0.1 * by_words[D] + 0 * by_texts[D],
    ]
    assert matrix[:NEW, NEW] == pytest.approx(expected, rel=5e-3)  # vectors are kept with 16 bits
    # its row holds two items, as the longest of the bundle, and each kind of likeness has the length of its share
    word_row, text_row = 0.4 / np.hypot(1, by_words[C]), 0.6 / np.hypot(1, 0.0625)
    row = [word_row + text_row, 0, word_row * by_words[C] + text_row * 0.0625, 0, 0]
    assert matrix[NEW] == pytest.approx(row, rel=5e-3)
    assert matrix[:NEW, :NEW] == pytest.approx(neighbours().toarray())


def test_what_is_less_than_all_of_a_full_row_does_not_come_into_it(bundle, tmp_path):
    weak = replace(likeness(), word_row=np.array([0.15, 0.1, 0, 0], np.float32), text_row=np.zeros(4, np.float32))
    loaded = load_bundle(bundle)
    with write_artifact(tmp_path / "weak", BUNDLE, loaded.facts) as folder:
        write_tables(folder, loaded.tensors, items_table(loaded), loaded.attributes)
        copy_files(bundle, folder, ENCODERS)
        weak.save(folder / LIKENESS)
    add_items(tmp_path / "weak", table(RED), tmp_path / "out")
    matrix = load_bundle(tmp_path / "out").tensors.neighbours.toarray()
    assert matrix[A, NEW] == 0  # .15, where a's row holds .8 and .2
    assert 0 < matrix[B, NEW] < 0.1  # b's row holds one item, so there is room


def test_scores_of_old_items_stay(bundle, tmp_path):
    add_items(bundle, table(RED, ("f", None, None, "red")), tmp_path / "out")
    before, after = Scorer(load_bundle(bundle)), Scorer(load_bundle(tmp_path / "out"))
    asked = [query(), query(A), query(A, B), query(C, D, A, B)]
    assert after.score(asked)[:, :NEW] == pytest.approx(before.score(asked), rel=1e-6)


def test_a_new_item_is_recommended_and_read_as_history(bundle, tmp_path):
    add_items(bundle, table(RED), tmp_path / "out")
    recommender = Recommender(load_bundle(tmp_path / "out"), threads=1)
    # history b: q = (.1, 1.2), bucket 1: e = .06 + .96 + 1 * what b's row has of it
    beside = recommender.bundle.tensors.neighbours[B, NEW]
    (found,) = [item for item in recommender.recommend(["b"], k=4).items if item.item_id == "e"]
    assert found.score == pytest.approx(1.02 + beside)
    assert found.reason == "because of Blue lamp in your history"
    (first,) = recommender.recommend(["e"], k=1).items
    assert (first.item_id, first.reason) == ("a", "because of Lamp in red in your history")


def test_a_new_item_is_found_by_what_it_is_asked_for(bundle, tmp_path):
    given = table(("e", "Green lampshade", [], "red lampshade"), ("a", "Red lamp", ["x"], "lamp"))
    add_items(bundle, given, tmp_path / "out", replace_known=True)
    scorer = Scorer(load_bundle(tmp_path / "out"))
    relevance = scorer.relevance("lampshade").direct
    assert len(relevance) == NEW + 1 and relevance.argmax() == NEW  # by its word
    by_meaning = scorer.relevance("red").direct
    assert by_meaning[NEW] > by_meaning[A]  # a's text is "lamp" now


def test_the_bundle_itself_may_be_replaced_and_again(bundle):
    first = sha256(bundle / MANIFEST)
    add_items(bundle, table(RED), bundle)
    second = sha256(bundle / MANIFEST)
    add_items(bundle, table(("f", "Red", [], "red")), bundle)
    assert load_bundle(bundle).item_ids == ["a", "b", "c", "d", "e", "f"]
    added = json.loads((bundle / MANIFEST).read_text())["facts"]["added_items"]
    assert added == [{"new": 1, "replaced": 0, "from_manifest": digest} for digest in (first, second)]


def test_an_item_that_is_there_alike_is_left_alone(bundle, tmp_path):
    assert add_items(bundle, table(("a", "Red lamp", ["x"], "red lamp"), RED), tmp_path / "out") == Added(1, 0, 1)
    assert load_bundle(tmp_path / "out").tensors.item_matrix[A].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("title", "attribute", "text"),
    [("Green lamp", "x", "red lamp"), ("Red lamp", "y", "red lamp"), ("Red lamp", "x", "lamp")],
)
def test_an_item_with_other_content_is_refused(bundle, tmp_path, title, attribute, text):
    with pytest.raises(
        UserError, match=r"1 items are in the catalogue .* other titles, attributes or texts: 'a'; .* --replace"
    ):
        add_items(bundle, table(("a", title, [attribute], text)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_replace_takes_the_item_out_and_in_by_its_text(bundle, tmp_path):
    given = table(("a", "Green lamp", ["z"], "lamp"), RED)
    assert add_items(bundle, given, tmp_path / "out", replace_known=True) == Added(new=1, replaced=1, unchanged=0)
    after = load_bundle(tmp_path / "out")
    assert (after.titles[A], after.item_attributes[A], after.train_counts[A]) == ("Green lamp", ["z"], 9)
    assert after.tensors.item_matrix[A] == pytest.approx([0, 1])  # "lamp" is (0, 2, 0), projected to (0, 8)
    assert after.tensors.item_matrix[NEW] == pytest.approx([0.6, 0.8])
    assert after.tensors.log_popularity[A] == 1
    matrix = after.tensors.neighbours.toarray()
    assert matrix[B, C] == pytest.approx(0.5)  # between items that stay
    assert matrix[A, B] == matrix[A].max() > 0.7  # they read the same now
    assert matrix[A, C] == matrix[C, A] == 0  # and have no word in common
    assert matrix[A, A] == matrix[NEW, NEW] == 0


def test_nobody_has_chosen_a_new_item_with_any_attribute_yet(bundle, tmp_path):
    given = table(("b", "Green lamp", ["z"], "lamp"), RED)
    add_items(bundle, given, tmp_path / "out", replace_known=True)
    after = load_bundle(tmp_path / "out").tensors
    assert after.traits.toarray().tolist() == [[0] * 5, [0, 0, 0, 3, 0]]  # b's 1 is given up
    assert after.trait_base.tolist() == [2, 0, 0, 0, 0]


def test_an_int8_bundle_stays_one(bundle, tmp_path):
    loaded = load_bundle(bundle)
    with write_artifact(tmp_path / "small", BUNDLE, dict(loaded.facts)) as folder:
        write_tables(
            folder, replace(loaded.tensors, item_matrix=Int8Rows.of(ITEMS)), items_table(loaded), loaded.attributes
        )
        copy_files(bundle, folder, (*ENCODERS, LIKENESS))
    add_items(tmp_path / "small", table(RED), tmp_path / "out")
    matrix = load_bundle(tmp_path / "out").tensors.item_matrix
    assert isinstance(matrix, Int8Rows)
    assert matrix[:] == pytest.approx(np.vstack([ITEMS, [0.6, 0.8]]), abs=0.004)


def test_numbers_that_the_model_reads_are_missed_loudly(bundle, tmp_path, caplog):
    loaded = load_bundle(bundle)
    with write_artifact(tmp_path / "numbers", BUNDLE, loaded.facts | {"numeric_names": ["price"]}) as folder:
        write_tables(folder, loaded.tensors, items_table(loaded), loaded.attributes)
        copy_files(bundle, folder, (*ENCODERS, LIKENESS))
    with caplog.at_level(logging.WARNING):
        add_items(tmp_path / "numbers", table(RED), tmp_path / "out")
    assert "reads numbers (price); a new item counts as average" in caplog.text


def test_a_bundle_without_text_encoder_cannot_take_new_items(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle", text=False)
    with pytest.raises(UserError, match="holds no text encoder"):
        add_items(bundle, table(RED), tmp_path / "out")


def test_a_new_item_has_no_number_to_be_filtered_by(tmp_path):
    bundle = write_hand_bundle(tmp_path / "numbers", numbers={"price": [5, 9, None, 7]})
    add_items(bundle, table(RED), tmp_path / "out")
    recommender = Recommender(load_bundle(tmp_path / "out"), threads=1)
    assert recommender.bundle.numbers[:, 0] == pytest.approx([5, 9, np.nan, 7, np.nan], nan_ok=True)
    found = recommender.recommend(k=5, filters=Filters(ranges={"price": (None, 8)}))
    assert sorted(item.item_id for item in found.items) == ["a", "d"]
