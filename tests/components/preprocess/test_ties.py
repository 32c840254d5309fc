"""Events of one user at the same time: drawn fairly, never by the item's id, measured, said."""

import itertools
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_ties import drawn_order

from longtail.baselines.classic import baselines
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Split
from longtail.metrics.ranking import ranking_metrics
from longtail.scoring.ranked import rank_all

ITEMS = [{"item_id": f"{n:02d}", "title": str(n)} for n in range(60)]
LETTERS = [{"item_id": name, "title": name} for name in "abcdefgh"]


class ById:
    """A system that knows nothing but the order of the ids."""

    def __init__(self, n_items: int, sign: int) -> None:
        self._scores = sign * np.arange(n_items, dtype=np.float32)

    def score(self, queries: Any) -> Any:
        return np.tile(self._scores, (len(queries), 1))


@pytest.mark.parametrize("order", ["as_drawn", "by_item", "by_item_down"])
@pytest.mark.parametrize("ties", ["hash", "file"])
def test_nobody_beats_chance_on_noise_at_one_time(run, order: str, ties: str):
    """Whoever knows ids could, if their order were that of events."""
    rng = np.random.default_rng(7)
    events = [
        {"user_id": f"u{user:04d}", "item_id": f"{item:02d}", "timestamp": 1600000000}
        for user in range(2000)
        for item in rng.permutation(60)[:6]
    ]
    if order != "as_drawn":
        events.sort(key=lambda event: event["item_id"], reverse=order == "by_item_down")
    if ties == "file" and order != "as_drawn":
        with pytest.raises(
            UserError, match=r"ties: file takes the order of rows .* 100% of \d+ neighbours stand in order of"
        ):
            run(events, ITEMS, ties=ties)
        return
    data = run(events, ITEMS, ties=ties, memory_limit_gb=1)
    systems = baselines(data, rng.normal(size=(60, 4)).astype(np.float32))
    systems |= {"ids": ById(60, 1), "ids_down": ById(60, -1)}
    candidates = 60 - 5
    chance = sum(1 / np.log2(rank + 1) for rank in range(1, 11)) / candidates
    error = np.sqrt(sum(1 / np.log2(rank + 1) ** 2 for rank in range(1, 11)) / candidates / 2000)  # upper bound
    for split in (Split.VALIDATION, Split.TEST):
        targets = data.targets(split)
        for name, found in rank_all(systems, data, targets).items():
            reached = ranking_metrics(found.ranks, [10])["ndcg@10"].mean()
            assert reached < chance + 3.5 * error, name


def test_every_place_in_a_tie_is_equally_likely_for_every_item(run):
    """5 items at one time, 3,000 users: each place of each item is taken by 600, within 4 standard errors."""
    users = [f"user-{n}" for n in range(3000)]
    events = [{"user_id": user, "item_id": item, "timestamp": 9} for user in users for item in "abcde"]
    data = run(events, LETTERS)
    places = np.zeros((5, 5))
    orders: Counter[tuple[int, ...]] = Counter()
    for user in range(len(users)):
        order = data.item_codes[5 * user : 5 * user + 5]
        places[order, np.arange(5)] += 1
        orders[tuple(order)] += 1
    assert np.abs(places - 600).max() < 4 * np.sqrt(3000 * 0.2 * 0.8)
    assert set(orders) == set(itertools.permutations(range(5)))  # 25 times each on average


def test_the_draw_does_not_hang_on_other_users_and_items(run, tmp_path: Path):
    events = [{"user_id": user, "item_id": item, "timestamp": 9} for user in "uv" for item in "bcdef"]
    more = [{"user_id": user, "item_id": item, "timestamp": 9} for user in "axz" for item in "abcdefgh"]
    for number, table in enumerate((events, [*more, *events[::-1]])):
        data = run(table, LETTERS, output=tmp_path / str(number))
        for user in "uv":
            history = data.item_codes[data.user_codes == data.user_ids.index(user)]
            assert [data.item_ids[code] for code in history] == drawn_order(user, "bcdef")


def test_another_seed_draws_another_order(run, tmp_path: Path):
    events = [{"user_id": "u", "item_id": item, "timestamp": 9} for item in "abcdefgh"]
    for seed in (0, 5):
        data = run(events, LETTERS, tie_seed=seed, output=tmp_path / str(seed))
        assert [data.item_ids[code] for code in data.item_codes] == drawn_order("u", "abcdefgh", seed)
    assert drawn_order("u", "abcdefgh", 0) != drawn_order("u", "abcdefgh", 5)


