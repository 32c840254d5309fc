"""Altered texts for the adaptation: an item's text is seen in another wording in every batch, in place of its own."""

import gzip
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import LanguageModel, encode_batch
from longtail.tables import sources

WORD = re.compile(r"[^\W\d_]+")  # letters only: another number is another item
NEAR_WORDS = 5


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
        text = self.texts[item]
        if others := self.paraphrases.get(item):
            text = [text, *others][rng.integers(1 + len(others))]
        if self.settings.attribute_dropout and self.attributes[item]:
            keep = rng.random(len(self.attributes[item])) >= self.settings.attribute_dropout
            text = without_attributes(text, self.attributes[item], keep)
        if self.settings.word_dropout:
            words = text.split()
            drawn = rng.random(len(words))
            kept = [word for word, draw in zip(words, drawn, strict=True) if draw >= self.settings.word_dropout]
            text = " ".join(kept or words[:1])
        if self.settings.synonym_share:
            text = WORD.sub(lambda found: self._near(found.group(), rng), text)
        return text

    def _near(self, word: str, rng: np.random.Generator) -> str:
        others = self.near.get(word)
        if not others or rng.random() >= self.settings.synonym_share:
            return word
        return others[rng.integers(len(others))]


def without_attributes(text: str, attributes: Sequence[str], keep: NDArray[np.bool_]) -> str:
    """The text (``title | attribute, attribute | description``) with only some of its attributes."""
    kept = ", ".join(attribute for attribute, stays in zip(attributes, keep, strict=True) if stays)
    parts = text.split(" | ")
    block = ", ".join(attributes)
    return " | ".join(part for part in (kept if part == block else part for part in parts) if part)


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


def read_paraphrases(uri: str, item_ids: Sequence[str]) -> dict[int, list[str]]:
    """Item code -> its paraphrases, from Parquet or JSON Lines with the columns item_id and text.

    Raises:
        UserError: where the file is missing or of another layout, or names an item that the data set does not hold.
    """
    name = "finetune.adaptation.paraphrases"
    code_of = {item_id: code for code, item_id in enumerate(item_ids)}
    found: dict[int, list[str]] = {}
    try:
        source = sources.find(uri)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    if source.format not in ("parquet", "jsonl"):
        raise UserError(f"{name}: {uri} is no Parquet or JSON Lines; give one with the columns item_id and text")
    unknown: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for file in sources.fetch(source, Path(folder)).files:
            rows = _parquet_rows(file) if source.format == "parquet" else _json_rows(file)
            for number, row in enumerate(rows, start=1):
                item_id, text = row.get("item_id"), row.get("text")
                if item_id is None or not isinstance(text, str) or not text.strip():
                    raise UserError(f"{name}: {file} row {number}: item_id or text is missing; give both in every row")
                if str(item_id) in code_of:
                    found.setdefault(code_of[str(item_id)], []).append(text)
                else:
                    unknown.append(str(item_id))
    if unknown:
        raise UserError(
            f"{name}: {uri} names {len(set(unknown))} items that the data set does not hold, first {unknown[0]!r}; take "
            "them out"
        )
    return found


def _parquet_rows(file: str) -> list[dict[str, Any]]:
    try:
        return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UserError(
            f"finetune.adaptation.paraphrases: {file} is no Parquet file ({error}); write it again"
        ) from None


def _json_rows(file: str) -> list[dict[str, Any]]:
    rows = []
    with (
        gzip.open(file, "rt", encoding="utf-8") if file.endswith(".gz") else Path(file).open(encoding="utf-8") as lines
    ):
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"finetune.adaptation.paraphrases: {file} row {number} is not JSON ({error}); mend it"
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    f"finetune.adaptation.paraphrases: {file} row {number} is no object; give item_id and text"
                )
            rows.append(row)
    return rows
