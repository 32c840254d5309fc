"""Everybody's history up to now, for a bundle: read and filtered as in training."""

from pathlib import Path

import pytest

from longtail.components.preprocess.later_histories import read_histories
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.contracts.histories import Histories
from longtail.contracts.prepared import PreparedDataset

NOW = 2_000_000_000
CATALOGUE = ["b", "a", "12", "c"]  # as a bundle may have them, in some order


def histories(found: Histories) -> dict[str, list[str]]:
    table = found.table(slice(0, len(found)))
    return dict(zip(table["user_id"].to_pylist(), table["history"].to_pylist()))


def attributes(found: Histories) -> dict[str, list[str] | None]:
    return dict(zip(found.user_ids.to_pylist(), found.attributes.to_pylist()))


def read(interactions: Path | None, users: Path | None = None, **settings: object) -> Histories:
    chosen = PreprocessSettings(**{"memory_limit_gb": 0.5, "max_rejected_share": 0.9} | settings)
    given = (str(table) if table else None for table in (interactions, users))
    return read_histories(*given, CATALOGUE, chosen, NOW)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(
        "user_id,item_id,timestamp,event,value\n"
        "ann,a,300,view,\nann,b,100,view,\nann,a,50,purchase,\n"  # a is an event of its first time
        " bob,12.0,10,,4\nbob,c,11,,1\nbob,gone,12,view,\nbob,b,9,return,\n"
        "7.0,c,3000000000,view,\n7,a,5,view,\n"  # one lies in the future
    )
    return path


def test_histories_go_by_time_and_hold_what_training_counts(log: Path):
    found = read(log)
    assert histories(found) == {"7": ["a"], "ann": ["a", "b"], "bob": ["12", "c"]}
    assert found.left_out == {"future timestamp": 1, "unknown event": 1, "unknown item": 1}
    assert attributes(found) == {"7": None, "ann": None, "bob": None}
    assert histories(read(log, min_rating=2))["bob"] == ["12"]
    assert histories(read(log, repeats="keep"))["ann"] == ["a", "b", "a"]
    assert histories(read(log, events=["return"]))["bob"] == ["b", "12", "c"]


def test_they_are_what_a_prepared_data_set_holds(run, log: Path):
    """Also of the order of events at one time, which is drawn."""
    rows = [
        {"user_id": f"u{place % 7}", "item_id": CATALOGUE[place * place % 4], "timestamp": 100 + place // 9}
        for place in range(60)
    ]
    items = [{"item_id": item, "title": item} for item in CATALOGUE]
    prepared: PreparedDataset = run(rows, items, repeats="keep")
    found = read(log.parent / "interactions.parquet", repeats="keep")
    assert histories(found) == histories(Histories.of(prepared))
    assert sum(map(len, histories(found).values())) > 30


def test_users_without_events_come_from_the_users_table(log: Path, tmp_path: Path):
    people = tmp_path / "people.jsonl"
    people.write_text(
        '{"user_id": "ann", "age": 31, "city": "Bonn", "likes": ["tea", "rum"]}\n'
        '{"user_id": "new", "age": 40.5, "city": null, "likes": []}\n{"user_id": "nil", "age": null}\n'
    )
    found = read(log, people)
    assert histories(found) == {"7": ["a"], "ann": ["a", "b"], "bob": ["12", "c"], "new": [], "nil": []}
    said = attributes(found)
    assert sorted(said.pop("ann")) == ["age=31.0", "city=Bonn", "likes=rum", "likes=tea"]
    assert said == {"7": None, "bob": None, "new": ["age=40.5"], "nil": None}
    alone = read(None, people)
    assert histories(alone) == {"ann": [], "new": [], "nil": []}
    assert attributes(alone)["new"] == ["age=40.5"]


def test_the_digest_follows_the_tables_and_how_they_are_read(log: Path):
    before = read(log).digest
    assert read(log).digest == before
    assert read(log, min_rating=2).digest != before
    log.write_text(log.read_text() + "ann,c,400,view,\n")
    assert read(log).digest != before


def test_settings_of_training_that_do_not_matter_here_are_left_aside(log: Path):
    plain = histories(read(log))
    header = {"items": ("item_id", "title")}
    assert histories(read(log, header=header, columns={"title": "name"}, context=("device",))) == plain
    assert histories(read(log, split="given")) == plain


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("user,item_id,timestamp\nann,a,1\n", {}, "has no column 'user_id' .found: user, item_id, timestamp"),
        ("user_id,item_id,timestamp\nann,gone,1\n", {}, "1 of 1 rows cannot be used .unknown item: 1"),
        ("user_id,item_id,timestamp\n", {}, None),
    ],
)
def test_tables_that_cannot_be_used_are_refused(
    tmp_path: Path, text: str, settings: dict[str, object], message: str | None
):
    (tmp_path / "log.csv").write_text(text)
    if message is None:
        assert len(read(tmp_path / "log.csv")) == 0
    else:
        with pytest.raises(UserError, match=message):
            read(tmp_path / "log.csv", **settings)
    (tmp_path / "people.csv").write_text("name,age\nann,3\n")
    with pytest.raises(UserError, match=r"people.csv: has no column 'user_id'"):
        read(None, tmp_path / "people.csv")
