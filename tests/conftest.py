"""Fixtures of all tests: tiny language models with random weights, in the layout of a local folder; an S3 server."""

from pathlib import Path

import pytest
import torch
from helpers_language_model import WORDS, save_tokenizer
from helpers_s3 import s3, s3_endpoint  # noqa: F401  (fixtures)
from hypothesis import HealthCheck, settings
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
)

LONGEST = ("docker/test_images.py", "e2e/test_installed_wheel.py", "benchmarks/test_quality.py", "test_layout.py")

if settings.get_current_profile_name() == "default":  # else hypothesis' own "ci", with the same examples each time
    settings.register_profile("longtail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("longtail")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process is left alone with one at the end."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=4 + len(WORDS), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, with_cls=True)
    return folder


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=4 + len(WORDS), n_embd=32, n_layer=3, n_head=4, n_positions=64, n_inner=64)
    GPT2Model(config).save_pretrained(folder)
    save_tokenizer(folder, with_cls=False)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rotary positions and grouped keys."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4 + len(WORDS),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    LlamaModel(config).save_pretrained(folder)
    save_tokenizer(folder, with_cls=False)
    return folder
