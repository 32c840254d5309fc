"""The Prepared data set: what preprocess writes and every later stage reads.

Files:
    items.parquet    item_code, item_id, title, text, attributes, numeric, numbers, train_count; sorted by item_code
    users.parquet    user_code, user_id, attributes (list of ``name=value``); sorted by user_code
    events.parquet   user_code, position, item_code, timestamp (microseconds since 1970), split, tied, context (list of
                     ``name=value``); sorted by user_code, position
    rejected.parquet table, row, reason, content
    images.parquet   item_code, image; sorted by item_code. Only of items that have one, and only where there are some: an address
                     (text), or a vector (list of float32, all of one length)
    exposures.parquet item_code, propensity, weight (of an event of the item; mean 1 over the training events); sorted by item_code.
                     Only where a table of what was shown was given

Facts in the manifest: ``protocol``, ``split`` (rule and cut-offs), ``segment_rule``, ``counts``, ``rejected`` (reason ->
count), ``numeric_names``, ``user_attributes`` and ``context`` (sorted ``name=value`` vocabularies), ``repeats``, ``settings``, and
    exposures  None, or what was shown to whom in numbers (components/preprocess/exposures.py)
    images  None, or ``kind`` (addresses, vectors), ``items`` (how many have one) and ``width`` (of the vectors, else None)
    times   ``first``, ``last`` (microseconds; None where there are no events), ``resolution`` (day, second, microsecond), ``warnings``
            (sentences)
    ties    how much of the order is not known. ``order`` (hash, file) and ``seed`` say how it was made; ``events`` with, and
            ``users`` of, another event at the same time; for ``validation`` and ``test`` the ``targets`` (events), those
            ``tied``, and those ``drawn``: which event became the target was chance (leave_last_out, order hash)
"""

import copy
import hashlib
import os
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.contracts.artifacts import PREPARED, Artifact, read_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.segments import SegmentRule

IMAGES = "images.parquet"
EXPOSURES = "exposures.parquet"


