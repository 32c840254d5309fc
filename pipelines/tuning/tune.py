"""`longtail tune`: searches settings on the validation targets; test targets are never read.

A study is an SQLite file of trials. Beside it, ``STUDY.work`` keeps teachers, so that a trial which changes the student
alone trains no teacher, and the checkpoints of a killed trial. A killed study goes on where it was, with the same trials.
"""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import optuna
import typer
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from longtail.components.distill.distill import distill
from longtail.components.finetune.finetune import finetune
from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.contracts.folders import make_folder, place_of
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import ranking_metrics
from longtail.pipelines.run_settings import RunSettings
from longtail.pipelines.tuning.search_space import read_space, with_values
from longtail.scoring.bundle import load_bundle
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer
from longtail.system.code_version import code_digest, read_digest

log = logging.getLogger(__name__)
STUDY = "longtail"
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Tuning:
    """What a study reads and writes. base: the settings that the searched ones replace; its seed is used throughout."""

    prepared: Path
    space: Path
    trials: int
    study: Path
    output: Path
    base: RunSettings

    @property
    def work(self) -> Path:
        return self.study.with_name(f"{self.study.name}.work")


def tune(tuning: Tuning) -> RunSettings:
    """Search until the study holds ``trials`` trials; writes the best settings to ``output`` and returns them.

    The first trial is ``base`` itself as far as the space holds it, so that the result is not worse on validation.

    Raises:
        UserError: the space or study cannot be used, or every trial failed.
    """
    space = read_space(tuning.space, tuning.base)
    data = data_digest(PreparedDataset(tuning.prepared))
    with _only_study(tuning):
        study = _open_study(tuning, _identity(space, tuning.base, data))
        for number in (trial.number for trial in study.trials if trial.state == TrialState.RUNNING):
            study.tell(number, state=TrialState.FAIL)  # killed; it is made again, since it counts for nothing
        while (count := len(_finished(study))) < tuning.trials:
            _run_trial(study, space, tuning, data, count)
            _write_best(study, tuning)
        typer.echo(f"\n{table(study, space)}")
        return _write_best(study, tuning, required=True)


def validation_ndcg(prepared: PreparedDataset, bundle: Path) -> float:
    """NDCG@10 of the validation targets by the student as it is served, all terms of its score included."""
    targets, _ = prepared.measurable_targets(Split.VALIDATION)
    ranked = rank_all({"student": Scorer(load_bundle(bundle))}, prepared, targets)
    return float(ranking_metrics(ranked["student"].ranks, [10])["ndcg@10"].mean())


def data_digest(prepared: PreparedDataset) -> str:
    """SHA-256 over all that training and validation see, and nothing of the test split."""
    rows = prepared.splits == Split.VALIDATION
    digest = hashlib.sha256(prepared.train_digest().encode())
    for array in (prepared.user_codes[rows], prepared.item_codes[rows], prepared.numeric):
        digest.update(array.tobytes())
    digest.update(json.dumps([prepared.item_texts, prepared.user_attributes]).encode())
    return digest.hexdigest()


