"""The column image: addresses and vectors, read alike by both engines, and what of it is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.later_items import read_new_items
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError

EVENTS = [
    {"user_id": f"u{user}", "item_id": f"i{(user + place) % 5}", "timestamp": 1_600_000_000 + place}
    for user in range(4)
    for place in range(4)
]
VECTORS: dict[str, list[float] | None] = {  # of items, in the order of the rows
    "i3": [1e-5, -2.5, 3],
    "i0": None,
    "i1": [0.1, 1 / 3, 1e30],
    "i4": [],
    "i2": [-0.0, 7, 1.5e-40],
}
ADDRESSES = {"i1": "a.png", "i0": None, "i3": "s3://shop/pictures/b.jpg", "i2": "/srv/c.webp", "i4": " deep/d.png "}


def rows(images: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"item_id": item, "title": f"T {item}", "image": image} for item, image in images.items()]


def check_vectors(prepared: Any) -> None:
    images = prepared.images()
    assert images.addresses is None
    assert [prepared.item_ids[code] for code in images.codes] == ["i1", "i2", "i3"]
    assert images.vectors.dtype == np.float32
    np.testing.assert_array_equal(images.vectors, np.array([VECTORS["i1"], VECTORS["i2"], VECTORS["i3"]], np.float32))
    assert prepared.facts["images"] == {"kind": "vectors", "items": 3, "width": 3}


@pytest.mark.parametrize(
    "type_", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32())], ids=str
)
def test_vectors_of_parquet_lists(run, type_: pa.DataType):
    table = pa.Table.from_pylist(rows(VECTORS))
    table = table.set_column(2, "image", pa.array(list(VECTORS.values()), type_))
    check_vectors(run(EVENTS, table))


def test_both_engines_read_vectors_alike(run, engine: str):
    check_vectors(run(EVENTS, rows(VECTORS), engine=engine))


def test_vectors_of_json_lines(run, tmp_path: Path):
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(VECTORS)))
    check_vectors(run(EVENTS, tmp_path / "items.jsonl"))


def test_vectors_written_as_text(run):
    written = {item: None if vector is None else str(vector) for item, vector in VECTORS.items()}
    check_vectors(run(EVENTS, rows(written)))


def test_whole_numbers_are_vectors_too(run):
    prepared = run(EVENTS, rows({f"i{n}": [n, n + 1] for n in range(5)}))
    np.testing.assert_array_equal(prepared.images().vectors, [[n, n + 1] for n in range(5)])


def test_addresses_are_relative_to_the_items_table(run, engine: str, tmp_path: Path):
    prepared = run(EVENTS, rows(ADDRESSES), engine=engine)
    images = prepared.images()
    assert images.vectors is None
    found = dict(zip((prepared.item_ids[code] for code in images.codes), images.addresses))
    assert found == {
        "i1": f"{tmp_path}/a.png",
        "i2": "/srv/c.webp",
        "i3": "s3://shop/pictures/b.jpg",
        "i4": f"{tmp_path}/deep/d.png",
    }
    assert prepared.facts["images"] == {"kind": "addresses", "items": 4, "width": None}


def test_several_files_are_of_one_folder(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, part in (("one/a", rows(ADDRESSES)[:2]), ("two/b", rows(ADDRESSES)[2:])):
        (tmp_path / "items" / name).parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(part), tmp_path / "items" / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path}/items/a.png" in run(EVENTS, "items", output=tmp_path / "out").images().addresses


def test_the_column_may_have_another_name(run):
    items = [{"item_id": row["item_id"], "title": "T", "photo": row["image"]} for row in rows(ADDRESSES)]
    assert run(EVENTS, items, columns={"image": "photo"}).facts["images"]["items"] == 4


def test_without_pictures_there_is_no_file(run, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    items = [{"item_id": f"i{n}", "title": "T"} for n in range(5)]
    prepared = run(EVENTS, items)
    assert prepared.images() is None
    assert not prepared.artifact.file("images.parquet").exists()
    empty = run(EVENTS, [item | {"image": []} for item in items], output=tmp_path / "empty")
    assert empty.images() is None
    assert "column image is empty" in caplog.text
    assert (empty.artifact.file("items.parquet")).read_bytes() == prepared.artifact.file("items.parquet").read_bytes()


def test_a_text_with_entities_leaves_vectors_alone(run):
    items = [row | {"title": "Tea &amp; milk"} for row in rows(VECTORS)]
    check_vectors(run(EVENTS, items))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([1.0, 2.0], "item 'i4' has 2 numbers, and those before it 3"),
        ([1.0, float("nan"), 2.0], r"item 'i4' is '\[1.0, .*no list of finite numbers"),
        ([1.0, None, 2.0], r"item 'i4' is '\[1.0, .*no list of finite numbers"),
        ([1.0, 1e39, 2.0], "item 'i4' is .*no list of finite numbers"),
        ([1.0, float("inf"), 2.0], "item 'i4' is .*no list of finite numbers"),
    ],
)
def test_a_vector_that_is_none(run, image: list[Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=f"items.parquet: column image: .*{message}"):
        run(EVENTS, rows(VECTORS | {"i4": image}))
    assert not (tmp_path / "prepared").exists()


def test_both_engines_refuse_what_is_no_number(run, engine: str):
    with pytest.raises(UserError, match=r"item 'i4' is '\[1.0, .*no list of finite numbers"):
        run(EVENTS, rows(VECTORS | {"i4": [1.0, None, float("nan")]}), engine=engine)


@pytest.mark.parametrize("text", ["[1.0 2.0 3.0]", "[a, b, c]", "[True, 1, 2]", "[[1], 2, 3]", f"[1, 2, 1{'0' * 400}]"])
def test_a_text_in_brackets_must_be_a_list_of_numbers(run, text: str):
    with pytest.raises(UserError, match=r"items.parquet: column image: that of item 'i1' is '\[.*no list of finite"):
        run(EVENTS, rows({"i0": None, "i1": text, "i2": "[1, 2, 3]", "i3": None, "i4": None}))


def test_addresses_and_vectors_do_not_mix(run):
    with pytest.raises(
        UserError, match=r"holds addresses, but that of item 'i3' is '\[1, 2\]'; give addresses for all"
    ):
        run(EVENTS, rows(ADDRESSES | {"i3": "[1, 2]"}))
    with pytest.raises(UserError, match="holds vectors, but that of item 'i3' is 's3://shop"):
        run(EVENTS, rows(ADDRESSES | {"i1": "[1, 2]", "i2": "[1, 3]"}))


def test_pictures_of_later_items_are_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    pq.write_table(pa.Table.from_pylist(rows(VECTORS)), tmp_path / "later.parquet")
    found = read_new_items(str(tmp_path / "later.parquet"), PreprocessSettings(memory_limit_gb=0.5))
    assert found.column_names == ["item_id", "title", "attributes", "text"]
    assert "columns image are ignored: a new item is known by its text" in caplog.text
