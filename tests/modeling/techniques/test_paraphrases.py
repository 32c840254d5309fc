import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError
from longtail.modeling.techniques.paraphrases import read_paraphrases


def test_paraphrases_from_parquet_and_json_lines(tmp_path: Path) -> None:
    rows = [{"item_id": "b", "text": "one"}, {"item_id": "7", "text": "two"}, {"item_id": "b", "text": "three"}]
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.parquet"):
        assert read_paraphrases(str(tmp_path / name), ["7", "b", "c"]) == {1: ["one", "three"], 0: ["two"]}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("p.jsonl", '{"item_id": "zz", "text": "x"}\n{"item_id": "a", "text": "x"}', r"names 1 items .* first 'zz'"),
        ("p.jsonl", '{"item_id": "a"}', r"row 1: item_id or text is missing"),
        ("p.jsonl", '{"item_id": "a", "text": "x"}\n{', r"row 2 is not JSON"),
        ("p.jsonl", "3", r"row 1 is no object"),
        ("p.csv", "item_id,text\na,x", r"is no Parquet or JSON Lines"),
        ("p.parquet", "no", r"is no Parquet file"),
        (None, "", r"no such file"),
    ],
)
def test_faults_in_paraphrases_are_one_clear_error(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_paraphrases(str(tmp_path / (name or "absent.jsonl")), ["a", "b"])
    assert str(caught.value).startswith("finetune.adaptation.paraphrases")