TIED = [  # leave-last-out: u's last two are tied, v's validation target with the event before it, w has none
    ("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 3),
    ("v", "a", 1), ("v", "b", 5), ("v", "c", 5), ("v", "d", 6),
    ("w", "a", 1), ("w", "b", 2), ("w", "c", 3),
]  # fmt: skip
EVENTS = [dict(zip(("user_id", "item_id", "timestamp"), event)) for event in TIED]


def test_ties_are_counted(run):
    data = run(EVENTS, LETTERS, max_tied_share=1)
    assert data.facts["ties"] == {
        "order": "hash", "seed": 0, "events": 4, "users": 2,
        "validation": {"targets": 3, "tied": 2, "drawn": 2}, "test": {"targets": 3, "tied": 1, "drawn": 1},
    }  # fmt: skip
    assert data.tied.tolist() == [False, False, True, True, False, True, True, False, False, False, False]
    assert data.drawn_targets(Split.TEST).tolist() == [True, False, False]
    assert data.drawn_targets(Split.VALIDATION).tolist() == [True, True, False]
    stored = pq.read_table(data.artifact.file("events.parquet"))
    assert stored["tied"].to_pylist() == data.tied.tolist()


def test_repeats_of_one_item_are_no_tie(run):
    again = [
        *EVENTS,
        {"user_id": "w", "item_id": "c", "timestamp": 3},
        {"user_id": "w", "item_id": "a", "timestamp": 3},
    ]
    assert run(again, LETTERS).facts["ties"]["users"] == 2


def test_a_global_cut_draws_no_target(run):
    """Times 1 to 12, of two users at once: the cuts fall between ties, and all events after one are targets."""
    events = [
        {"user_id": user, "item_id": item, "timestamp": time}
        for time in range(1, 9)
        for user, item in (("u", "abcdefgh"[time - 1]), ("u", "bcdefgha"[time - 1]), ("v", "abcdefgh"[time - 1]))
    ]
    data = run(events, LETTERS, split="global_time", validation_share=0.25, test_share=0.25, repeats="keep")
    assert data.facts["ties"]["test"] == {"targets": 9, "tied": 6, "drawn": 0}
    assert not data.drawn_targets(Split.TEST).any()
    for earlier, later in ((Split.TRAIN, Split.VALIDATION), (Split.VALIDATION, Split.TEST)):
        assert data.timestamps[data.splits == earlier].max() < data.timestamps[data.splits == later].min()


@pytest.mark.parametrize(("share", "warned"), [(0.6, True), (0.7, False)])
def test_many_drawn_targets_are_said(run, caplog: pytest.LogCaptureFixture, share: float, warned: bool):
    events = [event | {"timestamp": event["timestamp"] + 1600000000} for event in EVENTS]
    with caplog.at_level(logging.WARNING):
        run(events, LETTERS, max_tied_share=share)
    texts = [record.getMessage() for record in caplog.records]
    assert [text for text in texts if "tie" in text] == texts
    if not warned:
        assert texts == []
        return
    (text,) = texts
    assert "1 of 3 test targets (33%) and 2 of 3 validation targets (67%) stand in a tie" in text
    assert "finest unit: second" in text and "split: global_time" in text


def test_the_rows_of_a_log_keep_their_order_where_it_is_said_to_be_that_of_time(run, tmp_path: Path):
    order = {"u": "dbca", "v": "acdb"}
    log = tmp_path / "log"
    log.mkdir()
    rows = [{"user_id": user, "item_id": order[user][n], "timestamp": 7} for n in range(4) for user in "uv"]
    (log / "1.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"{','.join(map(str, r.values()))}\n" for r in rows[:5])
    )
    (log / "2.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"{','.join(map(str, r.values()))}\n" for r in rows[5:])
    )
    lines, table = tmp_path / "log.jsonl", tmp_path / "log.parquet"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), table)
    for number, file in enumerate((log, lines, table)):
        data = run(file, LETTERS, ties="file", output=tmp_path / str(number))
        assert [data.item_ids[code] for code in data.item_codes] == [*order["u"], *order["v"]]
        assert data.facts["ties"]["events"] == 8 and data.facts["ties"]["test"]["drawn"] == 0
        assert not data.drawn_targets(Split.TEST).any()


def test_the_row_of_a_merged_event_is_that_of_its_first_time(run):
    """a's repeat at 9 stands first in the file, but its first time comes after b's row."""
    rows = [("u", "a", 9), ("u", "b", 5), ("u", "a", 5), ("u", "c", 6)]
    events = [dict(zip(("user_id", "item_id", "timestamp"), row)) for row in rows]
    data = run(events, LETTERS, ties="file")
    assert [data.item_ids[code] for code in data.item_codes] == ["b", "a", "c"]


@pytest.mark.parametrize("down", [False, True])
def test_rows_in_the_order_of_numbers_are_no_log(run, down: bool):
    """As text, 10 comes before 9."""
    numbers = [*range(5, 15)]
    events = [
        {"user_id": f"u{user}", "item_id": str(item), "timestamp": 7}
        for user in range(5)
        for item in sorted(numbers, reverse=down)
    ]
    items = [{"item_id": str(item), "title": "x"} for item in numbers]
    with pytest.raises(UserError, match="the file was sorted by item; take ties: hash"):
        run(events, items, ties="file")
