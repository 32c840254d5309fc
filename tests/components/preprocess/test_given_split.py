"""The split that a column gives, by hand, on both engines."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.later_events import read_events
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Split

ITEMS = [{"item_id": name, "title": name.upper()} for name in "abcde"]
EVENTS = [
    ("u", "a", 1, "train"), ("u", "b", 2, "Training"), ("u", "c", 3, "val"), ("u", "d", 4, "TEST"), ("u", "e", 5, "test"),
    ("v", "b", 1, "train"), ("v", "a", 7, " dev "),
    ("w", "c", 2, "testing"),
]  # fmt: skip


def rows(*events: tuple[Any, ...], split: str = "split") -> list[dict[str, Any]]:
    return [dict(zip(("user_id", "item_id", "timestamp", split), event)) for event in events]


def placed(data) -> list[tuple[str, str, int]]:
    columns = zip(data.user_codes, data.item_codes, data.splits)
    return [(data.user_ids[user], data.item_ids[item], int(split)) for user, item, split in columns]


def test_the_column_decides(run, engine: str):
    unknown = ("x", "a", 1, "holdout")
    data = run(rows(*EVENTS, unknown), ITEMS, engine=engine, split="given", max_rejected_share=0.5)
    assert data.facts["rejected"] == {"split is not train, validation or test": 1}
    assert placed(data) == [
        ("u", "a", 0), ("u", "b", 0), ("u", "c", 1), ("u", "d", 2), ("u", "e", 2), ("v", "b", 0), ("v", "a", 1), ("w", "c", 2),
    ]  # fmt: skip
    assert (data.facts["protocol"], data.facts["split"]) == ("given", {"rule": "given"})
    test = data.targets(Split.TEST)
    assert [items.tolist() for items in test.items] == [[3, 4], [2]]
    assert [history.tolist() for history in test.histories] == [[0, 1, 2], []]
    assert data.facts["ties"]["test"] == {"targets": 3, "tied": 0, "drawn": 0}


def test_the_column_may_have_another_name(run):
    data = run(rows(*EVENTS, split="part"), ITEMS, split="given", columns={"split": "part"})
    assert data.splits.tolist() == [0, 0, 1, 2, 2, 0, 1, 2]


def test_another_word_is_rejected_with_its_content(run):
    more = rows(("x", "a", 1, "holdout"), ("x", "b", 2, None))
    data = run(rows(*EVENTS) + more, ITEMS, split="given", max_rejected_share=0.5)
    assert data.facts["rejected"] == {"split is not train, validation or test": 2}
    lost = pq.read_table(data.artifact.file("rejected.parquet")).to_pylist()
    assert sorted(row["content"] for row in lost) == [
        "user_id=x, item_id=a, timestamp=1, split=holdout",
        "user_id=x, item_id=b, timestamp=2",
    ]
    with pytest.raises(UserError, match=r"split is not train, validation or test: 2\).*max_rejected_share 0.1"):
        run(rows(*EVENTS) + more, ITEMS, split="given")


def test_a_lower_split_later_than_a_higher_one_is_refused(run):
    late = rows(("u", "b", 9, "train"), ("u", "a", 1, "train"), ("u", "c", 3, "validation"), ("u", "d", 8, "test"))
    with pytest.raises(UserError, match=r"interactions\.parquet: 1 events come later than an event of their user"):
        run(late, ITEMS, split="given")
    late = rows(("u", "a", 1, "train"), ("u", "c", 9, "validation"), ("u", "d", 8, "test"))
    with pytest.raises(UserError, match="1 events come later"):
        run(late, ITEMS, split="given")


def test_users_may_be_held_back_at_times_of_their_own(run):
    """v's training is later than u's test: what counts is the order within a user."""
    events = rows(("u", "a", 1, "train"), ("u", "b", 2, "test"), ("v", "a", 8, "train"), ("v", "c", 9, "validation"))
    assert run(events, ITEMS, split="given").splits.tolist() == [0, 2, 0, 1]


def test_a_tie_across_the_given_splits(run):
    """All of u's events are at one time: the column says which come first, and nothing is drawn."""
    events = rows(*[("u", item, 7, part) for item, part in zip("edcba", ("train", "val", "test", "train", "test"))])
    data = run(events, ITEMS, split="given")
    assert data.splits.tolist() == [0, 0, 1, 2, 2] and data.tied.all()
    assert [item for _, item, _ in placed(data)][2] == "d"
    assert data.facts["ties"]["test"] == {"targets": 2, "tied": 2, "drawn": 0}
    assert not data.drawn_targets(Split.TEST).any()


def test_a_repeat_belongs_to_its_first_split_unless_repeats_are_kept(run):
    again = [*EVENTS, ("u", "a", 6, "test")]
    merged = run(rows(*again), ITEMS, split="given")
    assert placed(merged)[:5] == [("u", "a", 0), ("u", "b", 0), ("u", "c", 1), ("u", "d", 2), ("u", "e", 2)]
    kept = run(rows(*again), ITEMS, split="given", repeats="keep")
    assert placed(kept)[4:6] == [("u", "e", 2), ("u", "a", 2)]


def test_a_split_that_stays_empty_is_said(run):
    events = [event for event in rows(*EVENTS) if event["split"] not in ("val", " dev ")]
    with pytest.raises(
        UserError, match="no event is left for validation; the column split must hold train, validation and"
    ):
        run(events, ITEMS, split="given")


def test_without_split_given_the_column_is_not_read(run):
    assert placed(run(rows(*EVENTS), ITEMS))[:5] == [
        (*event[:2], split) for event, split in zip(EVENTS, (0, 0, 0, 1, 2))
    ]
    with pytest.raises(UserError, match=r"columns\.split: is read only with split: given, and split is leave_last_out"):
        run(rows(*EVENTS, split="part"), ITEMS, columns={"split": "part"})


def test_a_missing_column_is_said(run):
    with pytest.raises(
        UserError, match=r"interactions\.parquet: has no column 'split' .*columns: {split: YOUR_COLUMN}"
    ):
        run(rows(*EVENTS, split="part"), ITEMS, split="given")


def test_a_refresh_learns_from_all_splits(run, tmp_path: Path):
    run(rows(*EVENTS, split="part"), ITEMS, split="given", columns={"split": "part"})
    settings = PreprocessSettings(split="given", columns={"split": "part"}, latest_timestamp=2_000_000_000)
    data = read_events(str(tmp_path / "interactions.parquet"), list("abcde"), settings, tmp_path)
    assert data.facts["split"] == {"rule": "leave_last_out"}
    assert [item for _, item, _ in placed(data)] == list("abcdebac")
