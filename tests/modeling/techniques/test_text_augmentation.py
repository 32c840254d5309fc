"""Altered texts: what each setting does to a text, and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation import PlainTexts
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import encode_texts, load_language_model
from longtail.modeling.techniques.text_augmentation import (
    AlteredTexts,
    Wordings,
    near_words,
    read_paraphrases,
    without_attributes,
)

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


def test_near_words_are_those_of_the_catalogue_with_the_nearest_embeddings(tiny_encoder: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    table = cast(Any, model.model).get_input_embeddings().weight
    code = {word: model.tokenizer.convert_tokens_to_ids(word) for word in ("red", "blue", "soap", "lip")}
    with torch.no_grad():
        table[code["red"]] = torch.eye(32)[0]
        table[code["blue"]] = torch.eye(32)[0] * 3 + torch.eye(32)[1]
        table[code["soap"]] = -torch.eye(32)[0]
        table[code["lip"]] = torch.eye(32)[0]  # not a word of the catalogue
    near = near_words(model, ["red 12 soap", "blue unheard"], count=1)
    assert near == {"red": ["blue"], "blue": ["red"], "soap": ["blue"]}
    with pytest.raises(UserError, match=r"synonym_share: fewer than two words"):
        near_words(model, ["red 12", "unheard"])


def test_paraphrases_from_parquet_and_json_lines(tmp_path: Path) -> None:
    rows = [{"item_id": "b", "text": "one"}, {"item_id": "7", "text": "two"}, {"item_id": "b", "text": "three"}]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.parquet"):
        assert read_paraphrases(str(tmp_path / name), ["7", "b", "c"]) == {1: ["one", "three"], 0: ["two"]}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("p.jsonl", '{"item_id": "zz", "text": "x"}\n{"item_id": "a", "text": "x"}', r"names 1 items .* first 'zz'"),
        ("p.jsonl", '{"item_id": "a"}', r"row 1: item_id or text is missing"),
        ("p.jsonl", '{"item_id": "a", "text": "x"}\n{', r"row 2 is not JSON"),
        ("p.jsonl", "3", r"row 1 is no object"),
        ("p.csv", "item_id,text\na,x", r"is no Parquet or JSON Lines"),
        ("p.parquet", "no", r"is no Parquet file"),
        (None, "", r"no such file"),
    ],
)
def test_faults_in_paraphrases_are_one_clear_error(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_paraphrases(str(tmp_path / (name or "absent.jsonl")), ["a", "b"])
    assert str(caught.value).startswith("finetune.adaptation.paraphrases")


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
