"""JSON Lines: values as text, lines that hold no object, and the other things that are called .json."""

import gzip
import json
from pathlib import Path

import pytest

from longtail.contracts.errors import UserError
from longtail.tables import json_lines


def lines(path: Path, *rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_values_are_texts_whatever_their_type(read, tmp_path: Path):
    rows = [
        {"id": 12, "v": 1.5, "flag": True, "name": "é\n"},
        {"id": 12.0, "v": "x", "flag": None, "name": ""},
        '{"id": 12345678901234567890123, "v": NaN}',
        {"id": "007", "extra": "late"},
    ]
    table = read(lines(tmp_path / "t.jsonl", *rows))
    assert table.column("id") == ["12", "12.0", "12345678901234567890123", "007"]
    assert table.column("v") == ["1.5", "x", "NaN", None]
    assert table.column("flag") == ["true", None, None, None]
    assert table.column("name") == ["é\n", "", None, None]
    assert table.column("extra") == [None, None, None, "late"]


def test_lists_where_every_line_has_one_and_text_where_not(read, tmp_path: Path):
    rows = [{"tags": ["a", 1], "mixed": ["a"], "empty": []}, {"tags": None, "mixed": "b", "empty": ["x"]}]
    table = read(lines(tmp_path / "t.jsonl", *rows))
    assert table.kinds == {"tags": "list", "mixed": "text", "empty": "list"}
    assert table.column("tags") == [["a", "1"], None]
    assert table.column("mixed") == ['["a"]', "b"]
    assert table.column("empty") == [[], ["x"]]


def test_records_are_known_and_not_read(read, tmp_path: Path):
    table = read(lines(tmp_path / "t.jsonl", {"id": "a", "details": {"x": 1}, "images": [{"url": "u"}], "grid": [[1]]}))
    assert table.kinds == {"id": "text", "details": "other", "images": "other", "grid": "other"}
    assert table.rows == [{"row": 0, "id": "a"}]


def test_lines_that_are_no_objects_are_set_apart_with_their_place(read, tmp_path: Path):
    table = read(lines(tmp_path / "t.jsonl", {"id": 1}, "", "no", "[1]", '{"id": 2', "  ", '  {"id": 3}', "5"))
    assert [(row["row"], row["id"]) for row in table.rows] == [(0, "1"), (5, "3")]  # an empty line is no row
    assert [(fault["row"], fault["content"]) for fault in table.faults] == [
        (1, "no"),
        (2, "[1]"),
        (3, '{"id": 2'),
        (6, "5"),
    ]
    assert {fault["reason"] for fault in table.faults} == {"not a JSON object"}


def test_blank_lines_before_the_first_object_are_passed_over(read, tmp_path: Path):
    assert read(lines(tmp_path / "t.jsonl", "", " ", {"id": 1})).column("id") == ["1"]


def test_marks_gzip_and_encodings(read, tmp_path: Path):
    text = '{"id": "é"}\n{"id": "b"}\n'
    for name, content in {
        "mark.jsonl": b"\xef\xbb\xbf" + text.encode(),
        "packed.jsonl": gzip.compress(text.encode()),
        "wide.jsonl": text.encode("utf-16"),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name).column("id") == ["é", "b"]
    (tmp_path / "west.jsonl").write_bytes(text.encode("latin-1"))
    assert read(tmp_path / "west.jsonl", encoding="latin-1").column("id") == ["é", "b"]
    with pytest.raises(UserError, match=r"west\.jsonl: line 1 is not UTF-8; as latin-1 it reads"):
        read(tmp_path / "west.jsonl")


def test_with_the_wanted_columns_known_only_the_first_lines_are_looked_through(
    read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(json_lines, "ROWS_OF_KEYS", 1)
    folder = tmp_path / "log"
    folder.mkdir()
    lines(folder / "a.jsonl", {"id": 1})
    lines(folder / "b.jsonl", {"id": 2, "late": "x", "never asked": 1})
    table = read(folder, only=["id", "late", "absent"], optional=["late"])
    assert table.rows == [{"row": 0, "id": "1", "late": None}, {"row": 1, "id": "2", "late": "x"}]
    assert table.found == ("id",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1}, {"id": 2}]', r"is one JSON array, .* python -c \"import json; \[print\(json\.dumps\(row\)\)"),
        ('[\n {"id": 1}\n]\n', "is one JSON array"),
        ("{'id': 'a', 'tags': ['x']}\n", r"holds Python dictionaries, not JSON\. .*import ast, json; .*literal_eval"),
        ('{"id": 1},\n{"id": 2}\n', "has a comma after each object, .* take the commas out"),
        ('{"id": "\\ud800"}\n', "holds no JSON object with a key"),
        ('{\n "id": 1\n}\n', r"spreads an object over several lines, .* jq -c \. t\.json"),
        ("id,title\n1,a\n", "is not JSON Lines: its first line is 'id,title'"),
    ],
)
def test_what_else_is_called_json_is_named_with_the_way_to_convert_it(read, tmp_path: Path, content: str, message: str):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "t.json")


@pytest.mark.parametrize("packed", [False, True])
def test_the_command_that_converts_an_array_does(read, tmp_path: Path, packed: bool):
    import re
    import subprocess
    import sys

    rows = [{"id": "é", "title": "x"}, {"id": "b", "title": None}]
    path = tmp_path / ("t.json.gz" if packed else "t.json")
    path.write_bytes(gzip.compress(json.dumps(rows).encode()) if packed else json.dumps(rows).encode())
    with pytest.raises(UserError) as refused:
        read(path)
    command = re.search(r"Convert it: python (.*)", str(refused.value))
    assert command
    subprocess.run(f"{sys.executable} {command[1]}", shell=True, cwd=tmp_path, check=True)
    assert read(tmp_path / "t.lines.jsonl").column("id") == ["é", "b"]
