"""Lists that the server's own ``explore`` draws, as kept answers, judged by another policy's lists: the truth is an enumeration."""

import json
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Way
from longtail.policies.answers import are_answers, read_answers
from longtail.policies.asked import asked_of, read_policy
from longtail.policies.logs import read_log
from longtail.policies.slates import evaluate_slates
from longtail.scoring.asked import Explore
from longtail.scoring.exploring import explored

ITEMS = ("a", "b", "c", "d")
CHANCE = np.array([0.1, 0.3, 0.5, 0.2])  # that an item is chosen where it is looked at
WANTED = ("c", "b")  # the lists of the policy that is asked about: best first


def chosen(rng, codes):
    """Users read from the top and stop at what they choose: a cascade."""
    rewards = np.zeros(len(codes))
    for place, code in enumerate(codes):
        if rng.random() < CHANCE[code]:
            rewards[place] = 1
            break
    return rewards


def answers(lists, seed):
    rng = np.random.default_rng(seed)
    scores, allowed = np.array([3, 2.5, 2, 1], np.float32), np.ones(4, bool)
    for number in range(lists):
        drawn = explored(Explore(temperature=1.0), scores, allowed, ~allowed, 2, rng)
        items = [
            {"item_id": ITEMS[code], "title": None, "propensity": propensity, "reward": reward}
            for code, propensity, reward in zip(
                drawn.codes, drawn.propensities.tolist(), chosen(rng, drawn.codes).tolist()
            )
        ]
        yield {"user_id": f"u{number}", "prediction": {"items": items, "segment": "cold"}}


def kept(folder, lines, name="answers.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def wanted(folder, lists):
    rows = [(f"u{number}", rank, item) for number in range(lists) for rank, item in enumerate(WANTED, 1)]
    pd.DataFrame(rows, columns=["user_id", "rank", "item_id"]).to_parquet(folder / "lists.parquet")
    return read_policy(str(folder / "lists.parquet"))


def test_values_of_lists_are_near_the_truth_and_cascade_dr_is_the_surest(tmp_path):
    policy, values = wanted(tmp_path, 400), {"standard": [], "reward-interaction": [], "cascade-dr": []}
    truth = 0.5 + 0.5 * 0.3  # c is chosen, or else b
    missed = 0
    for seed in range(40):
        asked, log = asked_of(policy, read_answers(kept(tmp_path, answers(400, seed))))
        found = evaluate_slates(log, asked, Way(samples=100))
        for estimate in found.estimates:
            values[estimate.method].append(estimate.value)
            missed += not estimate.low <= truth <= estimate.high
    for method, of in values.items():
        assert np.mean(of) == pytest.approx(truth, abs=3.5 * np.std(of) / np.sqrt(40)), method
    assert np.std(values["cascade-dr"]) < 0.9 * np.std(values["reward-interaction"])
    assert np.std(values["reward-interaction"]) < np.std(values["standard"])
    assert missed < 0.12 * 120


def test_propensities_of_kept_answers_are_those_of_all_lists():
    """1 / propensity of whole lists averages to the number of lists there can be."""
    inverse = [1 / np.prod([item["propensity"] for item in line["prediction"]["items"]]) for line in answers(4000, 1)]
    assert np.mean(inverse) == pytest.approx(len(list(permutations(ITEMS, 2))), rel=0.06)


def test_answers_and_a_table_of_the_same_rows_say_the_same(tmp_path):
    lines = list(answers(200, 2))
    rows = [
        (number, line["user_id"], place, item["item_id"], item["propensity"], item["reward"])
        for number, line in enumerate(lines)
        for place, item in enumerate(line["prediction"]["items"], start=1)
    ]
    table = pd.DataFrame(rows, columns=["slate_id", "user_id", "position", "item_id", "propensity", "reward"])
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "log.parquet")  # in any order
    policy = wanted(tmp_path, 200)
    by_answers = evaluate_slates(*_turned(asked_of(policy, read_answers(kept(tmp_path, lines)))), Way(samples=50))
    log = read_log(str(tmp_path / "log.parquet"), keys=list(policy.keys))
    by_table = evaluate_slates(*_turned(asked_of(policy, log)), Way(samples=50))
    for one, other in zip(by_answers.estimates[:2], by_table.estimates[:2]):
        assert (one.method, one.value, one.ess) == pytest.approx((other.method, other.value, other.ess))
    assert by_table.logged.value == pytest.approx(sum(row[-1] for row in rows) / 200)


