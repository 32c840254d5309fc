"""One user's question, with what the shop says to it, before anything is scored: which items' scores an answer needs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.asked import Asked
from longtail.scoring.eligibility import LeftOut, Mask
from longtail.scoring.in_force import InForce
from longtail.scoring.query import Query
from longtail.scoring.scores import Scores, distinct

SCORED_AT_ONCE = 20_000  # items that are few enough to be scored all; where more may be given an index chooses
ENOUGH = 4  # times k of what an index found must be allowed: else all items are scored


class Question(NamedTuple):
    """asked: with its ``k``; allowed [items]: which may be given, None where all may that are not left out."""

    asked: Asked
    query: Query
    segment: str
    rules: InForce
    left_out: LeftOut
    allowed: Mask | None

    @property
    def needs_all(self) -> bool:
        """Whether the scores of all items count: those of an index's best do not tell what words, likeness or rules bring up."""
        asked, rules = self.asked, self.rules
        return (
            bool(asked.interests or asked.similar_to or asked.explore) or rules.boost is not None or rules.names_items
        )

    @property
    def few(self) -> NDArray[np.integer] | None:
        """The items that may be given, where they are so few that all are scored; with those that the shop took out, to say whether
        that changed the answer."""
        if self.allowed is None or np.count_nonzero(self.allowed) > SCORED_AT_ONCE:
            return None
        codes, taken = np.flatnonzero(self.allowed), self.left_out[1:]
        return distinct([codes, *taken]) if any(map(len, taken)) else codes

    def suffices(self, scores: Scores) -> bool:
        """Whether enough of what an index found may be given."""
        if scores.complete or scores.codes is None:
            return True
        if self.allowed is None:
            may_be_given = ~np.isin(scores.codes, np.concatenate(self.left_out))
        else:
            may_be_given = self.allowed[scores.codes]
        return int(np.count_nonzero(may_be_given)) >= ENOUGH * (self.asked.k or 0)
