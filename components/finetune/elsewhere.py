"""What a teacher of another catalogue knows that is not about its items, for a model of this one to start from.

Taken over: the adapted layers of the language model, the projection of texts, the sequence encoder with its start token, attributes
of the same name, and what validation chose there. Not taken: ids, pictures, words (their directions are the catalogue's own) and numbers.
"""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_model
from torch import Tensor, nn

from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.artifacts import TEACHER, read_artifact
from longtail.contracts.errors import UserError
from longtail.modeling.language_model import UpperLayers
from longtail.modeling.sequence_model import SequenceModel
from longtail.neighbours.usual import Usual
from longtail.scoring.bundle import load_bundle
from longtail.tables.sources import fetch_folder

log = logging.getLogger(__name__)
ADAPTED = "adapted_layers.safetensors"
MOVABLE = ("lora", "adalora", "full", "frozen")  # methods that leave the layers as they were built
ALIKE = (  # settings that what is taken over was made with
    "language_model",
    "pooling",
    "language_model_layers",
    "max_history",
    "adaptation.method",
    "adaptation.layers",
    "training.dim",
    "training.blocks",
    "training.heads",
    "training.temperature",
)


def save_layers(upper: UpperLayers | None, method: str, folder: Path) -> None:
    """Write the adapted layers, where another training could take them over."""
    if upper is not None and method in MOVABLE:
        save_model(nn.ModuleList(upper.layers), str(folder / ADAPTED))


@dataclass(frozen=True)
class Elsewhere:
    """A teacher of another catalogue.

    layers: tensors of the adapted layers, None where nothing was adapted; model: those of its sequence model; text_projection
    [text_dim, dim]: from a text's vector to what an item's vector takes from it, what words add included; attributes: names of
    the rows of its attributes; usual: what its validation users chose.
    """

    layers: dict[str, Tensor] | None
    model: dict[str, Tensor]
    text_projection: Tensor
    attributes: list[str]
    usual: Usual

    @classmethod
    def of(cls, settings: FinetuneSettings) -> "Elsewhere | None":
        """The teacher that ``start_from`` names; None where it names none.

        Raises:
            UserError: it cannot be read, or was made with other settings of what is taken over.
        """
        if settings.start_from is None:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            artifact = read_artifact(fetch_folder(settings.start_from, Path(scratch)), TEACHER)
            _check_alike(settings, artifact.facts["settings"])
            file = artifact.file(ADAPTED)
            if not file.is_file() and settings.adaptation.method != "frozen":
                raise UserError(
                    f"finetune.start_from: {settings.start_from} does not hold its adapted layers, as it is of an earlier version; "
                    "train it again"
                )
            bundle = load_bundle(artifact.file("scorer"))
            return cls(
                load_file(file) if file.is_file() else None,
                load_file(artifact.file("model.safetensors")),
                torch.from_numpy(bundle.tensors.text_projection.copy()),
                bundle.attributes[: len(bundle.tensors.attribute_matrix)],
                Usual.of(bundle),
            )

    def put_layers(self, upper: UpperLayers) -> None:
        """Give the language model the layers that were adapted there."""
        if self.layers is not None:
            nn.ModuleList(upper.layers).load_state_dict(self.layers)

    @torch.no_grad()
    def put_model(self, model: SequenceModel, attributes: list[str]) -> None:
        """Give a new model what is known there; what is the items' own starts at zero. attributes: names of its rows."""
        taken = {name: value for name, value in self.model.items() if name.startswith("encoder.") or name == "start"}
        model.load_state_dict(model.state_dict() | taken)
        model.ids.weight.zero_()
        model.project.weight.zero_()
        model.project.weight[:, : model.text_dim] = self.text_projection.T
        model.attributes.weight.zero_()
        rows = {name: row for row, name in enumerate(self.attributes)}
        for row, name in enumerate(attributes):
            if name in rows:
                model.attributes.weight[row] = self.model["attributes.weight"][rows[name]]


def _check_alike(settings: FinetuneSettings, theirs: dict[str, Any]) -> None:
    ours = settings.model_dump(mode="json")
    for key in ALIKE:
        here, there = _at(ours, key), _at(theirs, key)
        if here != there:
            raise UserError(
                f"finetune.start_from: {settings.start_from} was trained with finetune.{key} {there!r}, and here it is {here!r}; "
                f"set finetune.{key} to that, or leave start_from out"
            )
    if settings.adaptation.method not in MOVABLE:
        raise UserError(
            f"finetune.start_from: what adaptation.method {settings.adaptation.method!r} puts into the language model cannot be taken "
            f"over; take one of {', '.join(MOVABLE)} there and here"
        )


def _at(document: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        document = document[part]
    return document
