"""Domain pretraining (Gururangan et al. 2020, ACL): the adapted layers guess words of the catalogue before they learn what
users choose.

Encoders guess masked tokens (Devlin et al. 2019, section 3.1), decoders the next one. All weights of the adapted layers
are trained, whatever the adaptation is; the layers below and the embeddings stay as they are.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

from longtail.contracts.errors import UserError
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import LanguageModel, UpperLayers, encode_batch
from longtail.modeling.steps import Steps
from longtail.modeling.techniques.gradient_checkpointing import checkpointed

log = logging.getLogger(__name__)
HEAD_SHARE = 0.2  # of the steps train a new head alone, lest it spoil the layers


class TiedHead(nn.Module):
    """Logits of all tokens from the input embeddings [tokens, dim] through a learned map that starts as the identity."""

    embeddings: Tensor

    def __init__(self, embeddings: Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.map = nn.Linear(dim, embeddings.shape[1])
        self.bias = nn.Parameter(torch.zeros(len(embeddings)))
        nn.init.eye_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, states: Tensor) -> Tensor:  # [n, dim] -> [n, tokens]
        return F.linear(self.map(states), self.embeddings, self.bias)


def pretrain(
    language_model: LanguageModel,
    upper: UpperLayers,
    texts: Sequence[str],
    settings: AdaptationSettings,
    seed: int,
    bf16: bool,
    folder: Path,
) -> None:
    """Train the layers of ``upper`` in place for ``mlm_steps``. Checkpoints in ``folder`` let a killed run go on.

    Raises:
        UserError: where no item has text, an encoder's tokenizer has no mask token, or mlm_share is given for a decoder.
    """
    texts = [text for text in texts if text.strip()]
    _check(language_model, texts, settings)
    device = next(upper.parameters()).device
    head, is_new = output_head(language_model)
    trained = nn.ModuleDict({"layers": nn.ModuleList(upper.layers)} | ({"head": head} if is_new else {}))
    upper.requires_grad_(False)
    head.requires_grad_(False).to(device)
    trained.requires_grad_(True)
    guessing = _Guessing(language_model, upper, head, settings.mlm_share, bf16)
    head_alone = HEAD_SHARE * settings.mlm_steps if is_new else 0

    def backward(step: int) -> float | None:
        rng = np.random.default_rng([seed, step])
        rows = rng.choice(len(texts), min(settings.batch, len(texts)), replace=False)
        loss = guessing.loss([texts[row] for row in rows], with_layers=step >= head_alone)
        if loss is None:
            return None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    upper.eval()
    head.eval()
    with checkpointed(upper.layers, settings.gradient_checkpointing):
        Steps(
            "domain pretraining",
            settings.mlm_steps,
            "finetune.adaptation.mlm_learning_rate",
            settings.mlm_learning_rate,
            dict(trained.named_parameters()),
            settings,
            seed,
            folder / "pretraining.safetensors",
        ).run(backward)


def _check(language_model: LanguageModel, texts: Sequence[str], settings: AdaptationSettings) -> None:
    if not texts:
        raise UserError(
            f"finetune.adaptation.mlm_steps: is {settings.mlm_steps}, but no item has text to learn from; set it to 0"
        )
    if not language_model.is_decoder and language_model.tokenizer.mask_token_id is None:
        raise UserError(
            f"finetune.adaptation.mlm_steps: the tokenizer of {language_model.source} has no mask token; set mlm_steps to 0"
        )
    if language_model.is_decoder and settings.mlm_share != AdaptationSettings.model_fields["mlm_share"].default:
        raise UserError(
            f"finetune.adaptation.mlm_share: is {settings.mlm_share}, but {language_model.source} is a decoder, which guesses every "
            "next token; leave it out"
        )


@dataclass
class _Guessing:
    """The task: which tokens stand at the masked places (encoders), or come next (decoders)."""

    language_model: LanguageModel
    upper: UpperLayers
    head: nn.Module
    share: float
    bf16: bool

    def loss(self, texts: Sequence[str], with_layers: bool) -> Tensor | None:
        """Mean cross-entropy of the tokens to be guessed, or None where there are none (texts of a single token).

        with_layers: whether the adapted layers get gradients, too, or the head alone.
        """
        device = next(self.upper.parameters()).device
        ids, mask = (tensor.to(device) for tensor in self.language_model.tokenize(texts))
        inputs, places = ids, mask[:, 1:] > 0
        if self.language_model.is_decoder:
            places, targets = F.pad(places, (0, 1)), ids[:, 1:][places]
        else:
            inputs, places = masked(self.language_model, ids, mask, self.share)
            targets = ids[places]
        if len(targets) == 0:
            return None
        _, states = encode_batch(self.language_model, inputs, mask, self.bf16, self.upper.first)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            with torch.set_grad_enabled(with_layers):
                hidden = self.upper.token_states(states.float(), mask)
            return F.cross_entropy(self.head(hidden[places]).float(), targets)


def masked(language_model: LanguageModel, ids: Tensor, mask: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Ids with ``share`` of the real tokens (at least one) hidden, and where. Both [texts, tokens].

    Of those to be guessed 80 % become the mask token, 10 % any token, and 10 % stay.
    """
    tokenizer: Any = language_model.tokenizer
    real = (mask > 0) & ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
    draw = torch.rand(ids.shape).to(ids.device).masked_fill(~real, 2.0)
    places = draw <= max(share, draw.min().item())
    places &= real
    how = torch.rand(ids.shape).to(ids.device)
    anything = torch.randint(len(tokenizer), ids.shape).to(ids.device)
    hidden = torch.where(places & (how < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(places & (how >= 0.8) & (how < 0.9), anything, hidden), places


def output_head(language_model: LanguageModel) -> tuple[nn.Module, bool]:
    """States [n, dim] -> logits [n, tokens]: the checkpoint's own head, or a ``TiedHead`` and True where it has none."""
    model: Any = language_model.model
    kind = AutoModelForCausalLM if language_model.is_decoder else AutoModelForMaskedLM
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        whole, found = kind.from_pretrained(
            language_model.source, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
        heads = [module for name, module in whole.named_children() if name != whole.base_model_prefix]
        if len(heads) == 1 and not found["missing_keys"]:
            return heads[0], False
    except ValueError:
        log.info("transformers has no output head for a %s model", model.config.model_type)
    finally:
        transformers_logging.set_verbosity(verbosity)
    return TiedHead(model.get_input_embeddings().weight.detach(), language_model.dim), True
