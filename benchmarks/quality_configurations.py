"""What the quality benchmark compares: the whole system, and the same system without one of its parts each."""

from dataclasses import dataclass
from typing import Any

from longtail.contracts.settings_base import parse
from longtail.pipelines.run_settings import RunSettings

OF_ADAPTATION = {"adaptation"}
OF_TEACHING = {"soft_label_weight", "soft_label_temperature", "soft_label_top", "alignment_weight", "extra_teachers"}


@dataclass(frozen=True)
class Configuration:
    """``changes`` are put over the settings after ``dropped`` ones, which would not act, went back to their defaults."""

    what: str
    changes: dict[str, dict[str, Any]]
    dropped: dict[str, set[str]]


CONFIGURATIONS = {
    "full": Configuration("teacher and student with the profile's settings", {}, {}),
    "without_language_model": Configuration(
        "no language model; words (TF-IDF) stay, as neighbours and as part of the vectors",
        {"finetune": {"adaptation": {"method": "none"}}},
        {"finetune": OF_ADAPTATION},
    ),
    "ids_only": Configuration(
        "no text at all: no language model, no lexical neighbours",
        {"finetune": {"adaptation": {"method": "none"}, "lexical": False}},
        {"finetune": OF_ADAPTATION},
    ),
    "without_finetuning": Configuration(
        "the language model as it is", {"finetune": {"adaptation": {"method": "frozen"}}}, {"finetune": OF_ADAPTATION}
    ),
    "without_distillation": Configuration(
        "the student learns from labels alone, from a random start",
        {"distill": {"soft_label_weight": 0.0, "start_from_teacher": False}},
        {"distill": OF_TEACHING},
    ),
    "without_cooccurrence": Configuration(
        "no co-occurrence in the sparse term; words stay",
        {"finetune": {"cooccurrence": False}},
        {},
    ),
}


def lacking(configuration: Configuration) -> list[str]:
    """Settings of the configuration that this version of longtail does not have."""
    known = {stage: type(getattr(RunSettings(), stage)).model_fields for stage in configuration.changes}
    return [f"{s}.{key}" for s, keys in configuration.changes.items() for key in keys if key not in known[s]]


def settings_of(name: str, base: RunSettings) -> RunSettings:
    """The settings of a configuration.

    Raises:
        UserError: where ``base`` holds a setting that cannot act in it.
    """
    configuration = CONFIGURATIONS[name]
    document = base.model_dump(mode="json", exclude_defaults=True)
    for stage in {*configuration.changes, *configuration.dropped}:
        kept = {k: v for k, v in document.get(stage, {}).items() if k not in configuration.dropped.get(stage, set())}
        document[stage] = kept | configuration.changes.get(stage, {})
    return parse(RunSettings, document, f"configuration {name}")
