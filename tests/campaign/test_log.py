import gzip
import json

import numpy as np
import pandas as pd
import pytest

from longtail.campaign.log import read_log
from longtail.contracts.errors import UserError

ROWS = [
    {"user_id": "7", "treatment": "mail", "time": 1_700_000_000, "outcome": 1, "value": 3.5, "age": 20, "city": "Ulm"},
    {
        "user_id": " 8.0",
        "treatment": "none",
        "time": 1_700_000_000,
        "outcome": 0,
        "value": None,
        "age": None,
        "city": "",
    },
    {"user_id": "x", "treatment": "mail", "time": 1_700_000_001, "outcome": 0, "value": 0, "age": 31, "city": "12"},
]
TABLE = pd.DataFrame(ROWS)


def written(tmp_path, table=TABLE, name="log.csv", **changed):
    """changed: column -> values, or None to take it out."""
    table = table.assign(**{name: values for name, values in changed.items() if values is not None})
    table = table.drop(columns=[name for name, values in changed.items() if values is None])
    path = tmp_path / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    elif name.endswith(".jsonl"):
        path.write_text(
            "".join(
                json.dumps(row) + "\n" for row in table.astype(object).where(table.notna(), None).to_dict("records")
            )
        )
    elif name.endswith(".gz"):
        with gzip.open(path, "wt") as file:
            table.to_csv(file, index=False)
    else:
        table.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.jsonl", "log.parquet"])
def test_every_format_gives_the_same_table(tmp_path, name):
    found = read_log(written(tmp_path, name=name))
    assert found.user_id.tolist() == ["7", "8", "x"]
    assert found.treatment.tolist() == ["mail", "none", "mail"]
    assert found.time.tolist() == [1_700_000_000_000_000, 1_700_000_000_000_000, 1_700_000_001_000_000]
    assert found.time.dtype == np.int64
    assert found.outcome.tolist() == [1, 0, 0]
    assert found.value.tolist() == [3.5, 0, 0]  # none given where there was no outcome
    assert found.age.dtype == np.float64 and found.age.isna().tolist() == [False, True, False]
    assert found.city.tolist() == ["Ulm", None, "12"]
    assert list(found) == ["user_id", "treatment", "time", "outcome", "value", "age", "city"]


def test_times_and_lists_are_no_features_and_that_is_said(tmp_path, caplog):
    table = TABLE.assign(tags=[["a"], ["b"], []], seen=pd.Timestamp("2023-01-01"))
    path = tmp_path / "log.parquet"
    table.to_parquet(path)
    assert not {"tags", "seen"} & set(read_log(str(path)))
    assert "columns tags, seen hold times, lists or records and are no features" in caplog.text


def test_another_name_of_control(tmp_path):
    path = written(tmp_path, treatment=["mail", "hold-out", "mail"])
    assert read_log(path, control="hold-out").treatment[1] == "hold-out"
    with pytest.raises(UserError, match=r"nobody has the treatment 'none'.*mail, hold-out"):
        read_log(path)


def test_propensities_and_times_of_outcomes(tmp_path):
    found = read_log(
        written(tmp_path, propensity=[0.5, 0.25, 1], outcome_time=["2023-11-15", None, None], cost=[0.1, None, 0])
    )
    assert found.propensity.tolist() == [0.5, 0.25, 1]
    assert found.outcome_time[0] == 1_700_006_400_000_000
    assert found.cost.tolist() == [0.1, 0, 0]
    # before the contact, but there was no outcome
    read_log(written(tmp_path, outcome_time=["2023-11-15", "2001-01-01", None]))


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"outcome": None}, r"has no column outcome \(it has user_id.*rename or add it"),
        ({"user_id": ["7", None, "x"]}, "row 1: user_id is missing.*give every row a user"),
        (
            {"treatment": ["mail", None, "mail"]},
            "row 1: treatment is missing.*also of those who were drawn to get none",
        ),
        ({"time": ["2023-01-01", "2023-01-01", "soon"]}, r"row 2: time \('soon'\) is missing or cannot be read"),
        ({"outcome": ["1", "yes", "0"]}, r"row 1: outcome \('yes'\).*write a number"),
        ({"outcome": [1, np.inf, 0]}, r"row 1: outcome \('inf'\) is infinite"),
        ({"value": [None, 0, 0]}, "row 0: value of an outcome that is not 0 is missing"),
        ({"value": ["1", "much", "1"]}, r"row 1: value \('much'\) is not a number"),
        ({"cost": [None, 0, 0]}, r"row 0: cost of a contact is missing.*give it, or 0"),
        ({"propensity": [0.5, None, 0.5]}, "row 1: propensity is missing.*or leave the column out"),
        ({"propensity": [0.5, 0.5, 0]}, r"row 2: propensity \('0.0'\) is not above 0"),
        ({"propensity": [0.5, 1.5, 1.2]}, r"row 1: propensity \('1.5'\) is above 1 \(and 1 more rows\)"),
        ({"outcome_time": ["2001-01-01", None, None]}, "row 0: outcome_time .*lies before the contact's time"),
        ({"user_id": ["7", "x", " 7.0"]}, "user_id '7' was contacted twice, in rows 0 and 2; give one row a user"),
        ({"treatment": ["mail"] * 3}, "nobody has the treatment 'none', so there is nobody to compare with"),
        ({"treatment": ["none"] * 3}, "everybody has the treatment 'none'; keep rows of users who were contacted"),
    ],
)
def test_bad_rows(tmp_path, changed, fault):
    path = written(tmp_path, **changed)
    with pytest.raises(UserError, match=fault) as error:
        read_log(path)
    assert str(error.value).startswith(path)
    assert "\n" not in str(error.value)


def test_rows_of_another_length(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,treatment,time,outcome\n1,mail,5,1\n2,none,5\n")
    with pytest.raises(UserError, match="another number of columns"):
        read_log(str(path))


def test_no_file_and_no_rows(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_log(str(tmp_path / "log.csv"))
    with pytest.raises(UserError, match="has no rows"):
        read_log(written(tmp_path, TABLE.head(0), "log.parquet"))
