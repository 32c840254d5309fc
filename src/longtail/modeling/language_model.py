"""A pretrained language model as text encoder: loading, pooling, and the split into cached lower and adapted upper layers."""

import contextlib
import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from longtail.contracts.errors import UserError
from longtail.modeling.embedded_model import embedded_model_path

log = logging.getLogger(__name__)
Pooling = Literal["mean", "cls", "last"]
EMBEDDED_MODEL = "all-MiniLM-L6-v2"


@dataclass
class LanguageModel:
    """A backbone with its tokenizer. ``layers`` is the list of its transformer layers, lowest first."""

    model: nn.Module
    tokenizer: Any
    pooling: Pooling
    max_tokens: int

    @property
    def layers(self) -> nn.ModuleList:
        lists = [module for module in self.model.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))

    @property
    def dim(self) -> int:
        return int(cast(Any, self.model).config.hidden_size)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, padded at the end. Both ``[texts, tokens]``"""
        coded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return coded["input_ids"], coded["attention_mask"]

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """Unit text vectors. states [texts, tokens, dim], mask [texts, tokens] -> ``[texts, dim]``"""
        return pool(states, mask, self.pooling)


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    if pooling == "mean":
        weights = mask[..., None].to(states.dtype)
        pooled = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
    elif pooling == "cls":
        pooled = states[:, 0]
    else:
        last = (mask.sum(dim=1).clamp(min=1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
        pooled = torch.gather(states, 1, last)[:, 0]
    return F.normalize(pooled.float(), dim=-1)


def load_language_model(name: str, pooling: str, max_tokens: int) -> LanguageModel:
    """The embedded model (never a network call), a local folder, or a Hugging Face id.

    Raises:
        UserError: where the model cannot be had or its weights differ from their checksum.
    """
    source = str(embedded_model_path()) if name == EMBEDDED_MODEL else name
    local = name == EMBEDDED_MODEL or Path(name).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        model = AutoModel.from_pretrained(
            source, local_files_only=local, use_safetensors=True, attn_implementation="eager", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"finetune.language_model: {name!r} cannot be loaded ({reason}); give {EMBEDDED_MODEL!r}, a local folder "
            "with config.json, tokenizer.json and model.safetensors, or the id of a model that can be reached"
        ) from None
    decoder = not hasattr(model, "pooler") and hasattr(model.config, "use_cache")
    chosen = pooling if pooling != "auto" else ("last" if decoder else "mean")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    model.eval()
    return LanguageModel(model, tokenizer, cast(Pooling, chosen), max_tokens)


@dataclass
class CachedStates:
    """Outputs of the lower layers for every text. Row t holds ``lengths[t]`` tokens of ``states[t]``."""

    states: list[Tensor]  # each [tokens, dim], bf16
    lengths: Tensor  # [texts]

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Padded states ``[batch, tokens, dim]`` and mask ``[batch, tokens]``."""
        chosen = [self.states[row] for row in rows.tolist()]
        states = nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        mask = torch.arange(states.shape[1])[None, :] < self.lengths[rows][:, None]
        return states, mask.long()


class _Skip(nn.Module):
    """Stands for a layer whose output is known already."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states


class UpperLayers(nn.Module):
    """The language model from layer ``first`` on, fed with cached states. ``backbone`` is its own copy of the model.

    Lower layers are replaced by ``_Skip`` and the states are put in front of layer ``first``, so that the model's own code
    still makes masks and position embeddings: this works for encoders and decoders alike.
    """

    def __init__(self, language_model: LanguageModel, first: int) -> None:
        super().__init__()
        self.pooling: Pooling = language_model.pooling
        self.first = first
        self.backbone = _copy_upper(language_model, first)
        layers = LanguageModel(self.backbone, None, self.pooling, 0).layers
        self._given: Tensor | None = None
        layers[first].register_forward_pre_hook(self._put, with_kwargs=True)
        for index in range(first):
            layers[index] = _Skip()

    def _put(
        self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (self._given, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": self._given}

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states [batch, tokens, dim], mask [batch, tokens] -> unit vectors ``[batch, dim]``"""
        self._given = states
        tokens = torch.zeros_like(mask)
        output = self.backbone(input_ids=tokens, attention_mask=mask).last_hidden_state
        self._given = None
        return pool(output, mask, self.pooling)

    def whole_model(self, language_model: LanguageModel) -> nn.Module:
        """The adapted model, complete: its upper layers on the unadapted model's lower ones."""
        whole = _copy_upper(language_model, self.first)
        layers = LanguageModel(whole, None, self.pooling, 0).layers
        adapted = LanguageModel(self.backbone, None, self.pooling, 0).layers
        for index in range(self.first, len(layers)):
            layers[index].load_state_dict(adapted[index].state_dict())
        return whole


def _copy_upper(language_model: LanguageModel, first: int) -> nn.Module:
    """A copy of the model that shares everything with it but the layers from ``first`` on."""
    shared = [p for layer in language_model.layers[:first] for p in layer.parameters()]
    own = {id(p) for layer in language_model.layers[first:] for p in layer.parameters()}
    shared += [p for p in language_model.model.parameters() if id(p) not in own]
    return copy.deepcopy(language_model.model, {id(p): p for p in shared})


@contextlib.contextmanager
def _captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    handle = layer.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


@torch.no_grad()
def encode_texts(
    language_model: LanguageModel,
    texts: Sequence[str],
    device: torch.device,
    bf16: bool,
    cache_from: int,
    size: int = 128,
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], CachedStates]:
    """Unit vectors ``[texts, dim]`` of the unadapted model, and the states that enter layer ``cache_from``."""
    model = language_model.model.to(device)
    model.eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.zeros((len(texts), language_model.dim), dtype=np.float32)
    states: list[Tensor] = [torch.empty(0)] * len(texts)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    layer = language_model.layers[cache_from]
    with tqdm(total=len(texts), desc="language model", unit="text", disable=None) as bar:
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            ids, mask = language_model.tokenize([texts[row] for row in rows])
            with _captured(layer) as seen, torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                output = model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
            vectors[rows] = language_model.pool(output, mask.to(device)).cpu().numpy()
            counts = mask.sum(dim=1)
            lengths[torch.from_numpy(rows)] = counts
            for place, row in enumerate(rows):
                states[row] = seen[0][place, : counts[place]].to(torch.bfloat16).cpu().clone()
            bar.update(len(rows))
            if begin // size % 20 == 0:
                log.info("language model: %d of %d texts", begin + len(rows), len(texts))
    return vectors, CachedStates(states, lengths)
