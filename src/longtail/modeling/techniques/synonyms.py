"""Near-synonyms (after EDA, Wei & Zou 2019, EMNLP): words of a text give way to words of near token embedding."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from longtail.contracts.errors import UserError
from longtail.modeling.language_model import LanguageModel

WORD = re.compile(r"[^\W\d_]+")  # letters only: another number is another item
NEAR_WORDS = 5


def replace_words(text: str, near: Mapping[str, list[str]], share: float, rng: np.random.Generator) -> str:
    """The text with ``share`` of the words that have near ones replaced by one of them."""

    def replaced(word: str) -> str:
        others = near.get(word)
        if not others or rng.random() >= share:
            return word
        return others[rng.integers(len(others))]

    return WORD.sub(lambda found: replaced(found.group()), text)


def near_words(language_model: LanguageModel, texts: Sequence[str], count: int = NEAR_WORDS) -> dict[str, list[str]]:
    """For each word of the texts that is one token: the ``count`` other such words of nearest token embedding (cosine).

    Raises:
        UserError: where fewer than two words of the texts are single tokens.
    """
    words = sorted({word for text in texts for word in WORD.findall(text)})
    tokenizer: Any = language_model.tokenizer
    token_of: dict[str, int] = {}
    for form in (" {}", "{}"):  # byte-level vocabularies hold words with the space before them
        coded = tokenizer([form.format(word) for word in words], add_special_tokens=False)["input_ids"] if words else []
        for word, ids in zip(words, coded, strict=True):
            if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
                token_of.setdefault(word, ids[0])
    word_of: dict[int, str] = {}
    for word, token in token_of.items():
        word_of.setdefault(token, word)
    tokens = torch.tensor(list(word_of), dtype=torch.long)
    if len(tokens) < 2:
        raise UserError(
            "finetune.adaptation.synonym_share: fewer than two words of the catalogue are single tokens of the language model, so "
            "none can stand for another; set it to 0"
        )
    model: Any = language_model.model
    table = model.get_input_embeddings().weight.detach().float().cpu()
    embeddings = torch.nn.functional.normalize(table[tokens], dim=-1)
    near: dict[int, list[str]] = {}
    for begin in range(0, len(tokens), 1024):
        rows = torch.arange(begin, min(begin + 1024, len(tokens)))
        cosine = embeddings[rows] @ embeddings.T
        cosine[torch.arange(len(rows)), rows] = -2.0
        for row, best in zip(rows, cosine.topk(min(count, len(tokens) - 1)).indices, strict=True):
            near[int(tokens[row])] = [word_of[int(tokens[place])] for place in best]
    return {word: near[token] for word, token in token_of.items()}
