import pytest
from pydantic import ValidationError

from longtail.modeling.adaptation_settings import AdaptationSettings


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"method": "prefix", "lora_rank": 4},
            "lora_rank acts only with method lora or adalora, not with prefix",
        ),
        ({"prefix_length": 3}, "prefix_length acts only with method prefix"),
        ({"method": "full", "adapter_dim": 8}, "adapter_dim acts only with method adapter"),
        (
            {"method": "frozen", "fgm_epsilon": 1.0},
            r"fgm_epsilon is 1\.0, but acts only with steps",
        ),
        ({"method": "frozen", "anchor_weight": 0.1}, "anchor_weight is 0.1"),
        ({"method": "frozen", "paraphrases": "p.jsonl"}, "paraphrases is p.jsonl"),
        ({"steps": 0, "word_dropout": 0.1}, "word_dropout is 0.1"),
        (
            {"steps": 0, "gradient_checkpointing": True},
            "gradient_checkpointing is True, but acts only with s",
        ),
        ({"method": "frozen", "mlm_steps": 5}, "mlm_steps cannot act with method frozen"),
        ({"method": "none", "mlm_steps": 5}, "mlm_steps cannot act with method none"),
        ({"method": "none", "synonym_share": 0.5}, r"synonym_share is 0\.5, .* \(it is none\)"),
        ({"mlm_share": 0.3}, r"mlm_share is 0\.3, but acts only with mlm_steps above 0"),
        ({"method": "adalora", "steps": 9}, "adalora needs 10"),
    ],
)
def test_what_cannot_act_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        AdaptationSettings.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "frozen"},
        {"method": "frozen", "steps": 40},
        {"steps": 0},
        {"steps": 0, "mlm_steps": 5, "clip": 2.0},
        {"method": "adalora", "lora_rank": 4},
        {"method": "adapter", "adapter_dim": 8, "word_dropout": 0.1, "anchor_weight": 1.0},
    ],
)
def test_what_can_act_is_taken(settings):
    assert AdaptationSettings.model_validate(settings)
