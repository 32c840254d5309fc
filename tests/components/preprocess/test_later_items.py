"""Tables of new items: the text is that of preprocess, and faults name the row."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.later_items import read_new_items
from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError

ITEMS = 'item_id,title,attributes,description\nz,Red lamp,light|metal,"Warm, bright"\nb,,cloth,\nc,Chair,,\n'


def write(path, text):
    path.write_text(text)
    return str(path)


def test_the_text_is_that_of_preprocess(tmp_path):
    items = write(tmp_path / "items.csv", ITEMS)
    rows = "".join(f"u{user},{item},{time}\n" for user in range(3) for time, item in enumerate("zbc"))
    prepare(write(tmp_path / "log.csv", "user_id,item_id,timestamp\n" + rows), items, None, tmp_path / "out", _plain())
    expected = pq.read_table(tmp_path / "out" / "items.parquet").to_pylist()
    found = read_new_items(items, _plain()).to_pylist()
    assert [row["item_id"] for row in found] == ["z", "b", "c"]  # in the order of the rows
    for row in expected:
        assert {name: row[name] for name in ("item_id", "title", "attributes", "text")} in found
    assert found[0]["text"] == "Red lamp | light, metal | Warm, bright"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,One\n,Two\n", r"row 1 \[item_id=None\] has no item_id"),
        ("a,One\nb,Two\na,Three\n", r"row 0 \[item_id=a\], row 2 \[item_id=a\] occurs more than once"),
        ("a,One\nb,\n", r"row 1 \[item_id=b\] has no title, attributes or description"),
        ("".join(f"i{n},\n" for n in range(5)), r"row 0 .*, row 1 .*, row 2 .* \(and 2 more\) has no title"),
        ("", "has no rows"),
        ("a,One\nb\n", r"row 1 \[b\] has the wrong number of columns; mend the row"),
        ("12,One\n12.0,Two\n", r"row 0 \[item_id=12\], row 1 \[item_id=12\] occurs more than once"),
    ],
)
def test_faults_name_the_row(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read_new_items(write(tmp_path / "items.csv", "item_id,title\n" + rows), _plain())


def test_other_names_and_ignored_columns(tmp_path, caplog):
    pq.write_table(
        pa.table({"sku": ["a"], "title": ["One"], "price": [3.5], "colour": ["red"]}), tmp_path / "items.parquet"
    )
    with caplog.at_level(logging.WARNING):
        found = read_new_items(str(tmp_path / "items.parquet"), PreprocessSettings(columns={"item_id": "sku"}))
    assert found.to_pylist() == [{"item_id": "a", "title": "One", "attributes": None, "text": "One"}]
    assert "columns price are ignored: a new item gets the catalogue's mean" in caplog.text
    assert "columns colour are ignored: nothing reads them" in caplog.text


def _plain():
    return PreprocessSettings()


def test_texts_are_read_as_preprocess_reads_them(tmp_path):
    items = write(tmp_path / "items.csv", "item_id,title,attributes\n7.0,Tea &amp; milk,\"['hot', 'drink']\"\n")
    (found,) = read_new_items(items, _plain()).to_pylist()
    assert found == {
        "item_id": "7", "title": "Tea & milk", "attributes": ["hot", "drink"], "text": "Tea & milk | hot, drink"
    }  # fmt: skip
