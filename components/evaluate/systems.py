"""What is measured beside each other: student, teacher, baselines, champion and the incumbent, all on one catalogue."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from longtail.baselines.classic import baselines
from longtail.baselines.incumbent import read_incumbent
from longtail.components.evaluate.rescoring import Champion
from longtail.contracts.artifacts import TEACHER, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import System
from longtail.scoring.scorer import Scorer


@dataclass(frozen=True)
class Rivals:
    """What is compared with beside the baselines; None where there is none.

    champion: the Student bundle in service (a folder, or an address, see ``registry.champion``) or the registry that names it.
    incumbent: a table of the lists that another system gives (see ``baselines.incumbent``).
    """

    champion: str | None = None
    incumbent: str | None = None


NONE = Rivals()


@dataclass(frozen=True)
class Models:
    """What was trained on the data. frozen_text [items, dim]: vectors of the language model before any adaptation."""

    student: Scorer
    teacher: Scorer
    frozen_text: NDArray[np.float32]
    train_digests: dict[str, str]  # name -> what the model recorded of its training events


def load_models(data: PreparedDataset, teacher: str | Path, bundle: str | Path) -> Models:
    """Teacher and student.

    Raises:
        UserError: one of them is damaged, or has another catalogue than the data.
    """
    taught = read_artifact(teacher, TEACHER)
    student = Scorer(load_bundle(bundle))
    teacher_scorer = Scorer(load_bundle(taught.file("scorer")))
    for model in (student.bundle, teacher_scorer.bundle):
        if model.item_ids != data.item_ids:
            raise UserError(
                f"{model.path}: its catalogue is not that of {data.artifact.path}; train it again on this data"
            )
    if "refreshed" in student.bundle.facts:
        raise UserError(
            f"{bundle}: was refreshed with later events; evaluate the bundle that it was made of (measured-bundle of a run)"
        )
    digests = {"student": student.bundle.facts["train_digest"], "teacher": taught.facts["train_digest"]}
    frozen = load_file(taught.file("text_vectors.safetensors"))["frozen"]
    return Models(student, teacher_scorer, frozen, digests)


def systems_of(
    models: Models, data: PreparedDataset, champion: Path | None, incumbent: str | None = None
) -> dict[str, System]:
    """Everything that is asked for test users, by name.

    champion: the folder of the bundle that is in service; incumbent: the address of another system's lists.

    Raises:
        UserError: the lists cannot be read, or are of other users or items.
    """
    systems: dict[str, System] = {"student": models.student, "teacher": models.teacher}
    systems |= baselines(data, models.frozen_text)
    if champion:
        systems["champion"] = Champion(champion, data)
    if incumbent:
        systems["incumbent"] = read_incumbent(incumbent, data)
    return systems
