"""Runs every system over the test users and keeps what the metrics need: ranks of the targets, and top lists."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from longtail.baselines.classic import MIXTURES, standardised
from longtail.contracts.prepared import PreparedDataset, Targets
from longtail.metrics.ranking import TargetRanks, rank_targets
from longtail.scoring.query import Query, System, queries_of
from longtail.scoring.top import top_items

log = logging.getLogger(__name__)
BATCH = 512  # users scored at once at most
BATCH_SCORES = 8_000_000  # of a system: 32 MB
LIST_SIZE = 10


@dataclass(frozen=True)
class Ranked:
    """One system's answers. lists [users, LIST_SIZE]: item codes of the best items, -1 where there are fewer."""

    ranks: TargetRanks
    lists: NDArray[np.int64]


def rank_all(
    systems: Mapping[str, System], prepared: PreparedDataset, targets: Targets, last: int | None = None
) -> dict[str, Ranked]:
    """Rank the whole catalogue for every user by every system and every mixture whose parts are among them.

    The history is cut to its ``last`` items where given; what is shown of it is excluded unless repeats were kept.
    """
    queries = queries_of(prepared, targets, last)
    mixtures = {name: mixed for name, mixed in MIXTURES.items() if systems.keys() >= set(mixed)}
    names = [*systems, *mixtures]
    ranks = {name: [np.zeros(0, np.int64)] * len(queries) for name in names}
    lists = {name: np.full((len(queries), LIST_SIZE), -1, dtype=np.int64) for name in names}
    what = "whole histories" if last is None else f"histories cut to {last}"
    size = max(1, min(BATCH, BATCH_SCORES // len(prepared.item_ids)))
    by_length = np.argsort([len(query.history) for query in queries], kind="stable")  # batches of little padding
    for begin in tqdm(range(0, len(queries), size), desc=what, unit="batch", disable=None, leave=False):
        users = by_length[begin : begin + size]
        batch = [queries[user] for user in users]
        scores = {name: system.score(batch) for name, system in systems.items()}
        parts = {name: standardised(scores[name]) for name in {part for mix in mixtures.values() for part in mix}}
        scores |= {name: sum(parts[part] for part in mix) for name, mix in mixtures.items()}  # type: ignore[misc]
        for name in names:
            if prepared.exclude_history:
                exclude(scores[name], batch)
            for user, row in zip(users, scores[name]):
                if np.isnan(row.sum()):
                    raise ValueError(
                        f"{name} gave a score that is not a number, for the history {queries[user].history}"
                    )
                ranks[name][user] = rank_targets(row, targets.items[user])
                if last is None:
                    best = top_items(row, LIST_SIZE, queries[user].history[:0])
                    lists[name][user, : len(best)] = best
    log.info("evaluate: %d users ranked by %d systems (%s)", len(queries), len(names), what)
    owners = np.repeat(np.arange(len(queries)), [len(items) for items in targets.items])
    return {name: Ranked(TargetRanks(np.concatenate(ranks[name]), owners, len(queries)), lists[name]) for name in names}


def exclude(scores: NDArray[np.float32], queries: Sequence[Query]) -> None:
    """Set the items of each history to -inf, in place."""
    rows = np.repeat(np.arange(len(queries)), [len(query.history) for query in queries])
    scores[rows, np.concatenate([query.history for query in queries])] = -np.inf
