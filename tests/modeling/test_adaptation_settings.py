import pytest
from pydantic import ValidationError

from longtail.contracts.settings import FinetuneSettings


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"adaptation": "prefix", "lora_rank": 4},
            "lora_rank acts only with adaptation lora or adalora, not with prefix",
        ),
        ({"prefix_length": 3}, "prefix_length acts only with adaptation prefix"),
        ({"adaptation": "full", "adapter_dim": 8}, "adapter_dim acts only with adaptation adapter"),
        (
            {"adaptation": "frozen", "adapt_fgm_epsilon": 1.0},
            r"adapt_fgm_epsilon is 1\.0, but acts only with adapt_steps",
        ),
        ({"adaptation": "frozen", "anchor_weight": 0.1}, "anchor_weight is 0.1"),
        ({"adaptation": "frozen", "paraphrases": "p.jsonl"}, "paraphrases is p.jsonl"),
        ({"adapt_steps": 0, "word_dropout": 0.1}, "word_dropout is 0.1"),
        (
            {"adapt_steps": 0, "gradient_checkpointing": True},
            "gradient_checkpointing is True, but acts only with adapt_s",
        ),
        ({"adaptation": "frozen", "mlm_steps": 5}, "mlm_steps cannot act with adaptation frozen"),
        ({"adaptation": "none", "mlm_steps": 5}, "mlm_steps cannot act with adaptation none"),
        ({"adaptation": "none", "synonym_share": 0.5}, r"synonym_share is 0\.5, .* \(it is none\)"),
        ({"mlm_share": 0.3}, r"mlm_share is 0\.3, but acts only with mlm_steps above 0"),
        ({"adaptation": "adalora", "adapt_steps": 9}, "adalora needs 10"),
    ],
)
def test_what_cannot_act_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        FinetuneSettings.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"adaptation": "frozen"},
        {"adaptation": "frozen", "adapt_steps": 40},
        {"adapt_steps": 0},
        {"adapt_steps": 0, "mlm_steps": 5, "adapt_clip": 2.0},
        {"adaptation": "adalora", "lora_rank": 4},
        {"adaptation": "adapter", "adapter_dim": 8, "word_dropout": 0.1, "anchor_weight": 1.0},
    ],
)
def test_what_can_act_is_taken(settings):
    assert FinetuneSettings.model_validate(settings)
