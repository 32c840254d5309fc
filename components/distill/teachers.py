"""The teachers of a student: read, checked, and loaded to be asked."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from longtail.contracts.artifacts import TEACHER, Artifact, manifest_digest, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.teacher_and_student import load_teacher
from longtail.tables.sources import fetch_folder


def read_teacher(path: str | Path, data: PreparedDataset, name: str | Path | None = None) -> Artifact:
    """A teacher that learnt from the training events of ``data``. name: what the user called it.

    Raises:
        UserError: where it was trained on other data.
    """
    artifact = read_artifact(path, TEACHER)
    if artifact.facts["train_digest"] != data.train_digest():
        raise UserError(
            f"{name or path}: was trained on other events than {data.artifact.path} holds; run finetune on this data first"
        )
    return artifact


def extra_teachers(
    uris: Sequence[str], data: PreparedDataset, device: torch.device
) -> Iterator[tuple[SequenceModel, str]]:
    """The models of further teachers, here or in buckets, and their identities.

    Raises:
        UserError: where one cannot be read, or was trained on other data.
    """
    for uri in uris:
        with tempfile.TemporaryDirectory() as temporary:
            artifact = read_teacher(fetch_folder(uri, Path(temporary)), data, uri)
            yield load_teacher(artifact, device), manifest_digest(artifact.path)
