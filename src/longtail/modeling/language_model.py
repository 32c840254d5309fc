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
from longtail.system.embedded_model import embedded_model_path

log = logging.getLogger(__name__)
Pooling = Literal["mean", "cls", "last"]
EMBEDDED_MODEL = "all-MiniLM-L6-v2"


@dataclass
class LanguageModel:
    """A backbone with its tokenizer. ``layers`` is the list of its transformer layers, lowest first.

    is_decoder: whether a token sees only those before it; source: where it was loaded from.
    """

    model: nn.Module
    tokenizer: Any
    pooling: Pooling
    max_tokens: int
    is_decoder: bool
    source: str

    @property
    def layers(self) -> nn.ModuleList:
        return _layers(self.model)

    @property
    def dim(self) -> int:
        return int(cast(Any, self.model).config.hidden_size)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids and attention mask, padded at the end. Both ``[texts, tokens]``; a text without a token gets padding."""
        coded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        ids, mask = coded["input_ids"].long(), coded["attention_mask"].long()
        if ids.shape[1] == 0:
            ids, mask = ids.new_full((len(ids), 1), self.tokenizer.pad_token_id), mask.new_ones(len(mask), 1)
        mask[:, 0] = 1
        return ids, mask

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
        UserError: where the model cannot be had or is of another kind, or its weights differ from their checksum.
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
    if model.config.is_encoder_decoder:
        kind = f"an encoder and a decoder in one ({model.config.model_type})"
        raise UserError(f"finetune.language_model: {name!r} is {kind}; give an encoder or a decoder")
    model.eval()
    is_decoder = sees_only_what_is_before(model)
    chosen = pooling if pooling != "auto" else ("last" if is_decoder else "mean")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return LanguageModel(model, tokenizer, cast(Pooling, chosen), max_tokens, is_decoder, source)


@torch.no_grad()
def sees_only_what_is_before(model: Any) -> bool:
    """Whether a later token changes nothing for an earlier one: asked of the model, as configurations do not say it alike."""
    size = model.config.vocab_size  # tokens from the middle of it are words
    texts = ([size // 2, size // 3, size // 4], [size // 2, size // 3, size // 5])
    one, other = (model(input_ids=torch.tensor([text])).last_hidden_state[:, :2] for text in texts)
    return torch.equal(one, other)


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
        self.backbone = cast(Any, _copy_upper(language_model, first))
        self.backbone.config.use_cache = False
        for index in range(first):
            _layers(self.backbone)[index] = _Skip()

    @property
    def layers(self) -> list[nn.Module]:
        """The adapted layers, lowest first."""
        return list(_layers(self.backbone)[self.first :])

    def token_states(self, states: Tensor, mask: Tensor) -> Tensor:
        """states that enter the first of the layers [batch, tokens, dim], mask [batch, tokens] -> last states, same shape."""

        def put(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

        with self.layers[0].register_forward_pre_hook(put, with_kwargs=True):
            output = self.backbone(input_ids=torch.zeros_like(mask), attention_mask=mask).last_hidden_state
        return cast(Tensor, output)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states [batch, tokens, dim], mask [batch, tokens] -> unit vectors ``[batch, dim]``"""
        return pool(self.token_states(states, mask), mask, self.pooling)

    def whole_model(self, language_model: LanguageModel) -> nn.Module:
        """The adapted model, complete: its upper layers, with all that was put into them, on the unadapted lower ones."""
        whole = _copy_upper(language_model, self.first)
        for index, layer in enumerate(self.layers, start=self.first):
            _layers(whole)[index] = layer
        return whole


def _layers(model: nn.Module) -> nn.ModuleList:
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))


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
def encode_batch(
    language_model: LanguageModel, ids: Tensor, mask: Tensor, bf16: bool, cache_from: int
) -> tuple[Tensor, Tensor]:
    """Unit vectors [texts, dim] of the unadapted model, and the states before layer ``cache_from``, bf16.

    ids and mask [texts, tokens] on the model's device; states [texts, tokens, dim].
    """
    layer = language_model.layers[cache_from]
    with _captured(layer) as seen, torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
        output = language_model.model(input_ids=ids, attention_mask=mask).last_hidden_state
    return language_model.pool(output, mask), seen[0].to(torch.bfloat16)


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
    language_model.model.to(device).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.zeros((len(texts), language_model.dim), dtype=np.float32)
    states: list[Tensor] = [torch.empty(0)] * len(texts)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    with tqdm(total=len(texts), desc="language model", unit="text", disable=None) as bar:
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            ids, mask = language_model.tokenize([texts[row] for row in rows])
            found, entering = encode_batch(language_model, ids.to(device), mask.to(device), bf16, cache_from)
            vectors[rows] = found.cpu().numpy()
            counts = mask.sum(dim=1)
            lengths[torch.from_numpy(rows)] = counts
            for place, row in enumerate(rows):
                states[row] = entering[place, : counts[place]].cpu().clone()
            bar.update(len(rows))
            if begin // size % 20 == 0:
                log.info("language model: %d of %d texts", begin + len(rows), len(texts))
    return vectors, CachedStates(states, lengths)
