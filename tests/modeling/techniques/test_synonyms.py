from pathlib import Path
from typing import Any, cast

import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.modeling.language_model import load_language_model
from longtail.modeling.techniques.synonyms import near_words


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
