"""Items added in memory, against a bundle that was written with them, and against one whose training knew them."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_language_model import WORDS
from helpers_prepared import leave_last_out
from helpers_trained import train_tiny
from scipy import sparse

from longtail.contracts.errors import UserError
from longtail.neighbours.added_items import with_added
from longtail.neighbours.new_items import add_items
from longtail.scoring.added import AddedItem
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import OfTexts, load_bundle
from longtail.scoring.exploring import Explore
from longtail.scoring.recommender import Recommender
from longtail.scoring.scorer import Scorer

RED = {"e": AddedItem(title="red", attributes=("lamp",))}  # its text is "red | lamp", its vector (.6, .8), as that of c
NEW = 4  # its code
SMALL = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 2}


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(write_hand_bundle(tmp_path / "bundle"))


def grown(bundle, added=RED):
    return with_added(bundle, added, Scorer(bundle))


def test_it_is_what_add_items_writes_but_for_its_popularity(bundle, tmp_path):
    rows = {"item_id": ["e"], "title": ["red"], "attributes": [["lamp"]], "text": ["red | lamp"]}
    add_items(bundle.path, pa.table(rows), tmp_path / "out")
    written, added = load_bundle(tmp_path / "out"), grown(bundle)
    assert (added.item_ids, added.titles, added.item_attributes) == (
        written.item_ids,
        written.titles,
        written.item_attributes,
    )
    assert added.train_counts.tolist() == written.train_counts.tolist() == [9, 5, 1, 0, 0]
    for name, value in vars(written.tensors).items():
        mine = getattr(added.tensors, name)
        if name == "log_popularity":
            assert mine.tolist() == [1, 0.5, -0.5, -1, -1]  # d is one that nobody has chosen
        elif sparse.issparse(value):
            assert mine.toarray() == pytest.approx(value.toarray())
        else:
            assert np.asarray(mine) == pytest.approx(np.asarray(value))
    ours, theirs = added.read_of_texts(), written.read_of_texts()
    assert ours.texts == theirs.texts
    assert ours.frozen == pytest.approx(theirs.frozen, abs=1e-3)  # files hold 16 bits
    assert ours.likeness.arrays()["word_row"] == pytest.approx(theirs.likeness.arrays()["word_row"])


def test_where_everybody_has_been_chosen_its_popularity_is_that_of_none(bundle):
    """Of a catalogue whose popularity is 2 log(1 + count) - 3."""
    counts = np.array([1, 3, 7, 15])
    known = replace(bundle.tensors, log_popularity=(2 * np.log1p(counts) - 3).astype(np.float32))
    after = grown(replace(bundle, tensors=known, train_counts=counts))
    assert after.tensors.log_popularity[NEW] == pytest.approx(-3, abs=1e-4)


def test_it_is_answered_with_like_any_other(bundle):
    recommender = Recommender(grown(bundle))
    answer = lambda **asked: recommender.answers([Asked(**asked)])[0]  # noqa: E731
    (item,) = answer(candidates=["e"]).items
    assert (item.item_id, item.title, item.reason) == ("e", "red", "nobody has chosen it yet")
    assert answer(candidates=["e"]).changed_by_shop and not answer(k=1).changed_by_shop
    (item,) = answer(history=["a"], candidates=["e"]).items  # a's text is the same two words
    assert (item.reason, item.about) == ("because of Red lamp in your history", "a")
    assert [item.item_id for item in answer(filters=Filters(all=["lamp"])).items] == ["e"]
    found = answer(history=["e"], k=4)
    assert found.unknown_items == [] and found.items[0].item_id == "a"
    assert {item.item_id for item in answer(similar_to=["e"]).items} == set("abcd")
    assert "e" in [item.item_id for item in answer(similar_to=["c"], k=2).items]  # the vectors are the same
    drawn = answer(explore=Explore(epsilon=1.0, new_items=True), k=2).items
    assert {item.item_id for item in drawn} == {"d", "e"}
    (best, _) = answer(interests="red lamp", k=2).items
    assert best.item_id in "ae"


def test_numbers_serve_filters(tmp_path):
    bundle = load_bundle(
        write_hand_bundle(tmp_path / "bundle", numbers={"price": [1, 2, None, 9], "size": [1, 1, 1, 1]})
    )
    after = grown(bundle, {"e": AddedItem(title="red", numbers={"price": 9.5}), "f": AddedItem(title="lamp")})
    assert after.numbers[NEW:] == pytest.approx(np.array([[9.5, np.nan], [np.nan, np.nan]]), nan_ok=True)
    found = Recommender(after).recommend(filters=Filters(ranges={"price": (5, None)}))
    assert {item.item_id for item in found.items} == {"d", "e"}
    with pytest.raises(UserError, match=r"^added\.e\.numbers: items have no number 'weight'; known: price, size$"):
        grown(bundle, {"e": AddedItem(title="red", numbers={"weight": 1})})


def test_what_the_bundle_holds_by_now_is_left_aside(bundle, caplog):
    held = AddedItem(title="Another")
    assert grown(bundle, {"a": held}) is bundle
    after = grown(bundle, {"a": held, **RED})
    assert after.item_ids == ["a", "b", "c", "d", "e"] and after.titles[0] == "Red lamp"
    assert "1 added items are left aside, as the bundle holds them itself by now: a;" in caplog.text


def test_without_a_text_encoder_nothing_can_be_known(tmp_path):
    bundle = load_bundle(write_hand_bundle(tmp_path / "bundle", text=False))
    with pytest.raises(
        UserError, match="holds no text encoder, so nothing can be known of new items; leave them out, or"
    ):
        grown(bundle)
    assert grown(bundle, {"a": RED["e"]}) is bundle  # there is nothing to be known


def test_how_far_it_is_read_is_logged(bundle, caplog):
    with caplog.at_level(logging.INFO):
        grown(bundle, {f"e{number}": AddedItem(title="red") for number in range(600)})
    assert "read the texts of 512 of 600 new items" in caplog.text
    assert "added 600 items by their texts" in caplog.text


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path):
    """A bundle whose training had i029 in its catalogue, which nobody chose."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    users = [leave_last_out(rng.permutation(29)[: rng.integers(2, 14)].tolist()) for _ in range(120)]
    train_tiny(folder, tiny_encoder, SMALL, users, WORDS)
    return load_bundle(folder / "bundle")


