"""What counting gives to a bundle, made again from other events, in seconds and without training.

Made again: the sparse term (what is chosen together, what comes after, words and texts, in the mixture that validation chose),
popularity and the items' counts, and what is chosen with which attributes and context, where the data tells them. Kept: all vectors
and encoders, the decay, the bundle's compression, and the terms' weights, but for that of popularity in a refresh (``ageing``).
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from longtail.contracts.artifacts import BUNDLE, MANIFEST, check_place, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.decision import measured_model
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.ageing import NEWEST, popularity_factors
from longtail.neighbours.counting import log_popularity
from longtail.neighbours.item_to_item import ItemToItem, Mixture, counted
from longtail.neighbours.recency import likely_counts
from longtail.neighbours.traits import TraitTerm, columns_of, vocabulary
from longtail.scoring.bundle import ENCODERS, LIKENESS, POSTERIOR, Bundle, copy_files, items_table, load_bundle
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.likeness import Likeness
from longtail.scoring.rows import keep_top

log = logging.getLogger(__name__)
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Recounted:
    """A bundle in memory whose counts are those of other events, and the whole sparse term of these.

    factors [2]: of popularity's weight, for users without and with a history.
    """

    bundle: Bundle
    term: ItemToItem
    factors: NDArray[np.float32]


def mixture_of(bundle: Bundle) -> Mixture:
    """How the bundle's sparse term is mixed.

    Raises:
        UserError: the bundle was made before bundles said it.
    """
    if "sparse_term" not in bundle.facts:
        raise UserError(
            f"{bundle.path}: is of an earlier version and does not say how its sparse term is mixed, so it cannot be counted "
            "again; train it again with this version (longtail run)"
        )
    known = bundle.facts["sparse_term"]
    return Mixture(tuple(known["shares"]), known["decay"], known["neighbours"])


def recount(bundle: Bundle, data: PreparedDataset) -> Recounted:
    """The bundle, counted again from the training events of ``data``; events of items that it does not know are left out.

    The terms' weights are those that validation chose, also where the bundle was refreshed since.

    Raises:
        UserError: as ``mixture_of``.
    """
    mixture = mixture_of(bundle)
    factors = np.array(bundle.facts.get("refreshed", {}).get("popularity_factors", [1, 1]), np.float32)
    here = bundle.codes_of(data.item_ids)  # code in data -> in bundle
    sequences = [sequence[sequence >= 0] for sequence in (here[given] for given in data.train_sequences())]
    texts = [text or "" for text in items_table(bundle).column(Columns.TEXT).to_pylist()]
    term = counted(sequences, texts, Likeness.load(bundle.path / LIKENESS).text_vectors, mixture)
    counts = np.bincount(np.concatenate([*sequences, np.zeros(0, np.int32)]), minlength=len(texts)).astype(np.int64)
    popularity = np.zeros(len(texts))
    popularity[here[here >= 0]] = likely_counts(data, bundle.facts["popularity_half_life"])[here >= 0]
    kept = int(bundle.facts.get("keep_neighbours", mixture.neighbours))
    tensors = replace(
        bundle.tensors,
        neighbours=keep_top(term.neighbours, kept),
        log_popularity=log_popularity(popularity),
        popularity_weight=_times(bundle.tensors.popularity_weight, 1 / factors),
        **_traits(bundle, data, here),
    )
    return Recounted(replace(bundle, tensors=tensors, train_counts=counts), term, np.ones(2, np.float32))


def freshened(bundle: Bundle, data: PreparedDataset) -> Recounted:
    """``recount``, and where popularity goes by recency it counts as much as the newest of these events want it to.

    Raises:
        UserError: as ``mixture_of``.
    """
    made = recount(bundle, data)
    if bundle.facts["popularity_half_life"] is None:
        return made
    past = data.newest_held_back(NEWEST)
    factors = popularity_factors(recount(bundle, past).bundle, past)
    tensors = made.bundle.tensors
    tensors = replace(tensors, popularity_weight=_times(tensors.popularity_weight, factors))
    return replace(made, bundle=replace(made.bundle, tensors=tensors), factors=factors)


def _times(weights: NDArray[np.float32], factors: NDArray[np.floating]) -> NDArray[np.float32]:
    """weights: of each length of history; factors [2]: without and with one."""
    each = np.where(np.arange(len(weights)) == 0, factors[0], factors[1])
    return np.asarray(weights * each, dtype=np.float32)


def _traits(bundle: Bundle, data: PreparedDataset, here: NDArray[np.int32]) -> dict[str, Any]:
    """The tensors that count by attributes and context: made again where ``data`` has all of their columns, else as they are.

    here: code in data -> in bundle.
    """
    weights = bundle.facts["trait_columns"]
    if not weights or not weights.keys() <= columns_of(vocabulary(data)).keys():
        return {}
    made = TraitTerm.counted(data, bundle.attributes).weighed(weights)
    entries, base = made.matrix.tocoo(), np.zeros_like(bundle.tensors.trait_base)
    there = here[entries.col] >= 0
    place = (entries.row[there], here[entries.col[there]])
    base[here[here >= 0]] = made.base[here >= 0]
    return {
        "traits": sparse.csr_array((entries.data[there], place), shape=bundle.tensors.traits.shape),
        "trait_base": base,
    }


def write_recounted(bundle: AnyPath, data: PreparedDataset, output: AnyPath, measured: str | None = None) -> int:
    """Write the bundle to ``output`` (it may be ``bundle``), counted again from all events of ``data``; returns their number.

    measured: ``measured_digest`` of what ``bundle`` was made of, where items were added since.

    Raises:
        UserError: as ``mixture_of``, or a bundle or place that cannot be used.
    """
    check_place(output, BUNDLE)
    loaded, everything = load_bundle(bundle), data.learnt_until(Split.TEST)
    made = freshened(loaded, everything)
    mode = loaded.facts.get("refreshed", {}).get("mode", "refresh")  # a retrained one stays that
    facts = loaded.facts | refreshed_facts(measured or measured_digest(loaded), everything, mode, made.factors.tolist())
    with write_artifact(output, BUNDLE, facts) as folder:
        write_tables(folder, made.bundle.tensors, _with_counts(loaded, made.bundle.train_counts), loaded.attributes)
        copy_files(loaded.path, folder, (*ENCODERS, POSTERIOR))
        made.term.likeness.save(folder / LIKENESS)
    events = int(made.bundle.train_counts.sum())
    log.info("%s: counted again from %d events", output, events)
    return events


def check_grown(bundle: Bundle, data: PreparedDataset, name: str) -> None:
    """Refuse a table that seems to hold only what came since: earlier counts would be lost. name: of the table.

    Raises:
        UserError: it holds less than half of the events that the bundle has counted.
    """
    counted_before, events = int(bundle.train_counts.sum()), len(data.splits)
    if 2 * events < counted_before:
        raise UserError(
            f"{name}: holds {events} events, but {bundle.path} has counted {counted_before}: a refresh counts from the "
            "beginning, so give all interactions up to now, not only the latest"
        )


def measured_digest(bundle: Bundle) -> str:
    """SHA-256 of the manifest of the bundle that was measured: of this one, or of what it was refreshed from."""
    return measured_model((bundle.path / MANIFEST).read_bytes())


def refreshed_facts(
    measured: str, everything: PreparedDataset, mode: str, popularity_factors: Sequence[float] = (1.0, 1.0)
) -> dict[str, object]:
    """What the manifest of a bundle says that has learnt from all events."""
    return {
        "refreshed": {
            "mode": mode,
            "from": measured,
            "events": len(everything.splits),
            "until": everything.until,
            "popularity_factors": list(popularity_factors),
        },
        "data_until": everything.until,
        "train_digest": everything.train_digest(),
    }


def _with_counts(bundle: Bundle, counts: NDArray[np.int64]) -> pa.Table:
    table = items_table(bundle)
    place = table.schema.get_field_index(Columns.TRAIN_COUNT)
    return table.set_column(place, Columns.TRAIN_COUNT, pa.array(counts))
