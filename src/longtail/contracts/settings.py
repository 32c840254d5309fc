"""Settings of the stages: typed, documented, unknown keys refused.

One YAML file holds all stages' settings; each stage is handed only its own slice as canonical JSON text, so that a change
to one stage does not re-run the others.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.training_settings import TrainingSettings
from longtail.rollout.service_settings import DeploySettings
from longtail.scoring.compression_settings import CompressionSettings, PruningSettings


class PreprocessSettings(Settings):
    """How raw tables become the Prepared data set."""

    format: Literal["longtail", "movielens", "amazon-2023"] = Field(
        "longtail", description="Layout of the input files; `longtail` is the project's own columns."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our column name -> its name in your files, for example {user_id: customer, item_id: sku}.",
    )
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="Who runs the table expressions.")
    memory_limit_gb: float = Field(4.0, gt=0.1, description="GB that DuckDB may hold before it spills to disk.")
    spark_remote: str | None = Field(
        None, description="Spark Connect address (sc://host:port); none starts a local Spark."
    )
    event_weights: dict[str, float] = Field(
        default_factory=lambda: {"view": 1.0, "click": 2.0, "cart": 3.0, "purchase": 5.0},
        description="Strength of each kind of event; an event that is not listed is rejected.",
    )
    rating_scale: Literal["none", "user", "global"] = Field(
        "none",
        description="Scale ratings to 0..1 by each user's own or the global range; `none` gives every rating weight 1.",
    )
    min_rating: float | None = Field(None, description="Ratings below it are rejected as dislikes; none keeps all.")
    repeats: Literal["merge", "keep"] = Field(
        "merge",
        description="`merge`: one event per user and item, first time, greatest weight; `keep`: every event, and items of "
        "the history may be recommended again.",
    )
    min_item_count: int = Field(0, ge=0, description="Items with fewer events lose their events; 0 keeps all.")
    split: Literal["leave_last_out", "global_time"] = Field(
        "leave_last_out",
        description="`leave_last_out`: a user's last event is the test target, the one before it the validation target.",
    )
    validation_share: float = Field(
        0.1, gt=0, lt=0.5, description="Share of events (by time) that validate, global_time only."
    )
    test_share: float = Field(0.1, gt=0, lt=0.5, description="Share of events (by time) that test, global_time only.")
    segments: Literal["history", "quantile"] = Field(
        "history",
        description="`history`: cold 0, tail 1-4, torso 5-9, head 10+; `quantile`: tail up to the median, torso to 80 %.",
    )
    max_rejected_share: float = Field(0.1, ge=0, le=1, description="The stage fails above this share of unusable rows.")
    latest_timestamp: int | None = Field(
        None,
        description="Unix seconds; later events are rejected as lying in the future. None takes the clock of the run.",
    )

    @model_validator(mode="after")
    def _weights_are_positive(self) -> "PreprocessSettings":
        for event, weight in self.event_weights.items():
            if weight <= 0:
                raise ValueError(
                    f"event_weights.{event} is {weight}; weights are positive (leave the event out to reject it)"
                )
        return self


class FinetuneSettings(PruningSettings, AdaptationSettings, TrainingSettings):
    """How the language model is adapted and the teacher trained."""

    term_after: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of the epochs, at the start, that train the dense part alone, which newcomers rely on; then the "
        "sparse term joins.",
    )
    blocks: int = Field(2, ge=1, description="Transformer blocks of the sequence encoder.")
    max_history: int = Field(50, ge=1, description="Latest items of a history that are read.")
    neighbours: int = Field(
        300, ge=1, description="Neighbours of an item that the sparse matrix keeps; 8 bytes each in the bundle."
    )
    cooccurrence: bool = Field(
        True, description="Items that are chosen after an item, or beside it, are its neighbours."
    )
    lexical: bool = Field(
        True, description="Use the words of texts: alike items are neighbours, and words are part of an item's vector."
    )
    lexical_dim: int = Field(
        256,
        ge=0,
        description="Main directions of the words' TF-IDF in an item's vector; 0 leaves words to the neighbours.",
    )


class DistillSettings(CompressionSettings, TrainingSettings):
    """How the student learns from labels and from the teacher, and how it is made smaller."""

    dim: int = Field(240, ge=8, le=255, description="Numbers in the student's vectors (one more holds popularity).")
    blocks: int = Field(1, ge=1, description="Transformer blocks of the student's sequence encoder.")
    epochs: int = Field(3, ge=1, description="Passes over the training sequences at most.")
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate of the optimizer.")
    soft_label_weight: float = Field(
        0.5, ge=0, le=1, description="Share of the loss that follows the teacher; the rest follows labels."
    )
    start_from_teacher: bool = Field(
        True, description="Begin with the teacher's vectors and lowest blocks, where dim is the same; false: at random."
    )
    soft_label_temperature: float = Field(1.0, gt=0, description="Temperature of the teacher's scores.")
    soft_label_top: int = Field(
        0, ge=0, description="Candidates of the teacher that are followed one by one, the rest as one; 0 follows all."
    )
    alignment_weight: float = Field(
        0.0, ge=0, description="Weight of 1 - cosine between the student's vectors, mapped linearly, and the teacher's."
    )
    extra_teachers: tuple[str, ...] = Field(
        (),
        description="Teacher artifacts whose scores are averaged with the teacher's; the student starts from the first.",
    )

    @model_validator(mode="after")
    def _teachers_are_asked(self) -> "DistillSettings":
        if self.soft_label_weight == 0 and self.soft_label_top:
            raise ValueError(f"soft_label_top is {self.soft_label_top}, but soft_label_weight 0 leaves soft labels out")
        if self.soft_label_weight == 0 and self.alignment_weight == 0 and self.extra_teachers:
            raise ValueError(
                "extra_teachers are never asked, as soft_label_weight and alignment_weight are 0; raise one of them"
            )
        return self


Baseline = Literal["popularity", "item_cf", "next_item", "tfidf", "frozen_text", "cf_tfidf", "cf_tfidf_text"]


class EvaluateSettings(Settings):
    """What is measured, and what the gate asks for."""

    cutoffs: tuple[int, ...] = Field((5, 10, 20), min_length=1, description="The k of Recall@k, NDCG@k and so on.")
    revealed: tuple[int, ...] = Field((0, 1, 2, 3, 4), description="History lengths of the revealed-history tables.")
    bootstrap_samples: int = Field(1000, ge=100, description="Resamples of users behind every interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")
    gate_metric: Literal["ndcg", "recall", "mrr", "hitrate"] = Field("ndcg", description="Metric of the gate, at 10.")
    gate_baselines: tuple[Baseline, ...] = Field(
        ("popularity", "item_cf", "tfidf"),
        description="Systems that the student must not be worse than, over all users.",
    )
    gate_tolerance: float = Field(
        0.0, ge=0, description="The gate fails where the upper bound of (student - baseline) lies below minus this."
    )


class RunSettings(Settings):
    """All stages' settings: what one YAML file holds."""

    seed: int = Field(
        0, ge=0, description="Seed of everything random; same seed, same machine, same threads: same result."
    )
    preprocess: PreprocessSettings = PreprocessSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    distill: DistillSettings = DistillSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    deploy: DeploySettings = DeploySettings()