class Split(IntEnum):
    """Who may see an event. A split's targets are predicted from all events of lower splits."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True)
class Targets:
    """Users of one split, the histories they are predicted from, and the items to be found.

    users [n] int32; histories and items: n arrays of item codes, oldest first, each item to be found once; contexts: ``name=value``
    of the moment of each user's first target, which is when the question is asked.
    """

    users: NDArray[np.int32]
    histories: list[NDArray[np.int32]]
    items: list[NDArray[np.int32]]
    contexts: list[list[str]]

    def __len__(self) -> int:
        return len(self.users)

    def of(self, rows: NDArray[np.integer]) -> "Targets":
        """Those of some of the users, in the order of ``rows``."""
        return Targets(
            self.users[rows],
            [self.histories[row] for row in rows],
            [self.items[row] for row in rows],
            [self.contexts[row] for row in rows],
        )

    @property
    def history_lengths(self) -> NDArray[np.int64]:
        return np.array([len(history) for history in self.histories], dtype=np.int64)


@dataclass(frozen=True)
class Images:
    """Of the items ``codes`` [n] int32, ascending: the addresses of their pictures, or vectors [n, width]."""

    codes: NDArray[np.int32]
    addresses: list[str] | None
    vectors: NDArray[np.float32] | None


class PreparedDataset:
    """Read access to a Prepared data set. Small columns are held as numpy arrays."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.artifact: Artifact = read_artifact(path, PREPARED)
        self.facts: dict[str, Any] = dict(self.artifact.facts)
        events = pq.read_table(self.artifact.file("events.parquet"))

        def column(name: str, kind: Any) -> Any:
            return events.column(name).to_numpy().astype(kind, copy=False)

        self.user_codes: NDArray[np.int32] = column(Columns.USER_CODE, np.int32)  # [events]
        self.item_codes: NDArray[np.int32] = column(Columns.ITEM_CODE, np.int32)  # [events]
        self.timestamps: NDArray[np.int64] = column(Columns.TIMESTAMP, np.int64)  # [events], microseconds since 1970
        self.splits: NDArray[np.int8] = column(Columns.SPLIT, np.int8)  # [events]
        self.tied: NDArray[np.bool_] = column(Columns.TIED, np.bool_)  # [events]
        self._contexts = events.column(Columns.CONTEXT).combine_chunks()
        items = pq.read_table(self.artifact.file("items.parquet"))
        self.item_ids: list[str] = items.column(Columns.ITEM).to_pylist()
        self.titles: list[str | None] = items.column(Columns.TITLE).to_pylist()
        self.item_texts: list[str] = [text or "" for text in items.column(Columns.TEXT).to_pylist()]
        self.item_attributes: list[list[str]] = [row or [] for row in items.column(Columns.ATTRIBUTES).to_pylist()]
        self.train_counts: NDArray[np.int64] = items.column(Columns.TRAIN_COUNT).to_numpy()
        numeric_names: list[str] = self.facts["numeric_names"]
        self.numeric: NDArray[np.float32] = np.array(
            items.column(Columns.NUMERIC).to_pylist(), dtype=np.float32
        ).reshape(len(self.item_ids), len(numeric_names))  # [items, features]
        self.numbers: list[list[float | None]] = items.column(Columns.NUMBERS).to_pylist()  # as they were given
        users = pq.read_table(self.artifact.file("users.parquet"))
        self.user_ids: list[str] = users.column(Columns.USER).to_pylist()
        self.user_attributes: list[list[str]] = [row or [] for row in users.column(Columns.ATTRIBUTES).to_pylist()]

    @property
    def segment_rule(self) -> SegmentRule:
        return SegmentRule(**self.facts["segment_rule"])

    @property
    def exclude_history(self) -> bool:
        """Items of the history are not recommended again, unless repeats were kept as events of their own."""
        return bool(self.facts["repeats"] != "keep")

    @property
    def by_clock(self) -> bool:
        """Whether what is held back comes later than all that is learnt from, not only than its own user's events."""
        return bool(self.facts["split"]["rule"] != "leave_last_out")

    @property
    def until(self) -> int:
        """Time of the latest event, seconds since 1970; 0 where there is none."""
        return int(self.timestamps.max(initial=0)) // 1_000_000

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Events of user u are rows ``_starts[u]:_starts[u + 1]``."""
        return np.searchsorted(self.user_codes, np.arange(len(self.user_ids) + 1))

    def images(self) -> Images | None:
        """Pictures of items, or vectors of what they look or sound like; None where no item has one. Read from the file."""
        if self.facts["images"] is None:
            return None
        table = pq.read_table(self.artifact.file(IMAGES))
        codes, given = table.column(Columns.ITEM_CODE).to_numpy(), table.column(Columns.IMAGE).combine_chunks()
        if self.facts["images"]["kind"] == "addresses":
            return Images(codes, given.to_pylist(), None)
        return Images(codes, None, given.flatten().to_numpy().reshape(len(codes), self.facts["images"]["width"]))

    def exposure_weights(self) -> NDArray[np.float32] | None:
        """What an event of each item counts where it is known what was shown; None where it is not. Read from the file. ``[items]``"""
        if self.facts.get("exposures") is None:  # a data set of before there were any has no such fact
            return None
        weights = pq.read_table(self.artifact.file(EXPOSURES)).column("weight")
        return np.asarray(weights.to_numpy(), dtype=np.float32)

    def history(self, user_code: int, before: Split) -> NDArray[np.int32]:
        """Item codes of the user's events of lower splits, oldest first."""
        rows = slice(self._starts[user_code], self._starts[user_code + 1])
        return self.item_codes[rows][self.splits[rows] < before]

    def whole_history(self, user_code: int) -> NDArray[np.int32]:
        """Item codes of all the user's events, oldest first: today's user knows them all."""
        return self.item_codes[self._starts[user_code] : self._starts[user_code + 1]]

    def train_sequences(self) -> list[NDArray[np.int32]]:
        """Training events of every user (empty for a user without any), oldest first. ``[users]``"""
        return [self.history(user, Split.VALIDATION) for user in range(len(self.user_ids))]

    def learnt_until(self, split: Split) -> "PreparedDataset":
        """The same data set with the events of the splits up to this one as training events."""
        later = copy.copy(self)
        later.splits = np.where(self.splits <= split, np.int8(Split.TRAIN), self.splits)
        later._count_training_events()
        return later

    def newest_held_back(self, share: float) -> "PreparedDataset":
        """The same data set with the newest share of the training events as those that validate."""
        held = copy.copy(self)
        trained = self.splits == Split.TRAIN
        since = np.quantile(self.timestamps[trained], 1 - share) if trained.any() else 0
        held.splits = np.where(trained, Split.TRAIN, Split.TEST).astype(np.int8)
        held.splits[trained & (self.timestamps >= since)] = Split.VALIDATION
        held._count_training_events()
        return held

    def _count_training_events(self) -> None:
        counts = np.bincount(self.item_codes[self.splits == Split.TRAIN], minlength=len(self.item_ids))
        self.train_counts = counts.astype(np.int64)

    def targets(self, split: Split) -> Targets:
        """Every user with an event in ``split``, also those with an empty history."""
        return self._targets(split, np.zeros(len(self.splits), dtype=np.bool_))

    def measurable_targets(self, split: Split) -> tuple[Targets, int]:
        """Users of a split with targets that may be recommended to them, and how many targets lie in an excluded history.

        Raises:
            UserError: there are targets, but none that is new to its user.
        """
        if not self.exclude_history:
            return self.targets(split), 0
        pairs = self.user_codes.astype(np.int64) * len(self.item_ids) + self.item_codes
        known = np.isin(pairs, pairs[self.splits < split])
        targets = self._targets(split, known)
        if not len(targets) and (self.splits == split).any():
            raise UserError(
                f"{self.artifact.path}: no {split.name.lower()} user has a target that is new to them, so nothing can be measured"
            )
        return targets, len(np.unique(pairs[known & (self.splits == split)]))

    def _targets(self, split: Split, left_out: NDArray[np.bool_]) -> Targets:
        """left_out: events that are no targets. ``[events]``"""
        rows = np.flatnonzero((self.splits == split) & ~left_out)
        users, starts = np.unique(self.user_codes[rows], return_index=True)
        items = [_once(self.item_codes[those]) for those in np.split(rows, starts[1:])] if len(rows) else []
        histories = [self.history(int(user), split) for user in users]
        return Targets(users.astype(np.int32), histories, items, self.contexts_of(rows[starts]))

    def contexts_of(self, events: NDArray[np.integer]) -> list[list[str]]:
        """What was known of the moments of these events (rows), ``name=value`` each. ``[n]``"""
        return [context or [] for context in self._contexts.take(pa.array(events)).to_pylist()]

    def drawn_targets(self, split: Split) -> NDArray[np.bool_]:
        """Whether the user's target of this split was drawn among events of the same time. ``[users]``"""
        drawn = np.zeros(len(self.user_ids), dtype=np.bool_)
        if self.facts["ties"][split.name.lower()]["drawn"]:
            drawn[self.user_codes[(self.splits == split) & self.tied]] = True
        return drawn

    def train_digest(self) -> str:
        """SHA-256 over the training events. Teacher and student record it; evaluate compares."""
        rows = self.splits == Split.TRAIN
        digest = hashlib.sha256()
        for array in (self.user_codes, self.item_codes, self.timestamps):
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
        return digest.hexdigest()


def _once(items: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each item at its first place."""
    return items[np.sort(np.unique(items, return_index=True)[1])]
