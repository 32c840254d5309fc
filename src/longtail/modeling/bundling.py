"""From a trained sequence model to a scoring bundle: fit the sparse terms on validation, export, write."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from longtail.contracts.artifacts import BUNDLE, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.modeling.export import export_sequence_encoder
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Sequences, query_vectors
from longtail.modeling.training_data import attribute_codes
from longtail.neighbours.counting import log_popularity
from longtail.neighbours.fitting import Encode, Fit, Terms, fit_terms, newcomers
from longtail.neighbours.item_to_item import ItemToItem
from longtail.neighbours.recency import choose_half_life, likely_counts
from longtail.neighbours.traits import fit_traits, no_traits, vocabulary
from longtail.neighbours.usual import USUAL, Usual
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.bundle import LIKENESS, Tensors, bundle_facts
from longtail.scoring.bundle_writing import write_tables

RIDGE = 1.0  # of the guess of words' vectors: one more text, as it were, that says nothing


@dataclass(frozen=True)
class Fitted:
    """A trained sequence model, the counted terms beside it, and the weights that validation gave them.

    half_life: of popularity, in days; None where all events count alike.
    """

    model: SequenceModel
    prepared: PreparedDataset
    terms: Terms
    half_life: float | None
    fit: Fit

    @classmethod
    def on_validation(
        cls,
        model: SequenceModel,
        prepared: PreparedDataset,
        term: ItemToItem,
        seed: int,
        knows: bool,
        usual: Usual = USUAL,
    ) -> "Fitted":
        """Weights of the counted terms beside this model's dense scores; these have none where it ``knows`` nothing.

        usual: what is taken where validation users are too few to choose.
        """
        encode, items = _dense(model, prepared) if knows else _no_dense(prepared)
        cases = ValidationCases.of(prepared)
        half_life = choose_half_life(prepared, cases)
        popularity = log_popularity(likely_counts(prepared, half_life))
        traits = no_traits(len(items))
        if vocabulary(prepared):
            traits = fit_traits(prepared, newcomers(cases, items, popularity, encode, seed))
        terms = Terms(term, popularity, traits)
        fit = fit_terms(terms, items, cases, encode, seed, usual)
        return cls(model, prepared, terms, half_life, fit if knows else fit.without_dense())

    def counted_alone(self, seed: int) -> Fit:
        """The weights that validation would give the counted terms without the dense part."""
        encode, items = _no_dense(self.prepared)
        return fit_terms(self.terms, items, ValidationCases.of(self.prepared), encode, seed).without_dense()


def _dense(model: SequenceModel, prepared: PreparedDataset) -> tuple[Encode, NDArray[np.float32]]:
    """Query vectors of validation users, and the items' vectors [items, dim]."""
    targets, attributes = prepared.targets(Split.VALIDATION), attribute_codes(prepared)

    def encode(histories: list[NDArray[np.int32]], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        users = [attributes[targets.users[row]] for row in rows]
        return query_vectors(model, Sequences(histories, users, model.shape.max_history)).cpu().numpy()

    return encode, model.item_vectors().detach().cpu().numpy()


def _no_dense(prepared: PreparedDataset) -> tuple[Encode, NDArray[np.float32]]:
    """The same where nothing is known: every dense score is 0."""
    return (
        lambda histories, _: np.zeros((len(histories), 1), dtype=np.float32),
        np.zeros((len(prepared.item_ids), 1), dtype=np.float32),
    )


def text_projection(model: SequenceModel, n_numbers: int) -> NDArray[np.float32]:
    """From text vectors to what an item's vector takes from its text. ``[text_dim, dim]``

    The features are text vectors, pictures, words, and ``n_numbers`` numbers. A text that comes later has no picture and no word
    vector of its own: what these add is guessed from the text vector, by ridge regression over the catalogue.
    """
    known: torch.Tensor = model.features  # type: ignore[assignment]
    features, weight = _array(known), _array(model.project.weight).T  # [items, features], [features, dim]
    text, end = features[:, : model.text_dim], features.shape[1] - n_numbers
    words = features[:, model.text_dim : end] @ weight[model.text_dim : end]  # [items, dim]
    gram = text.T @ text + RIDGE * np.eye(model.text_dim, dtype=np.float32)
    guessed = np.linalg.solve(gram, text.T @ words)
    return np.asarray(weight[: model.text_dim] + guessed, dtype=np.float32)


def write_bundle(
    path: Path, fitted: Fitted, text_encoder: Callable[[Path], None], max_tokens: int, **facts: object
) -> None:
    """Write a scoring bundle. ``text_encoder`` puts text_encoder.onnx and tokenizer.json into the folder it is given."""
    prepared, term = fitted.prepared, fitted.terms.item_to_item
    recorded = bundle_facts(
        prepared.segment_rule,
        prepared.exclude_history,
        fitted.model.shape.max_history,
        max_tokens,
        prepared.train_digest(),
        validation_ndcg_by_history=fitted.fit.ndcg,
        sparse_term=asdict(term.mixture),
        has_dense_part=bool(fitted.fit.dense_weight.any()),
        popularity_half_life=fitted.half_life,
        trait_columns=fitted.terms.traits.weights,
        preprocess=prepared.facts["settings"],
        numeric_names=prepared.facts["numeric_names"],
        data_until=prepared.until,
        **facts,
    )
    with write_artifact(path, BUNDLE, recorded) as folder:
        fill_bundle(folder, fitted, text_encoder)


@torch.no_grad()
def fill_bundle(folder: Path, fitted: Fitted, text_encoder: Callable[[Path], None]) -> None:
    """Write a bundle's files into ``folder`` (inside ``write_artifact``)."""
    model, prepared = fitted.model.cpu().eval(), fitted.prepared
    write_tables(folder, _tensors(fitted), _catalogue(prepared), vocabulary(prepared))
    export_sequence_encoder(model.encoder, folder / "sequence_encoder.onnx")
    text_encoder(folder)
    fitted.terms.item_to_item.likeness.save(folder / LIKENESS)


def _tensors(fitted: Fitted) -> Tensors:
    model, prepared, terms, fit = fitted.model, fitted.prepared, fitted.terms, fitted.fit
    term, traits = terms.item_to_item, terms.traits
    return Tensors(
        item_matrix=_array(model.item_vectors()),
        log_popularity=terms.log_popularity,
        start=_array(model.start),
        attribute_matrix=_array(model.attributes.weight)[: len(prepared.facts["user_attributes"])],
        text_projection=text_projection(model, len(prepared.facts["numeric_names"])),
        neighbours=term.neighbours,
        traits=traits.matrix,
        trait_scale=traits.scale,
        trait_base=traits.base,
        dense_weight=fit.dense_weight,
        neighbour_weight=fit.neighbour_weight,
        popularity_weight=fit.popularity_weight,
        trait_weight=fit.trait_weight,
        decay=term.decay,
    )


def _catalogue(prepared: PreparedDataset) -> pa.Table:
    return pa.table(
        {
            Columns.ITEM: prepared.item_ids,
            Columns.TITLE: pa.array(prepared.titles, pa.string()),
            Columns.ATTRIBUTES: pa.array(prepared.item_attributes, pa.list_(pa.string())),
            Columns.TEXT: prepared.item_texts,
            Columns.TRAIN_COUNT: prepared.train_counts,
            Columns.NUMBERS: pa.array(prepared.numbers, pa.list_(pa.float64())),
        }
    )


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().numpy(), dtype=np.float32)
