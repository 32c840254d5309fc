"""Altered texts: what each setting does to a text, and what it refuses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation import PlainTexts
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import encode_texts, load_language_model
from longtail.modeling.techniques.attribute_dropout import without_attributes
from longtail.modeling.techniques.text_augmentation import AlteredTexts, Wordings

CPU = torch.device("cpu")
TEXTS = ["red lip | brand: eye, tone: blue | soft cream", "nail oil", "soap"]
ATTRIBUTES = [["brand: eye", "tone: blue"], [], []]


def wordings(
    near: dict[str, list[str]] | None = None, paraphrases: dict[int, list[str]] | None = None, **settings: Any
) -> Wordings:
    return Wordings(TEXTS, ATTRIBUTES, paraphrases or {}, near or {}, AdaptationSettings.model_validate(settings))


def seen(one: Wordings, item: int, draws: int = 400) -> list[str]:
    rng = np.random.default_rng(0)
    return [one.altered(item, rng) for _ in range(draws)]


def test_nothing_is_altered_unless_asked_for() -> None:
    data = cast(
        PreparedDataset, SimpleNamespace(item_texts=TEXTS, item_attributes=ATTRIBUTES, item_ids=["a", "b", "c"])
    )
    assert Wordings.of(data, cast(Any, None), AdaptationSettings()) is None
    assert set(seen(wordings(), 0, 20)) == {TEXTS[0]}


def test_the_share_of_words_is_left_out_but_never_all() -> None:
    found = seen(wordings(word_dropout=0.4), 1)
    assert set(found) == {"nail oil", "nail", "oil"}
    assert found.count("nail oil") / len(found) == pytest.approx(0.36, abs=0.08)
    assert set(seen(wordings(word_dropout=0.9), 2)) == {"soap"}


def test_attributes_alone_are_left_out() -> None:
    found = seen(wordings(attribute_dropout=0.5), 0)
    assert set(found) == {
        TEXTS[0],
        "red lip | brand: eye | soft cream",
        "red lip | tone: blue | soft cream",
        "red lip | soft cream",
    }
    assert set(seen(wordings(attribute_dropout=1.0), 0, 10)) == {"red lip | soft cream"}
    assert set(seen(wordings(attribute_dropout=1.0), 1, 10)) == {"nail oil"}
    assert without_attributes("a, b", ["a", "b"], np.array([False, True])) == "b"


def test_the_share_of_words_is_replaced_by_near_ones() -> None:
    found = seen(wordings(near={"nail": ["lip", "hair"]}, synonym_share=0.5), 1)
    assert set(found) == {"nail oil", "lip oil", "hair oil"}
    assert found.count("nail oil") / len(found) == pytest.approx(0.5, abs=0.08)


def test_paraphrases_stand_in_as_often_as_the_text_itself() -> None:
    found = seen(wordings(paraphrases={1: ["x y", "z"]}), 1)
    assert set(found) == {"nail oil", "x y", "z"}
    assert found.count("nail oil") / len(found) == pytest.approx(1 / 3, abs=0.08)
    assert set(seen(wordings(paraphrases={1: ["x y"]}), 2, 10)) == {"soap"}


def test_attribute_dropout_without_attributes_is_refused() -> None:
    data = cast(PreparedDataset, SimpleNamespace(item_texts=["soap"], item_attributes=[[]], item_ids=["a"]))
    with pytest.raises(UserError, match=r"attribute_dropout: is 0\.3, but no item has attributes"):
        Wordings.of(data, cast(Any, None), AdaptationSettings(attribute_dropout=0.3))


def test_batches_of_unaltered_wordings_equal_the_cached_ones(tiny_encoder: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    rng, items = np.random.default_rng(0), np.array([2, 0])
    altered = AlteredTexts(wordings(), model, 1, CPU, False)
    states, mask, vectors = altered.batch(items, rng)
    expected, expected_mask, expected_vectors = PlainTexts(cached, frozen).batch(items, rng)
    assert len(altered) == 3 and torch.equal(mask, expected_mask)
    assert torch.allclose((states * mask[..., None]).float(), expected.float(), atol=1e-2)
    assert torch.allclose(vectors, expected_vectors, atol=1e-5)
    dropped, _, _ = AlteredTexts(wordings(attribute_dropout=1.0), model, 1, CPU, False).batch(np.array([0]), rng)
    assert dropped.shape[1] < states.shape[1]
