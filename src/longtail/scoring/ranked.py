"""Runs every system over users and keeps what the metrics need: ranks of the targets, and top lists."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from longtail.contracts.prepared import PreparedDataset, Targets
from longtail.metrics.ranking import TargetRanks, rank_targets
from longtail.scoring.query import Query, System, queries_of
from longtail.scoring.rows import standardised
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
    systems: Mapping[str, System],
    prepared: PreparedDataset,
    targets: Targets,
    last: int | None = None,
    mixtures: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Ranked]:
    """Rank the whole catalogue for every user by every system, and by every mixture whose parts are among them.

    The history is cut to its ``last`` items where given; what is shown of it is excluded unless repeats were kept. A mixture
    adds up its parts' standardised scores.
    """
    queries = queries_of(prepared, targets, last)
    mixed = {name: parts for name, parts in (mixtures or {}).items() if systems.keys() >= set(parts)}
    found = {name: _Gathered([], np.full((len(queries), LIST_SIZE), -1, dtype=np.int64)) for name in (*systems, *mixed)}
    what = "whole histories" if last is None else f"histories cut to {last}"
    size = max(1, min(BATCH, BATCH_SCORES // len(prepared.item_ids)))
    order = np.argsort([len(query.history) for query in queries], kind="stable")  # batches of little padding
    for begin in tqdm(range(0, len(queries), size), desc=what, unit="batch", disable=None, leave=False):
        users = order[begin : begin + size]
        batch = [queries[user] for user in users]
        wanted = [targets.items[user] for user in users]
        excluded = [query.history for query in batch] if prepared.exclude_history else []
        for name, scores in _scores(systems, mixed, batch).items():
            try:
                found[name].ranks.append(rank_targets(scores, wanted, excluded))
            except ValueError as error:
                raise ValueError(f"{name} cannot be ranked: {error}") from None
            if last is None:
                found[name].put_lists(users, scores)
    log.info("evaluate: %d users ranked by %d systems (%s)", len(queries), len(found), what)
    return {name: Ranked(TargetRanks.joined(one.ranks).of_rows(order), one.lists) for name, one in found.items()}


@dataclass(frozen=True)
class _Gathered:
    ranks: list[TargetRanks]  # of one batch after the other
    lists: NDArray[np.int64]

    def put_lists(self, users: NDArray[np.intp], scores: NDArray[np.float32]) -> None:
        for user, row in zip(users, scores):
            best = top_items(row, LIST_SIZE, np.zeros(0, np.int64))
            self.lists[user, : len(best)] = best


def _scores(
    systems: Mapping[str, System], mixed: Mapping[str, Sequence[str]], batch: Sequence[Query]
) -> dict[str, NDArray[np.float32]]:
    """Scores of every system and mixture, each ``[queries, items]``."""
    scores = {name: system.score(batch) for name, system in systems.items()}
    alike = {name: standardised(scores[name]) for name in {part for parts in mixed.values() for part in parts}}
    return scores | {name: np.sum([alike[part] for part in parts], axis=0) for name, parts in mixed.items()}
