"""What is known of each shown list in numbers: its candidates, the parts of their scores, where the shown items are among them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.policies.shown_lists import ShownList
from longtail.scoring.asked import Explore
from longtail.scoring.bundle import Bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.scorer import buckets_of
from longtail.scoring.scores import NOBODY
from longtail.scoring.top import top_items

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One list.

    codes [n] of the candidates: the student's best, and those that were shown; parts [n, PARTS + 2] of their scores, whether
    they are new, and the offset that they have already; bucket of the history's length; shown [k]: places of the shown ones among the candidates; propensities, rewards
    [k]; explore: how it was drawn; allowed: how many items might be given, and how many new ones; spread: deviation of the
    student's scores over all of these, over that of the candidates.
    """

    user: str
    codes: NDArray[np.intp]
    parts: NDArray[np.float32]
    bucket: int
    shown: NDArray[np.intp]
    propensities: Floats
    rewards: Floats
    explore: Explore
    allowed: tuple[int, int]
    spread: float


def cases_of(recommender: Recommender, lists: Sequence[ShownList], candidates: int) -> tuple[list[Case], Counter[str]]:
    """What the bundle says of each list, and what was left out -> how often.

    A list with an item that the bundle does not know, or would not give, was not drawn from what it may draw from.
    """
    found, left_out = [], Counter[str]()
    bundle = recommender.bundle
    catalogue = _Catalogue(
        {item: code for code, item in enumerate(bundle.item_ids)},
        (bundle.train_counts == 0).astype(np.float32),
        offsets_of(bundle),
    )
    for one in lists:
        case = _case(recommender, one, catalogue, candidates)
        if case is None:
            left_out["with items that the bundle does not know or may not give"] += 1
        else:
            found.append(case)
    return found, left_out


@dataclass(frozen=True)
class _Catalogue:
    """Of all items: their codes, whether they are new, and the offsets that they have already. ``[items]`` each"""

    codes: Mapping[str, int]
    new: NDArray[np.float32]
    offsets: NDArray[np.float32]


def _case(recommender: Recommender, one: ShownList, catalogue: _Catalogue, candidates: int) -> Case | None:
    bundle, query = recommender.bundle, recommender.query(one.asked)
    assert one.asked.explore is not None
    mask = recommender.may_be_given(one.asked, query)
    shown = np.array([catalogue.codes.get(item, -1) for item in one.items], dtype=np.intp)
    if (shown < 0).any() or not mask[shown].all():
        return None
    parts, bucket = recommender.scorer.parts(query), int(buckets_of([query])[0])
    new, before = catalogue.new, catalogue.offsets
    scores = parts @ bundle.part_weights[bucket] + before
    allowed = np.flatnonzero(mask)
    best = allowed[top_items(scores[allowed], candidates, NOBODY)]
    codes = np.union1d(best, shown)
    of_pool = float(scores[codes].std())
    return Case(
        user=one.user,
        codes=codes,
        parts=np.column_stack([parts[codes], new[codes], before[codes]]).astype(np.float32),
        bucket=bucket,
        shown=np.searchsorted(codes, shown),
        propensities=one.propensities,
        rewards=one.rewards,
        explore=one.asked.explore,
        allowed=(len(allowed), int(new[allowed].sum())),
        spread=float(scores[allowed].std()) / of_pool if of_pool else 1.0,
    )


def offsets_of(bundle: Bundle) -> NDArray[np.float32]:
    """What an earlier policy learnt of each item; zeros without one. ``[items]``"""
    known = bundle.tensors.item_offset
    return np.zeros(len(bundle.item_ids), np.float32) if known is None else known
