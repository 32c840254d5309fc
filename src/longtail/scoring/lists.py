"""Answers for many users, and as tables: one row a user and item, and one row a user."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.contracts.campaign import ListColumns as L
from longtail.scoring.asked import Asked
from longtail.scoring.recommender import Answer, Recommender

TOGETHER = 256  # users asked at one time: each may hold a mask of the catalogue
RECOMMENDATIONS = pa.schema(
    [
        (L.USER, pa.string()),
        (L.RANK, pa.int32()),
        (L.ITEM, pa.string()),
        (L.TITLE, pa.string()),
        (L.SCORE, pa.float32()),
        (L.REASON, pa.string()),
        (L.SOURCE, pa.string()),
        (L.ABOUT, pa.string()),
    ]
)
USERS = pa.schema(
    [
        (L.USER, pa.string()),
        (L.SEGMENT, pa.string()),
        (L.EVENTS, pa.int32()),
        (L.GIVEN, pa.int32()),
        (L.FEWER, pa.string()),
        (L.DEGRADED, pa.string()),
    ]
)


def answered(recommender: Recommender, asked: Sequence[Asked]) -> list[Answer]:
    """The answers, in the order asked. Histories of like lengths are asked together, so that the encoder reads little padding."""
    order = sorted(range(len(asked)), key=lambda place: len(asked[place].history))
    found: list[Any] = [None] * len(asked)
    for begin in range(0, len(order), TOGETHER):
        places = order[begin : begin + TOGETHER]
        for place, answer in zip(places, recommender.answers([asked[place] for place in places])):
            found[place] = answer
    return found


def recommendations_table(asked: pa.Array, answers: Sequence[Answer], key: str = L.USER) -> pa.Table:
    """Rows of all lists, in the order of the answers. asked [answers]: who or what each answer is for, the column ``key``."""
    counts = np.array([len(answer.items) for answer in answers], dtype=np.int64)
    items = [item for answer in answers for item in answer.items]
    rows = np.repeat(np.arange(len(answers)), counts)
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    columns = [
        asked.take(pa.array(rows)),
        ranks.astype(np.int32),
        [item.item_id for item in items],
        [item.title for item in items],
        np.array([item.score for item in items], dtype=np.float32),
        [item.reason for item in items],
        [item.source for item in items],
        [item.about for item in items],
    ]
    schema = RECOMMENDATIONS.set(0, pa.field(key, pa.string()))
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types)], schema=schema)


def users_table(user_ids: pa.Array, histories: Sequence[Sequence[str]], answers: Sequence[Answer]) -> pa.Table:
    """One row a user. histories: the events of each, [users]"""
    columns = [
        user_ids,
        [answer.segment for answer in answers],
        [len(history) for history in histories],
        [len(answer.items) for answer in answers],
        [answer.fewer_than_k for answer in answers],
        [answer.degraded for answer in answers],
    ]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, USERS.types)], schema=USERS)


def counts_of(answers: Sequence[Answer]) -> Counter[str]:
    """What a summary says of answers: how many were asked for, their rows, and what was not as it was asked."""
    found = Counter[str](asked=len(answers), rows=sum(len(answer.items) for answer in answers))
    for answer in answers:
        found["fewer than k items"] += answer.fewer_than_k is not None
        found["not answered as asked"] += answer.degraded is not None
        for name in answer.rules:
            found[f"rule {name}"] += 1
        for text in answer.unmet:
            found[f"unmet quota of {text.partition(':')[0]}"] += 1
    return +found


def counts_of_users(histories: Sequence[Sequence[str]], answers: Sequence[Answer]) -> Counter[str]:
    """The same of users, with their segments, and what of them the bundle does not know."""
    found = counts_of(answers)
    for history, answer in zip(histories, answers):
        found[f"segment {answer.segment}"] += 1
        if answer.unknown_items and (unknown := set(history).intersection(answer.unknown_items)):
            found["users with unknown items"] += 1
            found["events of unknown items"] += sum(item in unknown for item in history)
        for name in answer.unknown_attributes:
            found[f"unknown attribute {name.partition('=')[0]}"] += 1
    return found
