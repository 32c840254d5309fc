"""Logs are read whole or refused with the line; a choice counts for the list that showed it, once its time is over."""

import json

import numpy as np
import pytest

from longtail.contracts.errors import UserError
from longtail.policies.shown_lists import Outcomes, ShownList, read_lists, with_rewards
from longtail.scoring.asked import Asked, Explore

HOUR = 3600
LINE = {
    "user_id": "u1",
    "timestamp": 1000.5,
    "instance": {"history": ["a"], "explore": {"temperature": 0.5}},
    "prediction": {"items": [{"item_id": "b", "propensity": 0.25}, {"item_id": "c", "propensity": 0.5}]},
}


def parse(instance):
    if "explore" not in instance:
        return Asked(history=instance.get("history", ()))
    if not isinstance(instance["explore"], dict):
        raise ValueError("explore is no object")
    return Asked(
        history=instance.get("history", ()), interests=instance.get("interests"), explore=Explore(**instance["explore"])
    )


def written(folder, *lines):
    path = folder / "log.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return str(path)


def test_a_line_is_a_list(tmp_path):
    (found,), left_out = read_lists(written(tmp_path, LINE), parse)
    assert (found.user, found.time, found.items) == ("u1", 1_000_500_000, ("b", "c"))
    assert found.propensities.tolist() == [0.25, 0.5]
    assert found.asked == Asked(history=["a"], explore=Explore(temperature=0.5))
    assert not left_out


def test_ids_and_times_are_those_of_tables(tmp_path):
    items = [{"item_id": 7.0, "propensity": 1}]
    line = LINE | {"user_id": 12.0, "timestamp": "1970-01-01T01:00:02+01:00", "prediction": {"items": items}}
    (found,), _ = read_lists(written(tmp_path, line), parse)
    assert (found.user, found.time, found.items) == ("12", 2_000_000, ("7",))


def test_what_cannot_be_learnt_from_is_counted(tmp_path):
    greedy = LINE | {"instance": {}, "prediction": {"items": [{"item_id": "b", "propensity": None}]}}
    words = LINE | {"instance": LINE["instance"] | {"interests": "lamps"}}
    ruled = LINE | {"prediction": LINE["prediction"] | {"changed_by_shop": True}}
    found, left_out = read_lists(written(tmp_path, LINE, greedy, words, ruled, ruled), parse)
    assert len(found) == 1
    assert left_out == {
        "not explored, so without propensities": 1,
        "asked in words or for what is like an item": 1,
        "changed by rules or availability": 2,
    }
    with pytest.raises(UserError, match=r"holds no list that can be learnt from .*: 2\); ask the server with explore"):
        read_lists(written(tmp_path, ruled, ruled), parse)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: lacks an object"),
        ({"user_id": None}, "line 2: lacks user_id"),
        ({"user_id": " "}, "line 2: user_id is blank"),
        ({"timestamp": "2026-11-28T09:30:00"}, "line 2: timestamp is '2026-11-28T09:30:00'; give seconds"),
        ({"timestamp": float("nan")}, "timestamp is nan"),
        ({"instance": {"explore": 3}}, "line 2: instance: explore is no object"),
        ({"prediction": {"items": []}}, "holds no item;"),
        ({"prediction": {"items": [{"item_id": "b"}]}}, "item_id and propensity"),
        ({"prediction": {"items": [{"item_id": "b", "propensity": 0}]}}, "propensity of 'b' is 0; it must be above 0"),
        ({"prediction": {"items": [{"item_id": "b", "propensity": 1.2}]}}, "at most 1"),
        ({"prediction": {"items": [{"item_id": "b", "propensity": "x"}]}}, "at most 1"),
        ({"prediction": {"items": [{"item_id": "b", "propensity": 0.5}] * 2}}, "an item stands twice"),
    ],
)
def test_faults_name_the_line(tmp_path, change, said):
    second = change if isinstance(change, str) else LINE | change
    with pytest.raises(UserError, match=said.replace("(", r"\(")) as caught:
        read_lists(written(tmp_path, LINE, second), parse)
    assert "log.jsonl" in str(caught.value)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("user_id\nu\n")
    with pytest.raises(UserError, match=r"is csv; a log of shown lists is JSON Lines"):
        read_lists(str(tmp_path / "log.csv"), parse)


def shown(user, hour, *items):
    return ShownList(user, hour * HOUR * 10**6, Asked(), items, np.ones(len(items)), np.zeros(len(items)))


def outcomes(*rows):
    users, items, hours = zip(*rows)
    return Outcomes(users, items, (np.array(hours) * HOUR * 10**6).astype(np.int64))


def test_rewards_are_joined_by_user_item_and_time():
    lists = [shown("u", 10, "a", "b"), shown("u", 12, "b", "c"), shown("v", 10, "a", "b"), shown("v", 50, "a")]
    chosen = outcomes(
        ("u", "a", 11),  # of the first list
        ("u", "b", 13),  # shown twice before: of the later list
        ("u", "c", 11),  # before it was shown
        ("v", "b", 35),  # a day and an hour later
        ("w", "a", 11),  # to whom nothing was shown
        ("v", "a", 60),  # of a list whose day is not over
    )
    found, left_out = with_rewards(lists, chosen, 24)
    assert [one.rewards.tolist() for one in found] == [[1, 0], [1, 0], [0, 0]]
    assert left_out == {"not yet over, or before the outcomes begin": 1}


def test_nothing_joined_is_refused():
    lists = [shown("u", 10, "a")]
    with pytest.raises(UserError, match=r"nothing that users chose within 24 hours was in a list .*of 1 lists"):
        with_rewards(lists, outcomes(("v", "a", 11), ("v", "a", 60)), 24)
    with pytest.raises(UserError, match="hold no event"):
        with_rewards(lists, Outcomes([], [], np.zeros(0, np.int64)), 24)
