"""What a sequence model is trained and validated on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import TargetRanks, ndcg, rank_targets
from longtail.modeling.augmentation import augment
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Sequences, query_vectors
from longtail.modeling.training_settings import TrainingSettings
from longtail.neighbours.traits import trait_codes


@dataclass(frozen=True)
class TrainingData:
    """Training sequences, the validation users that decide when to stop, the sparse term beside the dense scores, and what a position
    counts by its item [items] where it is known what was shown."""

    train: Sequences
    validation: Sequences
    validation_items: list[NDArray[np.int32]]
    exclude_history: bool
    neighbours: NeighbourTerm | None = None
    item_weights: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, prepared: PreparedDataset, max_history: int, neighbours: NeighbourTerm | None = None) -> "TrainingData":
        attributes = attribute_codes(prepared)
        targets = prepared.targets(Split.VALIDATION)
        return cls(
            Sequences(prepared.train_sequences(), attributes, max_history),
            Sequences(targets.histories, [attributes[user] for user in targets.users], max_history),
            targets.items,
            prepared.exclude_history,
            neighbours,
            prepared.exposure_weights(),
        )


def attribute_codes(prepared: PreparedDataset) -> list[NDArray[np.int64]]:
    """Each user's attributes as rows of the vocabulary. ``[users]``"""
    return trait_codes(prepared.facts["user_attributes"], prepared.user_attributes)


def epoch_batches(
    sequences: Sequences, settings: TrainingSettings, order: np.random.Generator, changes: np.random.Generator
) -> list[tuple[Sequences, NDArray[np.float32] | None, NDArray[np.intp]]]:
    """Passes over the sequences until there are ``epoch_steps`` batches: changed sequences, their weights, the batch's rows."""
    batches: list[tuple[Sequences, NDArray[np.float32] | None, NDArray[np.intp]]] = []
    while len(batches) < settings.epoch_steps and sequences.lengths.any():
        changed = augment(sequences, settings, changes)
        weights = changed.weights(settings.user_weight_power)
        batches += [(changed, weights, rows) for rows in changed.bucketed(settings.batch_positions, order)]
    return batches


@torch.no_grad()
def validation_ndcg(model: SequenceModel, data: TrainingData, size: int = 1024) -> float:
    """Mean NDCG@10 of the validation targets over the whole catalogue; a tie counts against the model."""
    if len(data.validation) == 0:
        return 0.0
    vectors = model.item_vectors()
    queries = query_vectors(model, data.validation)
    ranks = []
    for begin in range(0, len(queries), size):
        users = slice(begin, begin + size)
        scores = (queries[users] @ vectors.T).cpu().numpy()
        if data.neighbours is not None:
            scores += data.neighbours.after(data.validation.histories[users]).numpy()
        excluded = data.validation.whole[users] if data.exclude_history else []  # also what was not read
        ranks.append(rank_targets(scores, data.validation_items[users], excluded))
    return float(ndcg(TargetRanks.joined(ranks)).mean())
