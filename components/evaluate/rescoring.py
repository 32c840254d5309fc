"""The model in service today, re-scored on today's targets."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.recounting import recount
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

log = logging.getLogger(__name__)


class Champion:
    """A bundle over a catalogue of its own. Items that it does not know it can neither read nor recommend.

    One that was refreshed may have counted these targets. It is counted again from the training events, as the student was, and
    both would be refreshed alike. What a retrained one's vectors have seen cannot be taken off.
    """

    def __init__(self, path: Path, prepared: PreparedDataset) -> None:
        bundle = load_bundle(path)
        if bundle.facts.get("refreshed", {}).get("mode") == "retrain":
            log.warning(
                "%s: the champion was retrained on all events of its day, perhaps these targets, which favours it", path
            )
        self._scorer = Scorer(recount(bundle, prepared).bundle if "refreshed" in bundle.facts else bundle)
        self._translation = self._scorer.bundle.codes_of(prepared.item_ids)  # our code -> theirs
        self._our_codes = np.flatnonzero(self._translation >= 0)
        self._their_codes = self._translation[self._our_codes]

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        translated = [self._translation[query.history] for query in queries]
        known = [
            Query(history[history >= 0], query.attributes, query.interests, context=query.context)
            for history, query in zip(translated, queries)
        ]
        scores = np.full((len(queries), len(self._translation)), -np.inf, dtype=np.float32)
        scores[:, self._our_codes] = self._scorer.score(known)[:, self._their_codes]
        return scores
