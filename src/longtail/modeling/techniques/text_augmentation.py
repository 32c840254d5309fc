"""Altered texts for the adaptation: an item's text is seen in another wording in every batch, in place of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import LanguageModel, encode_batch
from longtail.modeling.techniques.attribute_dropout import drop_attributes
from longtail.modeling.techniques.paraphrases import one_wording, read_paraphrases
from longtail.modeling.techniques.synonyms import near_words, replace_words
from longtail.modeling.techniques.word_dropout import drop_words


@dataclass
class Wordings:
    """How an item's text may be altered. Lists are in the order of the items."""

    texts: Sequence[str]
    attributes: Sequence[Sequence[str]]
    paraphrases: dict[int, list[str]]  # item code -> further texts
    near: dict[str, list[str]]  # word -> words that may replace it
    settings: AdaptationSettings

    @classmethod
    def of(
        cls, data: PreparedDataset, language_model: LanguageModel, settings: AdaptationSettings
    ) -> "Wordings | None":
        """None where no setting asks for altered texts.

        Raises:
            UserError: where a setting cannot act on this catalogue, or the paraphrases do not fit it.
        """
        chosen = settings.word_dropout or settings.attribute_dropout or settings.synonym_share or settings.paraphrases
        if not chosen:
            return None
        if settings.attribute_dropout and not any(data.item_attributes):
            raise UserError(
                f"finetune.adaptation.attribute_dropout: is {settings.attribute_dropout}, but no item has attributes; set it to 0"
            )
        paraphrases = read_paraphrases(settings.paraphrases, data.item_ids) if settings.paraphrases else {}
        near = near_words(language_model, data.item_texts) if settings.synonym_share else {}
        return cls(data.item_texts, data.item_attributes, paraphrases, near, settings)

    def altered(self, item: int, rng: np.random.Generator) -> str:
        """One wording of the item: its text or a paraphrase at random, less attributes and words, with near words."""
        settings = self.settings
        text = one_wording(self.texts[item], self.paraphrases.get(item, ()), rng)
        if settings.attribute_dropout:
            text = drop_attributes(text, self.attributes[item], settings.attribute_dropout, rng)
        if settings.word_dropout:
            text = drop_words(text, settings.word_dropout, rng)
        if settings.synonym_share:
            text = replace_words(text, self.near, settings.synonym_share, rng)
        return text


@dataclass
class AlteredTexts:
    """Batches of altered texts (``adaptation.TextBatches``). They are not cached: each is read by all layers, which costs
    about as much as the step itself; the vector before adaptation, for the anchor, comes with it."""

    wordings: Wordings
    language_model: LanguageModel
    first: int  # of the adapted layers
    device: torch.device
    bf16: bool

    def __len__(self) -> int:
        return len(self.wordings.texts)

    def batch(self, items: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        texts = [self.wordings.altered(int(item), rng) for item in items]
        ids, mask = (tensor.to(self.device) for tensor in self.language_model.tokenize(texts))
        vectors, states = encode_batch(self.language_model, ids, mask, self.bf16, self.first)
        return states, mask, vectors
