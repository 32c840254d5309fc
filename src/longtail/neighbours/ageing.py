"""How much popularity counts in a bundle whose vectors are older than its counts.

What was learnt grows old, and where tastes move on within days (a half-life of popularity was chosen) it then favours what was popular when
it was learnt. So a refresh holds back the newest events, counts the others, and asks: of these factors of popularity's weight, with which
are the newest choices ranked best? A factor that is not surely better than none is not taken.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import ndcg, rank_targets
from longtail.neighbours.traits import SURE
from longtail.neighbours.usual import FEWEST
from longtail.scoring.bundle import Bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer, buckets_of

log = logging.getLogger(__name__)
NEWEST = 0.05  # share of the events that are held back
# powers of two, so that dividing by them gives the weights back to the last bit
FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
MOST, SIZE = 2000, 250  # users who are asked, and how many at a time


def popularity_factors(counted: Bundle, data: PreparedDataset) -> NDArray[np.float32]:
    """Of popularity's weight, for users without and with a history. ``[2]``

    counted: the bundle, counted from the training events of ``data``; who has validation events there is asked for the first.
    """
    asked, wanted = _asked(counted, data)
    gains = np.zeros((len(asked), len(FACTORS)))
    scorer, tensors = Scorer(counted), counted.tensors
    for begin in range(0, len(asked), SIZE):
        users = slice(begin, begin + SIZE)
        scores, weights = scorer.score(asked[users]), tensors.popularity_weight[buckets_of(asked[users])]
        excluded = [query.history for query in asked[users]] if data.exclude_history else []
        for place, factor in enumerate(FACTORS):
            more = np.float32(factor - 1) * weights[:, None] * tensors.log_popularity
            gains[users, place] = ndcg(rank_targets(scores + more, wanted[users], excluded))
    known = np.array([len(query.history) > 0 for query in asked], dtype=np.bool_)
    factors = np.array([_surely_better(gains[rows]) for rows in (~known, known)], dtype=np.float32)
    log.info("popularity counts %g times as much without a history, %g times with one", *factors.tolist())
    return factors


def _asked(counted: Bundle, data: PreparedDataset) -> tuple[list[Query], list[NDArray[np.int32]]]:
    """Users who chose something that the bundle knows, and what they chose first, in the bundle's codes."""
    here = counted.codes_of(data.item_ids)  # code in data -> in bundle
    targets = data.targets(Split.VALIDATION)
    first = np.array([here[items[0]] for items in targets.items], dtype=np.int32)
    known = np.random.default_rng(0).permutation(np.flatnonzero(first >= 0))[:MOST].tolist()
    histories = [here[targets.histories[row]] for row in known]
    queries = [
        Query(history[history >= 0], data.user_attributes[targets.users[row]], context=targets.contexts[row])
        for row, history in zip(known, histories)
    ]
    return queries, [first[row : row + 1] for row in known]


def _surely_better(gains: NDArray[np.float64]) -> float:
    """The best factor where it is ``SURE`` standard errors above 1, of ``FEWEST`` users at least; else 1. gains [users, FACTORS]"""
    if len(gains) < FEWEST:
        return 1.0
    best = int(gains.mean(axis=0).argmax())
    more = gains[:, best] - gains[:, 0]
    return FACTORS[best] if more.mean() > SURE * more.std() / len(more) ** 0.5 else 1.0
