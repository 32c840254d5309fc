"""The same id in whatever form, in every table and format; and warnings where ids do not match.

A whole preparation by Spark takes many seconds: what the engines could do differently is asked of both in
``tests/tables/test_id_sql.py``, and here of parts with every form, and of ids that are missing.
"""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError

FORMS: dict[str, Any] = {  # of the ids 1..4
    "int": pa.array([1, 2, 3, 4]),
    "float": pa.array([1.0, 2.0, 3.0, 4.0]),
    "text": pa.array(["1", "2", "3", "4"]),
    "text of floats": pa.array(["1.0", "2.0", "3.0", "4.0"]),
    "padded": pa.array(["1 ", " 2", "\t3", "4\r"]),
}


def log(users: Any) -> pa.Table:
    """Each user chose three items."""
    return pa.table(
        {
            "user_id": pa.concat_arrays([users] * 3),
            "item_id": ["a"] * 4 + ["b"] * 4 + ["c"] * 4,
            "timestamp": [n // 4 for n in range(12)],
        }
    )


ITEMS = [{"item_id": name, "title": name} for name in "abc"]


def as_csv(table: pa.Table, path: Path) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(table.column_names)
        writer.writerows(row.values() for row in table.to_pylist())
    return path


def as_json(table: pa.Table, path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_users_are_the_same_in_every_form(run, form: str):
    users = pa.table({"user_id": FORMS[form], "plan": ["free", "pro", "pro", "free"]})
    prepared = run(log(FORMS["int"]), ITEMS, users)
    assert prepared.user_ids == ["1", "2", "3", "4"]
    assert prepared.user_attributes == [["plan=free"], ["plan=pro"], ["plan=pro"], ["plan=free"]]


@pytest.mark.parametrize("written", [as_csv, as_json])
def test_ids_of_text_files_are_the_same_too(run, tmp_path: Path, written):
    items = pa.table({"item_id": [1.0, 2.0, 3.0], "title": ["x", "y", "z"]})
    events = pa.table({"user_id": ["u"] * 3, "item_id": [1, 2, 3], "timestamp": [1, 2, 3]})
    prepared = run(events, written(items, tmp_path / f"items.{written.__name__[3:].replace('json', 'jsonl')}"))
    assert prepared.item_ids == ["1", "2", "3"]
    assert prepared.facts["rejected"] == {}


def test_parts_of_one_log_with_other_types(run, engine: str, tmp_path: Path):
    folder = tmp_path / "log"
    folder.mkdir()
    for number, form in enumerate(FORMS):
        pq.write_table(log(FORMS[form]).slice(number * 2, 12), folder / f"{number}.parquet")
    prepared = run(folder, ITEMS, engine=engine)
    assert prepared.user_ids == ["1", "2", "3", "4"]
    assert len(prepared.item_codes) == 12


def test_missing_ids_are_rejected_with_a_reason(run, engine: str):
    users = pa.array([1.0, 2.0, float("nan"), None])
    prepared = run(log(users), ITEMS, engine=engine, max_rejected_share=0.5)
    assert prepared.user_ids == ["1", "2"]
    assert prepared.facts["rejected"] == {"null id": 6}


def test_large_whole_numbers_keep_every_digit(run):
    big = pa.array([2**60 + n for n in range(4)])
    users = pa.table({"user_id": [str(2**60 + n) for n in range(4)], "plan": list("abcd")})
    prepared = run(log(big), ITEMS, users)
    assert prepared.user_ids == [str(2**60 + n) for n in range(4)]


def test_two_forms_of_one_id_are_twice_the_same(run):
    with pytest.raises(UserError, match=r"item_id occurs more than once: '1' \(2 times\)"):
        run(log(FORMS["int"]), [{"item_id": "1", "title": "x"}, {"item_id": "1.0", "title": "y"}])


def test_ids_with_leading_zeros_are_their_own(run):
    items = [{"item_id": name, "title": name} for name in ("7", "07", "007")]
    events = [{"user_id": "u", "item_id": name, "timestamp": n} for n, name in enumerate(("007", "07", "7"))]
    assert run(events, items).item_ids == ["007", "07", "7"]


def test_a_users_table_of_other_people_is_a_loud_warning(run, caplog: pytest.LogCaptureFixture):
    users = [{"user_id": f"U-{n}", "plan": "free"} for n in range(3)]
    with caplog.at_level(logging.WARNING):
        run(log(FORMS["int"]), ITEMS, users)
    assert "users.parquet: ONLY 0 OF ITS 3 USERS occur in the interactions" in caplog.text
    assert (
        "the interactions name users such as '1', '2', '3', the users table such as 'U-0', 'U-1', 'U-2'" in caplog.text
    )


def test_a_users_table_of_some_of_the_people_is_none(run, caplog: pytest.LogCaptureFixture):
    users = [{"user_id": "1", "plan": "free"}, *({"user_id": f"new {n}", "plan": "pro"} for n in range(50))]
    with caplog.at_level(logging.WARNING):
        run(log(FORMS["int"]), ITEMS, users)
    assert "OF ITS" not in caplog.text


def test_items_of_another_catalogue_are_shown_from_both_sides(run):
    items = [{"item_id": name, "title": name} for name in ("SKU-1", "SKU-2")]
    with pytest.raises(UserError, match=r"\(unknown item: 12\), for example .*item_id=a.*, while the items table has ids such as 'SKU-1', 'SKU-2'"):  # fmt: skip
        run(log(FORMS["int"]), items)


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "N/A"])
def test_a_word_for_a_missing_id_is_warned_about(run, word: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        prepared = run(log(pa.array(["u", "v", "w", word])), ITEMS)
    assert f"3 events belong to the user {word!r}, which looks like a missing id written as text" in caplog.text
    assert word in prepared.user_ids


def test_ids_that_floats_cannot_hold_are_warned_about(run, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run(log(pa.array([1e18, 2e18, 3e18, 4.0])), ITEMS)
    assert "the ids of column user_id are stored as floating-point numbers up to 3000000000000000000" in caplog.text
