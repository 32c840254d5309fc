"""Lists of another system: read, cleaned with a count of what was wrong, and scored by their order."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_prepared import leave_last_out, write_tiny_prepared

from longtail.baselines.incumbent import read_incumbent
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.query import queries_of
from longtail.scoring.ranked import rank_all


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """u000 has taken items 0 and 1 before its target 2; u001 items 3 and 4, target 5; u002 is cold, target 6."""
    users = [leave_last_out(items) for items in ([0, 1, 2], [3, 4, 5], [6])]
    return PreparedDataset(write_tiny_prepared(tmp_path_factory.mktemp("data") / "prepared", users, n_items=9))


def lists(path, *rows, order="rank"):
    """A CSV file of (user, item, rank or score)."""
    path.write_text("\n".join([f"user_id,item_id,{order}", *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def ranks(data, incumbent):
    """Rank of each test user's target."""
    return rank_all({"incumbent": incumbent}, data, data.targets(Split.TEST))["incumbent"].ranks.best().tolist()


def test_targets_rank_as_in_the_lists_and_what_is_not_listed_behind_the_catalogue(tmp_path, data):
    found = read_incumbent(
        lists(tmp_path / "l.csv", ("u000", "i007", 1), ("u000", "i002", 2), ("u001", "i005", 1), ("u001", "i008", 2)),
        data,
    )
    assert ranks(data, found) == [2, 1, 10]
    assert found.listed.tolist() == [True, True, False]
    assert (found.reach, found.counts["rows"]) == (2, 4)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "text ranks"])
def test_every_format_says_the_same(tmp_path, data, form):
    rows = [("u000", "i007", 0.9), ("u000", "i002", 0.7), ("u001", "i005", 2.5)]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(("user_id", "item_id", "score"))}
    if form == "parquet":
        pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    if form == "text ranks":
        ranked = columns | {"score": ["1", "2", "1"]}
        pq.write_table(
            pa.table({name.replace("score", "rank"): ranked[name] for name in ranked}), tmp_path / "l.parquet"
        )
    if form == "jsonl":
        (tmp_path / "l.jsonl").write_text("".join(json.dumps(dict(zip(columns, row))) + "\n" for row in rows))
    if form == "csv":
        lists(tmp_path / "l.csv", *rows, order="score")
    (place,) = tmp_path.iterdir()
    assert ranks(data, read_incumbent(str(place), data)) == [2, 1, 10]


def test_order_of_rows_says_nothing(tmp_path, data):
    found = read_incumbent(
        lists(tmp_path / "l.csv", ("u000", "i002", 2), ("u001", "i008", 1), ("u000", "i007", 1)), data
    )
    assert ranks(data, found)[0] == 2


def test_whole_numbers_are_one_id_however_they_are_typed(tmp_path):
    from longtail.baselines.incumbent import USER, _read

    pq.write_table(
        pa.table({"user_id": pa.array([12.0, 7.5]), "item_id": pa.array([3, None]), "rank": [1, 2]}),
        tmp_path / "l.parquet",
    )
    table, by_rank, faults = _read(str(tmp_path / "l.parquet"))
    assert faults == 0
    assert by_rank and table[USER].to_pylist() == ["12", "7.5"] and table["item_id"].to_pylist() == ["3", None]


def test_what_cannot_be_compared_is_left_out_and_counted(tmp_path, data):
    found = read_incumbent(
        lists(
            tmp_path / "l.csv",
            ("u000", "i000", 1),  # of the history: what follows moves up
            ("u000", "gone", 2),
            ("u000", "i007", 3),
            ("u000", "i007", 4),  # twice
            ("u000", "i002", 6),  # after a gap
            ("u001", "i005", "first"),  # no number
            ("u001", "i008", 1),
            ("u001", "i007", 1),  # the same rank
            ("stranger", "i001", 1),
        ),
        data,
    )
    assert {what: count for what, count in found.counts.items() if count} == {
        "rows": 9,
        "rows without user, item, or number": 1,
        "rows for users that the data does not hold": 1,
        "rows with items that the data does not hold": 1,
        "users whose ranks have gaps": 1,
        "users with one rank for several items": 1,
        "items listed twice for a user": 1,
        "items of the user's history": 1,
    }
    assert ranks(data, found)[0] == 2
    scores = found.score(queries_of(data, data.targets(Split.TEST)))
    assert np.isfinite(scores).sum(axis=1).tolist() == [2, 2, 0]
    assert scores[1, 8] == scores[1, 7]  # a tie, which counts against it


def test_a_list_of_the_validation_target_is_marked(tmp_path, data):
    found = read_incumbent(lists(tmp_path / "l.csv", ("u000", "i001", 1), ("u000", "i002", 2), ("u001", "i003", 1), ("u001", "i007", 2)), data)  # fmt: skip
    assert found.validation_hits.tolist() == [True, False, False]  # item 3 is of u001's training events


def test_ranks_from_0_have_no_gap(tmp_path, data):
    found = read_incumbent(lists(tmp_path / "l.csv", ("u000", "i007", 0), ("u000", "i002", 1)), data)
    assert found.counts["users whose ranks have gaps"] == 0


def test_lists_that_begin_late_have_a_gap(tmp_path, data):
    assert (
        read_incumbent(lists(tmp_path / "l.csv", ("u000", "i007", 2)), data).counts["users whose ranks have gaps"] == 1
    )


def test_reach_is_the_length_that_nine_of_ten_lists_have(tmp_path):
    users = [leave_last_out([0, 1, 2]) for _ in range(20)]
    many = PreparedDataset(write_tiny_prepared(tmp_path / "prepared", users, n_items=30))
    rows = [(f"u{u:03d}", f"i{i:03d}", i) for u in range(20) for i in range(3, 5 if u == 0 else 13)]
    assert read_incumbent(lists(tmp_path / "l.csv", *rows), many).reach == 10


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("user_id,item,rank", "u000,i001,1", r"has no column item_id \(it has user_id, item, rank\); rename"),
        ("user_id,item_id,place", "u000,i001,1", "has no column rank or score"),
        (
            "user_id,item_id,rank",
            "x1,i001,1",
            r"no user_id of it is one of the data's \(it has 'x1'; the data has 'u000'",
        ),
        ("user_id,item_id,rank", "u000,x1,1", "no item_id of it is one of the data's"),
        ("user_id,item_id,rank", "u000,i001,first", "no user_id of it is one of the data's .it has nothing"),
        ("user_id,item_id,rank", "u000,i001,1", "no list holds anything"),  # the history alone
    ],
)
def test_tables_that_are_no_lists_of_these_users_are_refused(tmp_path, data, header, row, message):
    (tmp_path / "l.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(UserError, match=message):
        read_incumbent(str(tmp_path / "l.csv"), data)


def test_a_place_without_lists_is_named(tmp_path, data):
    with pytest.raises(UserError, match="no such file"):
        read_incumbent(str(tmp_path / "none.parquet"), data)


def test_rows_that_are_none_are_counted(tmp_path, data):
    path = lists(tmp_path / "l.csv", ("u000", "i007", 1), ("u000", "i002"), ("u001 ", "i005", 1))
    found = read_incumbent(path, data)
    assert (found.counts["rows that cannot be read"], found.counts["rows"]) == (1, 2)
    assert found.listed.tolist() == [True, True, False]  # "u001 " is u001
