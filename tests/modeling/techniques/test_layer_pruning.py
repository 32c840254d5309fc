"""The lowest layers of a language model, against the states that the whole model has there."""

import numpy as np
import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.modeling.language_model import encode_texts, load_language_model
from longtail.modeling.techniques.layer_pruning import keep_lowest_layers

TEXTS = ["red lip", "soft hair brush kit"]


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_pruned_model_answers_with_its_lower_layers(kind, request):
    path = str(request.getfixturevalue(kind))
    whole, pruned = (load_language_model(path, "mean", 16) for _ in range(2))
    ids, mask = whole.tokenize(TEXTS)
    states = whole.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    keep_lowest_layers(pruned, 2)
    assert len(pruned.layers) == 2
    found = pruned.model(input_ids=ids, attention_mask=mask).last_hidden_state
    expected = states[2] if kind == "tiny_encoder" else whole.model.ln_f(states[2])  # GPT-2's final norm stays
    assert torch.allclose(found, expected, atol=1e-5)


def test_no_pruning_changes_nothing(tiny_encoder):
    whole, kept = (load_language_model(str(tiny_encoder), "mean", 16) for _ in range(2))
    keep_lowest_layers(kept, 0)
    one, other = (encode_texts(model, TEXTS, torch.device("cpu"), False, 0)[0] for model in (whole, kept))
    assert np.array_equal(one, other)


def test_more_layers_than_there_are_is_one_clear_error(tiny_encoder):
    model = load_language_model(str(tiny_encoder), "mean", 16)
    with pytest.raises(UserError, match=r"language_model_layers: is 4, but the language model has 3 layers"):
        keep_lowest_layers(model, 4)