AnySettings = TypeVar("AnySettings", bound=Settings)


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2: `1e-5` is a number, as everyone who writes it means."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_settings(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> RunSettings:
    """Read a YAML settings file; without one, the defaults. ``overrides``: ``stage.key=value``, the value in YAML.

    Raises:
        UserError: naming file, key and remedy.
    """
    document = {} if path is None else read_yaml(path)
    for override in overrides:
        document = _override(document, override)
    source = " with ".join([*([str(path)] if path else []), *(["--set"] if overrides else [])])
    return parse(RunSettings, document, source or "settings")


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The document of a YAML file, an empty mapping where the file is empty."""
    try:
        document = yaml.load(Path(path).read_text(), Loader=_Loader)  # noqa: S506  (a SafeLoader)
        return {} if document is None else document
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give an existing YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def _override(document: Any, override: str) -> Any:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override}: is not of the form stage.key=value, for example --set finetune.epochs=3")
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML: {' '.join(str(error).split())}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return _merged(document, value)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    return above


def from_json(kind: type[AnySettings], text: str) -> AnySettings:
    """A stage's settings from its slice."""
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        raise UserError(f"settings of {kind.__name__}: are not JSON ({error})") from None
    return parse(kind, document, f"settings of {kind.__name__}")


def parse(kind: type[AnySettings], document: object, source: str) -> AnySettings:
    if not isinstance(document, dict):
        raise UserError(f"{source}: holds a {type(document).__name__}, but a mapping of settings is needed")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(_explain(kind, fault) for fault in error.errors())) from None


def _explain(kind: type[BaseModel], fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model: Any = kind
        for part in fault["loc"][:-1]:
            model = model.model_fields[part].annotation
        return f"there is no setting {key!r}; known here: {', '.join(sorted(model.model_fields))}"
    given = fault.get("input")
    shown = f" (given: {given!r})" if not isinstance(given, dict) else ""
    return f"{key or 'settings'}: {fault['msg'].removeprefix('Value error, ')}{shown}"
