"""Where an item would stand in each user's list: the lists turned round."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.asked import Asked
from longtail.scoring.query import Query
from longtail.scoring.question import Question
from longtail.scoring.recommender import Recommender
from longtail.scoring.scores import Scores


@dataclass(frozen=True)
class Standing:
    """Of some items for one user, who is served as one of ``segment``. places [items]: from 1, by score among all items that this user
    may be given; 0 where an item may not be given; scores [items]: NaN there."""

    query: Query
    segment: str
    places: NDArray[np.int32]
    scores: NDArray[np.float32]


def standings(recommender: Recommender, asked: Sequence[Asked], items: NDArray[np.integer]) -> Iterator[Standing]:
    """For each user, in the order asked. Boosts of rules count, what rules place does not: places are those of scores.

    items: codes. Of a catalogue with an index a place is one of those among what the index found, so that it is at least as good as the place among all,
    and the same as long as the index misses none that is better.
    """
    recommender.scorer.always_score(items)
    for question, scores in recommender.scored(asked):
        yield _standing(recommender, question, scores, items)


def _standing(recommender: Recommender, question: Question, scores: Scores, items: NDArray[np.integer]) -> Standing:
    allowed = question.allowed
    if allowed is None:
        allowed = recommender.eligibility.allowed(question.asked, question.left_out)
    values = scores.values
    if (boost := question.rules.boost) is not None:  # with which all items are scored
        values = values + values.std() * boost
    codes = np.flatnonzero(allowed) if scores.codes is None else scores.codes[allowed[scores.codes]]
    others = values[codes if scores.codes is None else np.searchsorted(scores.codes, codes)]
    places, own = np.zeros(len(items), np.int32), np.full(len(items), np.nan, np.float32)
    for row, item in enumerate(items.tolist()):
        if allowed[item]:
            own[row] = others[np.searchsorted(codes, item)]
            before = np.count_nonzero(others > own[row]) + np.count_nonzero(others[codes < item] == own[row])
            places[row] = before + 1
    return Standing(question.query, question.segment, places, own)
