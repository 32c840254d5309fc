import numpy as np
import pandas as pd
import pytest

from longtail.contracts.errors import UserError
from longtail.policies.logs import RARE, read_log

OPEN_BANDIT = pd.DataFrame(
    {
        "timestamp": ["2019-11-24 00:01:03", "2019-11-24 00:01:45", "2019-11-24 00:02:02"],
        "item_id": [9, 2, 9],
        "position": [2, 3, 1],
        "click": [0, 1, 0],
        "propensity_score": [0.5, 0.25, 0.125],
        "user_feature_0": ["a", "b", "a"],
    }
)


def written(folder, table, name="log.csv"):
    path = folder / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    elif name.endswith("jsonl"):
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.parquet", "log.jsonl"])
def test_columns_of_open_bandit_in_every_format(tmp_path, name):
    found = read_log(written(tmp_path, OPEN_BANDIT, name), keys=["timestamp", "position"])
    assert found.actions == ("2", "9")
    assert found.logged.action.tolist() == [1, 0, 1]
    assert found.logged.reward.tolist() == [0, 1, 0]
    assert found.logged.propensity.tolist() == [0.5, 0.25, 0.125]
    assert found.logged.position is not None and found.logged.position.tolist() == [2, 3, 1]
    assert found.logged.user is None and found.slate is None
    assert found.keys["position"].tolist() == ["2", "3", "1"]
    assert found.columns["reward"] == "click"


def test_columns_of_other_names_ids_in_one_form_and_users(tmp_path):
    table = pd.DataFrame(
        {
            "sku": [" 7 ", "7.0", "x"],
            "order_value": [2.5, 0, -1],
            "p": [0.1, 1, 0.2],
            "who": [3.0, 4.0, 3.0],
            "slot": [1, 1, 2],
        }
    )
    names = {"action": "sku", "reward": "order_value", "propensity": "p", "user": "who", "position": "slot"}
    found = read_log(written(tmp_path, table), names, keys=["user_id", "position"])
    assert found.actions == ("7", "x") and found.logged.action.tolist() == [0, 0, 1]
    assert found.logged.reward.tolist() == [2.5, 0, -1]
    assert found.logged.user is not None and found.logged.user.tolist() == [0, 1, 0]
    assert found.keys["user_id"].tolist() == ["3", "4", "3"]  # the policy's name for the log's column
    assert found.keys["position"].tolist() == ["1", "1", "2"]


def test_context_of_numbers_and_of_texts_that_are_not_rare(tmp_path):
    table = pd.concat([OPEN_BANDIT] * RARE, ignore_index=True)
    table["user_feature_1"] = np.arange(len(table)) / 2
    table["user_feature_0"] = ["a"] * (RARE + 5) + [None] * RARE + [f"c{n}" for n in range(RARE - 5)]
    context = read_log(written(tmp_path, table), context=["user_feature_*"]).logged.context
    assert context is not None and context.shape == (3 * RARE, 3)  # a, missing, and the number
    assert context[:, :2].sum(axis=0).tolist() == [RARE, RARE + 5]
    assert context[:, 2].tolist() == (np.arange(3 * RARE) / 2).tolist()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("propensity_score", 0.0, "row 1, column propensity_score: 0.0 must be above 0"),
        ("propensity_score", 1.5, "row 1, column propensity_score: 1.5 is above 1"),
        ("propensity_score", None, "row 1, column propensity_score: the value is missing"),
        ("propensity_score", "high", "row 1, column propensity_score: 'high' is not a number"),
        ("propensity_score", "inf", "row 1, column propensity_score: 'inf' is not a number"),
        ("click", None, "row 1, column click: the value is missing"),
        ("item_id", None, "row 1, column item_id: the value is missing"),
        ("position", 1.5, "row 1, column position: 1.5 is not a whole number"),
        ("age", None, "row 1, column age: the value is missing"),
    ],
)
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_faults_name_file_row_and_column(tmp_path, name, column, value, message):
    table = OPEN_BANDIT.assign(age=[30.5, 20, 40]).astype(object)
    table.loc[1, column] = value
    path = written(tmp_path, table, name)
    with pytest.raises(UserError) as raised:
        read_log(path, context=["age", "user_feature_0"])
    assert str(raised.value).startswith(f"{path}: {message}")


def test_missing_and_unknown_columns_are_named(tmp_path):
    path = written(tmp_path, OPEN_BANDIT.drop(columns="propensity_score"))
    with pytest.raises(
        UserError, match=r"has no column propensity or propensity_score or pscore \(for propensity\); it has timestamp"
    ):
        read_log(path)
    whole = written(tmp_path, OPEN_BANDIT)
    with pytest.raises(UserError, match=r"has no column sales \(for reward\)"):
        read_log(whole, {"reward": "sales"})
    with pytest.raises(UserError, match="prize=sales: prize is none of action, reward"):
        read_log(whole, {"prize": "sales"})
    with pytest.raises(UserError, match="no column is called age"):
        read_log(whole, context=["age"])
    with pytest.raises(UserError, match="has no column segment, by which the policy tells rounds apart"):
        read_log(whole, keys=["segment"])


def test_a_log_without_rows_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no rows"):
        read_log(written(tmp_path, OPEN_BANDIT.iloc[:0], "log.parquet"))
