"""The space that `longtail tune` searches: a YAML file of settings and the values that they may take.

finetune.training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
distill.training.blocks: {choices: [1, 2]}
distill.training.dim: {low: 64, high: 240, step: 4}
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field, ValidationError

from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings, leaves, parse, read_yaml
from longtail.pipelines.run_settings import RunSettings

STAGES = ("finetune", "distill")  # other stages' settings change what is measured, not how well it is predicted


class Range(Settings):
    """All numbers from ``low`` to ``high``."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="Search the logarithm, for values of different magnitudes.")
    step: int | float | None = Field(None, gt=0, description="Take only low, low + step, …")


class Choices(Settings):
    """Some values."""

    choices: tuple[bool | int | float | str | None, ...] = Field(min_length=1)


def read_space(path: Path, base: RunSettings) -> dict[str, BaseDistribution]:
    """Setting -> its distribution. Every value is checked against the settings' bounds.

    Raises:
        UserError: naming file, key and remedy.
    """
    document = read_yaml(path)
    if not isinstance(document, dict) or not document:
        raise UserError(
            f"{path}: holds no setting to search; write for example distill.training.blocks: {{choices: [1, 2]}}"
        )
    return {str(key): _distribution(path, str(key), declared, base) for key, declared in document.items()}


def with_values(base: RunSettings, values: Mapping[str, Any]) -> RunSettings:
    """``base`` with the given ``stage.key`` values.

    Raises:
        UserError: where the values do not go together.
    """
    document = base.model_dump(mode="json")
    for key, value in values.items():
        _put(document, key, value)
    return parse(RunSettings, document, "trial")


def _put(document: dict[str, Any], key: str, value: object) -> None:
    *groups, name = key.split(".")
    for group in groups:
        document = document[group]
    document[name] = value


def _distribution(path: Path, key: str, declared: object, base: RunSettings) -> BaseDistribution:
    known = {key: field for key, field in leaves(RunSettings).items() if key.partition(".")[0] in STAGES}
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise UserError(f"{path}: {key!r} cannot be searched; settings of {' and '.join(STAGES)} can: {near}?")
    where = f"{path}: {key}"
    if isinstance(declared, dict) and "choices" in declared:
        choices = parse(Choices, declared, where).choices
        for value in choices:
            _check(where, base, key, value)
        return CategoricalDistribution(choices)
    span = parse(Range, declared, where)
    annotation = known[key].annotation
    kinds = set(get_args(annotation)) or {annotation}
    if not kinds & {int, float}:
        raise UserError(f"{where}: is no number, so it has no range; give {{choices: [...]}}")
    if span.low > span.high or (span.log and (span.low <= 0 or span.step is not None)):
        raise UserError(f"{where}: needs low <= high, and with log: true also low > 0 and no step (given: {declared})")
    for value in (span.low, span.high):
        _check(where, base, key, value)
    if float not in kinds:
        step = 1 if span.step is None else span.step
        if step != int(step):
            raise UserError(f"{where}: counts in whole numbers, but step is {step}")
        return IntDistribution(int(span.low), int(span.high), span.log, int(step))
    return FloatDistribution(float(span.low), float(span.high), span.log, span.step)


def _check(where: str, base: RunSettings, key: str, value: object) -> None:
    """Only this setting's own bounds: values that do not go together with others fail the trial that tries them."""
    document = base.model_dump()
    _put(document, key, value)
    try:
        RunSettings.model_validate(document)
    except ValidationError as error:
        for fault in error.errors():
            if ".".join(map(str, fault["loc"])) == key:
                raise UserError(f"{where}: {value!r} is not allowed: {fault['msg']}") from None