def without(bundle, code):
    """The bundle as though an item had never been in it."""
    kept = np.delete(np.arange(len(bundle.item_ids)), code)
    old, known, pick = bundle.tensors, bundle.read_of_texts(), lambda rows: [rows[place] for place in kept]
    likeness = replace(
        known.likeness,
        **{name: getattr(known.likeness, name)[kept] for name in ("text_vectors", "word_row", "text_row")},
    )
    tensors = replace(
        old,
        neighbours=sparse.csr_array(old.neighbours[kept][:, kept]),
        traits=sparse.csr_array(old.traits[:, kept]),
        **{name: getattr(old, name)[kept] for name in ("item_matrix", "log_popularity", "trait_base")},
    )
    return replace(
        bundle,
        tensors=tensors,
        train_counts=bundle.train_counts[kept],
        numbers=bundle.numbers[kept] if len(bundle.numbers) else bundle.numbers,
        of_texts=OfTexts(pick(known.texts), known.frozen[kept], likeness),
        **{name: pick(getattr(bundle, name)) for name in ("item_ids", "titles", "item_attributes")},
    )


@pytest.mark.slow
def test_it_stands_where_it_would_had_training_known_it(trained):
    last = 29
    said = AddedItem(title="bright kit", attributes=("bright", "soft"), text="hair")
    assert (said.words, trained.train_counts[last]) == (trained.read_of_texts().texts[last], 0)
    added = with_added(without(trained, last), {trained.item_ids[last]: said}, Scorer(trained))
    then, now = trained.tensors, added.tensors
    assert now.log_popularity[last] == pytest.approx(then.log_popularity[last], abs=1e-3)
    assert now.neighbours.toarray() == pytest.approx(then.neighbours.toarray(), abs=2e-3)  # its row, and its column
    assert now.item_matrix[last] @ then.item_matrix[last] > 0.95  # training knew that nobody chose it
    same = replace(added, tensors=replace(now, item_matrix=then.item_matrix))  # all else but the vector
    one, two, other = (Recommender(bundle) for bundle in (trained, same, added))
    for history in (["i014"], ["i028"], ["i007", "i022"], ["i003"], []):
        scores = [asked.scorer.score([asked.query(Asked(history))])[0] for asked in (one, two, other)]
        assert scores[0] == pytest.approx(scores[1], abs=0.02)
        then_at, now_at = ((row > row[last]).sum() for row in (scores[0], scores[2]))
        assert now_at <= then_at + 2, history  # training learns to give what nobody chose to nobody; its text does not


def test_what_a_policy_learnt_of_items_stays_and_of_new_ones_it_learnt_nothing(bundle, tmp_path):
    offset = np.array([0.5, 0, -0.25, 1], dtype=np.float32)
    learnt = replace(bundle, tensors=replace(bundle.tensors, item_offset=offset))
    found = grown(learnt)
    assert found.tensors.item_offset.tolist() == [0.5, 0, -0.25, 1, 0]
    for asked in (Asked(), Asked(history=["a"])):
        plain = {item.item_id: item.score for item in Recommender(grown(bundle), threads=1).answers([asked])[0].items}
        lifted = {item.item_id: item.score for item in Recommender(found, threads=1).answers([asked])[0].items}
        for code, item in enumerate("abcde"):
            if item in plain:
                assert lifted[item] - plain[item] == pytest.approx(found.tensors.item_offset[code], abs=1e-6)