def _turned(pair):
    return pair[1], pair[0]


def test_lists_of_unlike_lengths_by_hand(tmp_path):
    """The policy's list is a, b. First list: a (1/2), b (1/4), rewards 0, 1. Second: a (1/4) alone, reward 1. Third: b, weight 0."""
    rows = [(1, "u", 1, "a", 0.5, 0), (1, "u", 2, "b", 0.25, 1), (2, "v", 1, "a", 0.25, 1), (3, "v", 1, "b", 0.5, 1)]
    table = pd.DataFrame(rows, columns=["slate_id", "user_id", "position", "item_id", "propensity", "reward"])
    table.to_csv(tmp_path / "log.csv", index=False)
    lists = [(user, rank, item) for user in "uv" for rank, item in enumerate("ab", 1)]
    pd.DataFrame(lists, columns=["user_id", "rank", "item_id"]).to_csv(tmp_path / "lists.csv", index=False)
    policy = read_policy(str(tmp_path / "lists.csv"))
    asked, log = asked_of(policy, read_log(str(tmp_path / "log.csv"), keys=list(policy.keys)))
    found = evaluate_slates(log, asked, Way(samples=20))
    assert [one.value for one in found.estimates] == pytest.approx([(8 + 4) / 3, (8 + 4) / 3])
    assert found.left_out == {"cascade-dr": "2 users cannot be cut into 5 folds for a reward model"}
    assert found.logged.value == pytest.approx(3 / 3)


def test_two_items_at_one_place_and_lists_without_positions_are_refused(tmp_path):
    table = pd.DataFrame(
        {"slate_id": [1, 1], "item_id": ["a", "b"], "position": [2, 2], "reward": [0, 1], "propensity": [1, 1]}
    )
    for given, message in (
        (table, "row 1: its list has two items at position 2"),
        (table.drop(columns="position"), "but no position"),
    ):
        given.to_csv(tmp_path / "log.csv", index=False)
        log = read_log(str(tmp_path / "log.csv"))
        pd.DataFrame({"item_id": ["a"], "probability": [1]}).to_csv(tmp_path / "policy.csv", index=False)
        asked, log = asked_of(read_policy(str(tmp_path / "policy.csv")), log)
        with pytest.raises(UserError, match=message):
            evaluate_slates(log, asked, Way(samples=20))


GOOD = {"item_id": "a", "propensity": 0.5, "reward": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"user_id": "u", "prediction": {"items": [GOOD | {"propensity": None}]}}, "line 2, item 1: has no propensity"),
        (
            {"user_id": "u", "prediction": {"items": [GOOD, GOOD | {"propensity": 0}]}},
            "line 2, item 2: propensity 0 must be above 0",
        ),
        (
            {"user_id": "u", "prediction": {"items": [{"item_id": "a", "propensity": 0.5}]}},
            "line 2, item 1: has no reward",
        ),
        (
            {"user_id": "u", "prediction": {"items": [GOOD | {"reward": "yes"}]}},
            "line 2, item 1: reward 'yes' and propensity 0.5 must be",
        ),
        ({"user_id": "u", "prediction": {"items": [GOOD | {"item_id": " "}]}}, "line 2, item 1: item_id is blank"),
        ({"user_id": "u", "prediction": {"items": []}}, "line 2: its list is empty"),
        ({"user_id": " ", "prediction": {"items": [GOOD]}}, "line 2: user_id is blank"),
        ({"user_id": "u", "prediction": 3}, "line 2: is no answer"),
        ([1], "line 2: is no answer"),
    ],
)
def test_faults_of_kept_answers_are_named(tmp_path, line, message):
    path = kept(tmp_path, [{"user_id": "u", "prediction": {"items": [GOOD]}}, line])
    assert are_answers(path)
    with pytest.raises(UserError) as raised:
        read_answers(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_other_logs_are_no_answers(tmp_path):
    assert not are_answers(kept(tmp_path, [{"item_id": "a", "reward": 1}]))
    (tmp_path / "log.csv").write_text("item_id\na\n")
    assert not are_answers(str(tmp_path / "log.csv"))


def test_whole_responses_of_the_server_are_told_from_answers(tmp_path):
    with pytest.raises(
        UserError, match="holds whole responses of the server; keep a line for each of their predictions"
    ):
        are_answers(kept(tmp_path, [{"predictions": [{"items": [GOOD]}]}]))
