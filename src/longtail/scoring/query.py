"""What a scorer is asked: a history, and what else is known of a user."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Targets


@dataclass(frozen=True)
class Query:
    """One user. history: item codes, oldest first; attributes: ``name=value``; interests: words of the user's own.

    user: code in the Prepared data set, for what is known of users by name; None for somebody else. context: ``name=value`` of the
    moment of asking.
    """

    history: NDArray[np.int32]
    attributes: Sequence[str] = ()
    interests: str | None = None
    user: int | None = None
    context: Sequence[str] = ()


class System(Protocol):
    """Anything that ranks the catalogue: student, teacher, baselines."""

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Scores of the whole catalogue, higher is better; history is not excluded yet. ``[queries, items]``"""
        ...


def queries_of(prepared: PreparedDataset, targets: Targets, last: int | None = None) -> list[Query]:
    """The queries of a split's users, with the history cut to its ``last`` items where given."""
    return [
        Query(
            history if last is None else history[len(history) - min(last, len(history)) :],
            prepared.user_attributes[user],
            user=int(user),
            context=context,
        )
        for user, history, context in zip(targets.users, targets.histories, targets.contexts)
    ]
