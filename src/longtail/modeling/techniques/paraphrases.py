"""Paraphrases: further wordings of items' texts, which a user may have a large language model write, from a file."""

import gzip
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from longtail.contracts.errors import UserError
from longtail.tables import sources


def one_wording(text: str, others: Sequence[str], rng: np.random.Generator) -> str:
    """The text or one of its paraphrases, each as likely; nothing is drawn where there are none."""
    return [text, *others][rng.integers(1 + len(others))] if others else text


def read_paraphrases(uri: str, item_ids: Sequence[str]) -> dict[int, list[str]]:
    """Item code -> its paraphrases, from Parquet or JSON Lines with the columns item_id and text.

    Raises:
        UserError: where the file is missing or of another layout, or names an item that the data set does not hold.
    """
    name = "finetune.adaptation.paraphrases"
    code_of = {item_id: code for code, item_id in enumerate(item_ids)}
    found: dict[int, list[str]] = {}
    try:
        source = sources.find(uri)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    if source.format not in ("parquet", "jsonl"):
        raise UserError(f"{name}: {uri} is no Parquet or JSON Lines; give one with the columns item_id and text")
    unknown: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for file in sources.fetch(source, Path(folder)).files:
            rows = _parquet_rows(file) if source.format == "parquet" else _json_rows(file)
            for number, row in enumerate(rows, start=1):
                item_id, text = row.get("item_id"), row.get("text")
                if item_id is None or not isinstance(text, str) or not text.strip():
                    raise UserError(f"{name}: {file} row {number}: item_id or text is missing; give both in every row")
                if str(item_id) in code_of:
                    found.setdefault(code_of[str(item_id)], []).append(text)
                else:
                    unknown.append(str(item_id))
    if unknown:
        raise UserError(
            f"{name}: {uri} names {len(set(unknown))} items that the data set does not hold, first {unknown[0]!r}; take "
            "them out"
        )
    return found


def _parquet_rows(file: str) -> list[dict[str, Any]]:
    try:
        return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise UserError(
            f"finetune.adaptation.paraphrases: {file} is no Parquet file ({error}); write it again"
        ) from None


def _json_rows(file: str) -> list[dict[str, Any]]:
    rows = []
    with (
        gzip.open(file, "rt", encoding="utf-8") if file.endswith(".gz") else Path(file).open(encoding="utf-8") as lines
    ):
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"finetune.adaptation.paraphrases: {file} row {number} is not JSON ({error}); mend it"
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    f"finetune.adaptation.paraphrases: {file} row {number} is no object; give item_id and text"
                )
            rows.append(row)
    return rows
