"""A small Prepared data set written directly, and the teacher that belongs to it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from helpers_bundle import write_tiny_bundle
from safetensors.numpy import save_file

from longtail.contracts.artifacts import PREPARED, TEACHER, write_artifact
from longtail.contracts.prepared import PreparedDataset, Split

Event = tuple[int, int, Split]  # item code, timestamp, split


def leave_last_out(sequence: Sequence[int]) -> list[Event]:
    """A sequence's events; the last is the test target, the one before it (of three or more) validates."""
    count = len(sequence)
    split = lambda place: Split.TEST if place == count - 1 else Split.VALIDATION if place == count - 2 else Split.TRAIN  # noqa: E731
    return [(item, 100 + place, split(place)) for place, item in enumerate(sequence)]


def write_tiny_prepared(
    path: Path,
    users: Sequence[Sequence[Event]] | None = None,
    *,
    n_items: int = 30,
    n_users: int = 120,
    seed: int = 0,
    train_counts: np.ndarray | None = None,
    words: Sequence[str] = (),
    contexts: Sequence[Sequence[str]] = (),
    images: Sequence[Any] | None = None,
    **facts: Any,
) -> Path:
    """Write it from each user's events, oldest first (without them: random ones, every tenth user is cold).

    contexts: of every event, one user after the other, ``name=value`` each. images: of every item, a vector, an address or None. words: what texts and attributes are made of, so that a tiny language model can read them; none: other words.
    """
    rng = np.random.default_rng(seed)
    if users is None:
        lengths = [1 if user % 10 == 0 else int(rng.integers(2, 14)) for user in range(n_users)]
        users = [leave_last_out(rng.permutation(n_items)[:length].tolist()) for length in lengths]
    rows = [
        (user, place, item, time, int(split))
        for user, events in enumerate(users)
        for place, (item, time, split) in enumerate(events)
    ]
    moments = Counter((user, time) for user, _, _, time, _ in rows)
    tied = [moments[user, time] > 1 for user, _, _, time, _ in rows]
    columns = [np.array(column) for column in zip(*rows)]
    counts = np.bincount(columns[2][columns[4] == Split.TRAIN], minlength=n_items)
    known = {
        "protocol": "leave-last-out",
        "split": {"rule": "leave_last_out"},
        "segment_rule": {"tail_max": 4, "torso_max": 9},
        "counts": {"events": len(rows), "users": len(users), "items": n_items},
        "rejected": {"interactions: user_id is empty": 2},
        "numeric_names": [],
        "images": _image_facts(images),
        "user_attributes": ["gender=F", "gender=M"],
        "context": sorted({name for context in contexts for name in context}),
        "repeats": "merge",
        "ties": {
            "validation": _tied_targets(rows, tied, Split.VALIDATION),
            "test": _tied_targets(rows, tied, Split.TEST),
        },
        "settings": {},
    }
    texts, attributes = _texts(n_items, words)
    with write_artifact(path, PREPARED, known | facts) as folder:
        items = {
            "item_code": np.arange(n_items, dtype=np.int32),
            "item_id": [f"i{code:03d}" for code in range(n_items)],
            "title": [f"Item {code}" for code in range(n_items)],
            "text": texts,
            "attributes": attributes,
            "numeric": pa.array([[]] * n_items, pa.list_(pa.float32())),
            "numbers": pa.array([[]] * n_items, pa.list_(pa.float64())),
            "train_count": counts.astype(np.int64) if train_counts is None else train_counts,
        }
        pq.write_table(pa.table(items), folder / "items.parquet")
        if images is not None:
            codes = np.array([code for code, image in enumerate(images) if image is not None], dtype=np.int32)
            given = [image for image in images if image is not None]
            type_ = pa.string() if isinstance(given[0], str) else pa.list_(pa.float32())
            pq.write_table(pa.table({"item_code": codes, "image": pa.array(given, type_)}), folder / "images.parquet")
        people = {
            "user_code": np.arange(len(users), dtype=np.int32),
            "user_id": [f"u{user:03d}" for user in range(len(users))],
            "attributes": [(known | facts)["user_attributes"][1 - user % 2 :][:1] for user in range(len(users))],
        }
        pq.write_table(pa.table(people), folder / "users.parquet")
        kinds = (np.int32, np.int32, np.int32, np.int64, np.int8)
        names = ("user_code", "position", "item_code", "timestamp", "split")
        events = {name: column.astype(kind) for name, column, kind in zip(names, columns, kinds)}
        more = {"tied": np.array(tied)}
        more["context"] = pa.array(list(contexts) or [None] * len(rows), pa.list_(pa.string()))
        pq.write_table(pa.table(events | more), folder / "events.parquet")
    return path


def _image_facts(images: Sequence[Any] | None) -> dict[str, Any] | None:
    if images is None:
        return None
    given = [image for image in images if image is not None]
    width = None if isinstance(given[0], str) else len(given[0])
    return {"kind": "vectors" if width else "addresses", "items": len(given), "width": width}


def tiny_images(n_items: int = 30, width: int = 6) -> list[list[float] | None]:
    """Random vectors; every sixth item has none."""
    rng = np.random.default_rng(5)
    return [None if code % 6 == 5 else rng.normal(size=width).astype(np.float32).tolist() for code in range(n_items)]


def _texts(n_items: int, words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Texts (title, attributes and description, where there are words) and attributes of each item."""
    if not words:
        kinds = [f"kind{code % 5}" for code in range(n_items)]
        return [f"{kind} colour{code % 3} name{code}" for code, kind in enumerate(kinds)], [[kind] for kind in kinds]
    word = lambda code: words[code % len(words)]  # noqa: E731
    attributes = [[word(code // 2), word(3 * code + 1)] for code in range(n_items)]
    titles = [f"{word(code)} {word(5 * code + 2)}" for code in range(n_items)]
    texts = [
        f"{title} | {', '.join(of)} | {word(code + 7)}" for code, (title, of) in enumerate(zip(titles, attributes))
    ]
    return texts, attributes


def _tied_targets(rows: list[tuple[int, ...]], tied: list[bool], split: Split) -> dict[str, int]:
    targets = [is_tied for row, is_tied in zip(rows, tied) if row[-1] == split]
    return {"targets": len(targets), "tied": sum(targets), "drawn": sum(targets)}


def write_tiny_teacher(path: Path, prepared: Path, seed: int = 1) -> Path:
    """A teacher whose scorer is a random bundle and whose text vectors are random unit rows [items, 6]."""
    data = PreparedDataset(prepared)
    vectors = np.random.default_rng(seed).normal(size=(len(data.item_ids), 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with write_artifact(path, TEACHER, {"train_digest": data.train_digest()}) as folder:
        save_file({"frozen": vectors}, folder / "text_vectors.safetensors")
        write_bundle_for(folder / "scorer", data, seed)
    return path


def write_bundle_for(path: Path, data: PreparedDataset, seed: int, **more: Any) -> Path:
    """A random bundle of the data set's catalogue."""
    return write_tiny_bundle(
        path,
        seed=seed,
        item_ids=data.item_ids,
        train_counts=data.train_counts,
        train_digest=data.train_digest(),
        **more,
    )