def table(study: optuna.Study, space: Mapping[str, BaseDistribution]) -> str:
    """One line a trial, the best one marked."""
    best = _best(study)
    rows = [["trial", "NDCG@10", *space, ""]]
    for place, trial in enumerate(_finished(study)):
        score = "failed" if trial.value is None else f"{trial.value:.4f}{'*' if trial == best else ' '}"
        rows.append([str(place + 1), score, *(_shown(trial.params.get(key)) for key in space)])
        rows[-1].append(str(trial.user_attrs.get("error", "")))
    widths = [max(len(cell) for cell in column) for column in list(zip(*rows))[:-1]]
    lines = ["  ".join([*(cell.rjust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip() for row in rows]
    return "\n".join(["Trials by NDCG@10 on validation targets, history excluded; * best", *lines])


def _run_trial(study: optuna.Study, space: dict[str, BaseDistribution], tuning: Tuning, data: str, count: int) -> None:
    # a sampler of its own for each trial: a study that was killed then proposes what it would have proposed
    study.sampler = optuna.samplers.TPESampler(seed=tuning.base.seed * 100_003 + count)
    if count == 0:
        study.enqueue_trial(_base_values(space, tuning.base))
    trial = study.ask(space)
    typer.echo(f"trial {count + 1} of {tuning.trials}: {_shown_all(trial.params)}")
    known = [done for done in _finished(study) if done.params == trial.params]
    try:
        value = known[0].value if known else _score(with_values(tuning.base, trial.params), tuning, data)
        if value is None:
            raise UserError(f"failed before: {known[0].user_attrs['error']}")
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        message = f"{kind}{' '.join(str(error).split())}"
        log.debug("trial %d failed", count + 1, exc_info=error)
        trial.set_user_attr("error", message)
        study.tell(trial, state=TrialState.FAIL)
        typer.echo(f"  failed: {message}")
        return
    study.tell(trial, value)
    typer.echo(f"  validation NDCG@10 {value:.4f}")


def _score(settings: RunSettings, tuning: Tuning, data: str) -> float:
    """Train teacher (unless one of these settings is there) and student, and measure the student."""
    made_from = [data, settings.finetune.canonical(), settings.seed, code_digest(), read_digest(settings.finetune)]
    teachers = tuning.work / "teachers"
    teacher = teachers / hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    if not (teacher / MANIFEST).is_file():
        finetune(tuning.prepared, teacher, settings.finetune, settings.seed, tuning.work / "checkpoints")
    bundle = tuning.work / "student"
    distill(tuning.prepared, teacher, bundle, settings.distill, settings.seed)
    try:
        return validation_ndcg(PreparedDataset(tuning.prepared), bundle)
    finally:
        shutil.rmtree(bundle)


def _base_values(space: Mapping[str, BaseDistribution], base: RunSettings) -> dict[str, Any]:
    """The base settings' values that lie in the space."""
    values = {}
    for key, distribution in space.items():
        value = attrgetter(key)(base)
        if isinstance(distribution, CategoricalDistribution):
            inside = value in distribution.choices
        else:
            assert isinstance(distribution, (IntDistribution, FloatDistribution))
            inside = value is not None and distribution.low <= value <= distribution.high
        if inside:
            values[key] = value
    return values


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended by themselves: with a score, or with an error."""
    return [t for t in study.trials if t.state == TrialState.COMPLETE or "error" in t.user_attrs]


def _best(study: optuna.Study) -> FrozenTrial | None:
    done = [trial for trial in _finished(study) if trial.value is not None]
    return max(done, key=lambda trial: trial.value or 0.0, default=None)


def _write_best(study: optuna.Study, tuning: Tuning, required: bool = False) -> RunSettings:
    """Write the best trial's settings, only what differs from the defaults; ``base`` while there is none."""
    best = _best(study)
    if best is None:
        if required:
            errors = [trial.user_attrs["error"] for trial in _finished(study)]
            raise UserError(
                f"all {len(errors)} trials failed, so there is nothing to write; the last one: {errors[-1]}"
            )
        return tuning.base
    settings = with_values(tuning.base, best.params)
    text = yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    place = place_of(tuning.output)  # a link stays one
    partial = place.with_name(f".{place.name}.partial")
    partial.write_text(f"# longtail tune: validation NDCG@10 {best.value:.4f}\n{text}")
    partial.rename(place)
    return settings


def _identity(space: Mapping[str, BaseDistribution], base: RunSettings, data: str) -> dict[str, str]:
    """What makes trials of one study comparable."""
    declared = json.dumps({key: repr(distribution) for key, distribution in space.items()}, sort_keys=True)
    fixed = json.dumps([base.finetune.canonical(), base.distill.canonical(), base.seed])
    return {"data": data, "space": declared, "settings": fixed}


def _open_study(tuning: Tuning, identity: dict[str, str]) -> optuna.Study:
    path = tuning.study
    if path.is_file() and path.stat().st_size and not path.read_bytes().startswith(SQLITE):
        raise UserError(f"--study {path}: is no study of longtail tune; name another file")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{path.absolute()}", study_name=STUDY, direction="maximize", load_if_exists=True
    )
    for name, value in identity.items():
        if study.user_attrs.setdefault(name, value) != value:
            raise UserError(f"--study {path}: its trials were made with other {name}; name another file")
        study.set_user_attr(name, value)
    return study


@contextmanager
def _only_study(tuning: Tuning) -> Iterator[None]:
    make_folder(tuning.work)
    with (tuning.work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"--study {tuning.study}: another tune is at work in it; wait for its end") from None
        yield


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown_all(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_shown(value)}" for key, value in params.items())
