"""Fewer layers: the lowest ones of a pretrained language model.

The sequence encoder is pruned by distilling with fewer ``blocks``: the student starts from the teacher's lowest.
"""

from typing import Any, cast

from longtail.contracts.errors import UserError
from longtail.modeling.language_model import LanguageModel


def keep_lowest_layers(language_model: LanguageModel, count: int) -> None:
    """Drop the layers above the first ``count``, in place; 0 keeps all. What follows the layers (a final norm) stays.

    Raises:
        UserError: where the model has fewer layers.
    """
    layers = language_model.layers
    if count > len(layers):
        raise UserError(f"finetune.language_model_layers: is {count}, but the language model has {len(layers)} layers")
    if count == 0:
        return
    del layers[count:]
    config = cast(Any, language_model.model).config
    config.num_hidden_layers = count
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:count]
