"""First lines that are data, and names that only look like it."""

from pathlib import Path

import pytest

from longtail.contracts.errors import UserError

EVENTS = [{"user_id": "u", "item_id": f"i{n:03d}", "timestamp": n} for n in range(3)]
ITEMS = [{"item_id": f"i{n:03d}", "title": f"t{n}"} for n in range(3)]
ROWS = "u,i000,1600000000\nu,i001,1600000001\nu,i002,1600000002\n"
HINT = r"--set 'preprocess\.header={interactions: \[user_id, item_id, timestamp\]}'"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_missing_header_line_is_named_with_the_remedy(run, tmp_path: Path):
    log = write(tmp_path / "log.csv", ROWS)
    with pytest.raises(
        UserError, match=rf"log\.csv: its first line looks like data, .*\(u, i000, 1600000000\).*{HINT}"
    ):
        run(log, ITEMS)
    prepared = run(log, ITEMS, header={"interactions": ["user_id", "item_id", "timestamp"]})
    assert prepared.item_codes.tolist() == [0, 1, 2]  # the first row, too


def test_names_that_are_data_are_refused_though_they_are_mapped(run, tmp_path: Path):
    log = write(tmp_path / "log.csv", ROWS)
    with pytest.raises(UserError, match=HINT):
        run(log, ITEMS, columns={"user_id": "u", "item_id": "i000", "timestamp": "1600000000"})
    items = write(tmp_path / "items.csv", "i000,Lamp\ni001,Chair\ni002,Mug\n")
    with pytest.raises(
        UserError, match=r"items\.csv: its first line looks like data.*header={items: \[item_id, \.\.\.\]}"
    ):
        run(EVENTS, items, columns={"item_id": "i000", "title": "Lamp"})


def test_more_columns_than_ours(run, tmp_path: Path):
    """As in Taobao's UserBehavior.csv."""
    log = write(tmp_path / "log.csv", "".join(f"u,i00{n},77,pv,{n}\n" for n in range(3)))
    with pytest.raises(
        UserError, match=r"name the 5 columns in their order: .*\[user_id, item_id, timestamp, \.\.\.\]"
    ):
        run(log, ITEMS)
    names = ["user_id", "item_id", "category", "event", "timestamp"]
    prepared = run(log, ITEMS, header={"interactions": names}, events=["pv"])
    assert prepared.timestamps.tolist() == sorted(prepared.timestamps.tolist())
    assert len(prepared.item_codes) == 3


@pytest.mark.parametrize("names", [("0", "1", "2"), ("customer1", "sku_2", "t3")])
def test_names_with_digits_are_names(run, tmp_path: Path, names):
    log = write(tmp_path / "log.csv", ",".join(names) + "\n" + ROWS)
    prepared = run(log, ITEMS, columns=dict(zip(("user_id", "item_id", "timestamp"), names)))
    assert len(prepared.item_codes) == 3


def test_a_column_of_a_year_is_no_data(run, tmp_path: Path):
    items = write(
        tmp_path / "items.csv", "item_id,title,2019,2020\n" + "".join(f"i00{n},t,{n},{n}\n" for n in range(3))
    )
    assert run(EVENTS, items).facts["numeric_names"] == ["2019", "2020"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"interactions": ["a", "b", "a"]}, r"header\.interactions: .* has an empty or repeated name"),
        ({"interactions": ["user_id", "item_id", "timestamp"]}, r"names the columns of CSV files, but .* is parquet"),
        ({"users": ["user_id", "age"]}, r"header\.users: there is no users table; take it out"),
    ],
)
def test_names_that_have_no_effect(run, header, message: str):
    with pytest.raises(UserError, match=message):
        run(EVENTS, ITEMS, header=header)


def test_row_numbers_that_pandas_wrote_are_no_feature(run, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    items = write(tmp_path / "items.csv", ",item_id,title\n" + "".join(f"{n},i00{n},t\n" for n in range(3)))
    assert run(EVENTS, items).facts["numeric_names"] == []
    assert "column Unnamed: 0 is left out: pandas numbers rows so" in caplog.text
