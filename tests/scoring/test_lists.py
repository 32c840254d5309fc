"""Answers as tables."""

import pyarrow as pa

from longtail.scoring.lists import counts_of, counts_of_users, recommendations_table, users_table
from longtail.scoring.recommender import Answer, Recommendation

FIRST = Answer(
    [Recommendation("a", "A", 2.5, "because", "history", None), Recommendation("b", None, 1.0, None, None, None)],
    "tail",
    unknown_items=["x"],
    unknown_attributes=["age=3", "age=4"],
    rules=["up"],
    unmet=["up: of the first 2 items 0 instead of 1 have 'x'"],
)
NONE = Answer([], "cold", unknown_items=["y"], unknown_attributes=[], fewer_than_k="of 2 items, 0 are candidates")


def test_rows_are_those_of_the_lists_in_their_order():
    table = recommendations_table(pa.array(["u", "v", "w"]), [NONE, FIRST, FIRST])
    assert table.select(["user_id", "rank", "item_id", "title", "score"]).to_pylist() == [
        {"user_id": user, "rank": rank, "item_id": item, "title": title, "score": score}
        for user in "vw"
        for rank, item, title, score in ((1, "a", "A", 2.5), (2, "b", None, 1.0))
    ]
    assert table["reason"].to_pylist() == ["because", None] * 2
    empty = recommendations_table(pa.array(["a"]), [NONE], "similar_to")
    assert (empty.num_rows, empty.column_names[0]) == (0, "similar_to")
    assert empty.schema.types == table.schema.types


def test_there_is_one_row_for_every_user():
    table = users_table(pa.array(["u", "v"]), [["x", "a", "x"], []], [FIRST, NONE])
    assert table.to_pylist() == [
        {"user_id": "u", "segment": "tail", "events": 3, "given": 2, "fewer_than_k": None, "degraded": None},
        {"user_id": "v", "segment": "cold", "events": 0, "given": 0}
        | {"fewer_than_k": "of 2 items, 0 are candidates", "degraded": None},
    ]


def test_what_is_counted():
    plain = {"asked": 2, "rows": 2, "fewer than k items": 1, "rule up": 1, "unmet quota of up": 1}
    assert counts_of([FIRST, NONE]) == plain
    of_users = {"segment tail": 1, "segment cold": 1, "unknown attribute age": 2}
    of_users |= {"users with unknown items": 1, "events of unknown items": 2}  # y is none of the history
    assert counts_of_users([["x", "a", "x"], []], [FIRST, NONE]) == plain | of_users
