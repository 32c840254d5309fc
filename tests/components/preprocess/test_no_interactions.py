"""A shop that has no interactions yet: no table, or one without rows, in every split and on both engines."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split

ITEMS = [{"item_id": name, "title": f"title {name}"} for name in "abc"]
EMPTY = pa.table(
    {"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string()), "timestamp": pa.array([], pa.int64())}
)
ENGINES = ["duckdb", pytest.param("spark", marks=pytest.mark.spark)]


def check(prepared: PreparedDataset) -> None:
    assert prepared.item_ids == ["a", "b", "c"]
    assert prepared.item_texts == ["title a", "title b", "title c"]
    assert prepared.train_counts.tolist() == [0, 0, 0]
    assert len(prepared.splits) == 0 and prepared.until == 0
    assert prepared.facts["times"]["first"] is None
    assert prepared.facts["ties"]["test"] == {"targets": 0, "tied": 0, "drawn": 0}
    for split in Split:
        assert len(prepared.targets(split)) == 0
    assert len(prepared.measurable_targets(Split.TEST)[0]) == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("split", ["leave_last_out", "global_time", "given"])
def test_without_a_table(run, caplog, engine: str, split: str) -> None:
    check(run(None, ITEMS, engine=engine, split=split))
    assert "there are no interactions: the model rests on the items' texts, and nothing can be judged" in caplog.text


@pytest.mark.parametrize("engine", ENGINES)
def test_with_a_table_that_holds_none_yet(run, engine: str) -> None:
    check(run(EMPTY, ITEMS, engine=engine))


def test_a_text_file_with_its_header_alone(run, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n")
    check(run(str(tmp_path / "events.csv"), ITEMS))


def test_users_are_kept_and_their_attributes_known(run) -> None:
    prepared = run(None, ITEMS, [{"user_id": "u", "city": "Bonn"}, {"user_id": "v", "city": "Ulm"}])
    check(prepared)
    assert prepared.user_ids == ["u", "v"]
    assert prepared.user_attributes == [["city=Bonn"], ["city=Ulm"]]
    assert [len(sequence) for sequence in prepared.train_sequences()] == [0, 0]


def test_columns_that_settings_name_are_those_of_the_empty_table(run) -> None:
    named = {"user_id": "customer", "item_id": "sku", "timestamp": "day"}
    items = [{"sku": row["item_id"], "title": row["title"]} for row in ITEMS]
    check(run(None, items, columns=named))
    with pytest.raises(UserError, match="context is \\['device'\\], but there are no interactions; take it out"):
        run(None, ITEMS, context=("device",))


def test_its_digest_is_that_of_no_events(run) -> None:
    prepared = run(None, ITEMS)
    assert prepared.train_digest() == run(EMPTY, ITEMS).train_digest()
    assert np.array_equal(prepared.splits, np.zeros(0, np.int8))
