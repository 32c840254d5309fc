"""The files of a campaign: the plan, and the contacts for a CRM tool; ids as pseudonyms where asked for."""

import csv
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.contracts.artifacts import finite
from longtail.contracts.campaign import CONTACT, PlanColumns
from longtail.contracts.errors import UserError

PLAN, CONTACTS, FACTS = "campaign.parquet", "contacts.csv", "plan.json"
LEAST_KEY = 16  # bytes
NUMBER = re.compile(r"-?\d+([.]\d+)?")
SCHEMA = pa.schema(
    [
        (PlanColumns.USER, pa.string()),
        (PlanColumns.SEGMENT, pa.string()),
        (PlanColumns.STATE, pa.string()),
        (PlanColumns.ARM, pa.string()),
        (PlanColumns.ACTION, pa.string()),
        (PlanColumns.CHANNEL, pa.string()),
        (PlanColumns.COST, pa.float64()),
        (PlanColumns.EXPECTED, pa.float64()),
        (PlanColumns.WHY, pa.string()),
        (PlanColumns.STRATUM, pa.string()),
        (PlanColumns.PROPENSITY, pa.float64()),
        (PlanColumns.SEND_AT, pa.int64()),
        (PlanColumns.ITEMS, pa.list_(pa.string())),
        (PlanColumns.REASONS, pa.list_(pa.string())),
        (PlanColumns.MESSAGE, pa.string()),
        (PlanColumns.PRE_VALUE, pa.float64()),
    ]
)


def write_plan(folder: Path, table: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """``campaign.parquet``, ``contacts.csv`` and ``plan.json``. table: ``PlanColumns``, one row a user."""
    pq.write_table(pa.Table.from_pandas(table, SCHEMA, preserve_index=False), folder / PLAN)
    contacts = table[table[PlanColumns.ARM] == CONTACT]
    columns = [
        PlanColumns.USER,
        PlanColumns.CHANNEL,
        PlanColumns.ACTION,
        PlanColumns.SEND_AT,
        PlanColumns.ITEMS,
        PlanColumns.MESSAGE,
    ]
    with (folder / CONTACTS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user_id", "channel", "offer", "send_at", "items", "message"])
        for user, channel, offer, at, items, message in contacts[columns].itertuples(index=False):
            writer.writerow(map(safe_cell, (user, channel, offer, iso(at), " ".join(items), message)))
    (folder / FACTS).write_text(json.dumps(finite(facts), indent=1, sort_keys=True, allow_nan=False) + "\n")


def safe_cell(text: str) -> str:
    """What a spreadsheet would take for a formula gets an apostrophe in front; numbers stay."""
    begins = text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")
    return f"'{text}" if begins and not NUMBER.fullmatch(text) else text


def iso(at: int) -> str:
    """A time in microseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pseudonyms(key_file: str | None) -> Callable[[str], str]:
    """What an id is written as: the first 32 digits of its HMAC-SHA256 under the file's key; itself without a file.

    Raises:
        UserError: the file cannot be read, or its key is short.
    """
    if key_file is None:
        return str
    try:
        key = Path(key_file).read_bytes().strip()
    except OSError as error:
        raise UserError(f"{key_file}: cannot be read ({error.strerror}); give the file of a secret key") from None
    if len(key) < LEAST_KEY:
        raise UserError(
            f"{key_file}: holds {len(key)} bytes; a key needs {LEAST_KEY} at least, such as of `openssl rand -hex 32`"
        )
    return lambda user: hmac.new(key, user.encode(), hashlib.sha256).hexdigest()[:32]
