"""The two sequence models: a teacher from its artifact, and a student that reads the same features."""

import torch
from safetensors.numpy import load_file
from safetensors.torch import load_model

from longtail.contracts.artifacts import Artifact
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.training_settings import TrainingSettings


def new_teacher(artifact: Artifact) -> SequenceModel:
    """A model of the teacher's shape and features, with random weights."""
    shape = Shape(**artifact.facts["shape"])
    features = load_file(artifact.file("text_vectors.safetensors"))["features"]
    facts = artifact.facts
    return SequenceModel(
        shape, torch.from_numpy(features), facts["text_dim"], facts["user_attributes"], facts["image_dim"]
    )


def load_teacher(artifact: Artifact, device: torch.device) -> SequenceModel:
    """The teacher's sequence model, ready to be asked."""
    model = new_teacher(artifact)
    load_model(model, str(artifact.file("model.safetensors")))
    return model.to(device).eval()


def new_student(teacher: SequenceModel, settings: TrainingSettings, starts_from_teacher: bool) -> SequenceModel:
    """A student that reads the same features as its teacher, and starts from it where that is wanted and dim is the same."""
    shape = Shape.of(settings, teacher.shape.max_history)
    features: torch.Tensor = teacher.features.cpu()  # type: ignore[operator, assignment]
    student = SequenceModel(shape, features, teacher.text_dim, teacher.attributes.num_embeddings, teacher.image_dim)
    if starts_from_teacher and shape.dim == teacher.shape.dim:
        start_from_teacher(student, teacher)
    return student


def start_from_teacher(student: SequenceModel, teacher: SequenceModel) -> None:
    """Give the student the teacher's item vectors and its lowest blocks: it then needs few epochs (DistilBERT, section 2).

    What has another shape in the student, or is not in the teacher, keeps its random start.
    """
    own = student.state_dict()
    inherited = {
        name: value for name, value in teacher.state_dict().items() if name in own and own[name].shape == value.shape
    }
    student.load_state_dict(own | inherited)
