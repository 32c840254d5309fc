"""What an index of the items brings in large catalogues: time, recall and memory, beside scoring all items.

    python benchmarks/catalogue.py --items 1000000 --work WORK --json catalogue.json
    python benchmarks/catalogue.py --sizes 10000 20000 50000 100000 200000 --floats --work WORK

Made-up bundles of ``--items``: vectors of 240 numbers, int8 or floats, in clusters of 200 (``--spread`` scatters them all alike instead, which nothing
learnt looks like), popularity that falls as 1 / rank, 50 neighbours of each item, 100 brands of as many items. Histories are of three items, from
which the encoder, of the default sizes, takes the latest. The first way asks a server over ``--clients`` connections, plainly and with a filter that leaves 1 %, and says how
many of the 10 best items of the whole catalogue are in its answers; the second asks in one process, with the index and without.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from script import run
from serving import NAME, latencies

from longtail.components.deploy.local_server import running_server
from longtail.contracts.artifacts import BUNDLE, write_artifact
from longtail.contracts.segments import SegmentRule
from longtail.modeling.export import export_sequence_encoder
from longtail.modeling.sequence_model import SequenceEncoder, Shape
from longtail.scoring import bundle_writing
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import LENGTH_BUCKETS, Bundle, Tensors, bundle_facts, load_bundle
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.recommender import Answer, Recommender

DIM, CLUSTER, NEIGHBOURS, BRANDS, K = 240, 200, 50, 100, 10
BLOCK = 50_000
SHAPE = Shape(dim=DIM, blocks=1, heads=4, max_history=50, dropout=0.0, temperature=0.07)


def vectors_of(items: int, spread: bool, rng: np.random.Generator) -> Int8Rows:
    centres = rng.normal(size=(max(items // CLUSTER, 1), DIM)).astype(np.float32)
    codes, scales = np.empty((items, DIM), np.int8), np.empty(items, np.float32)
    for begin in range(0, items, BLOCK):
        count = min(BLOCK, items - begin)
        rows = rng.standard_normal((count, DIM), dtype=np.float32)
        if not spread:
            rows += centres[np.arange(begin, begin + count) // CLUSTER % len(centres)]
        held = Int8Rows.of(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        codes[begin : begin + count], scales[begin : begin + count] = held.codes, held.scale
    return Int8Rows(codes, scales)


def write_made_up(path: Path, items: int, spread: bool, floats: bool) -> None:
    """A bundle whose neighbours are items of the same cluster."""
    rng = np.random.default_rng(0)
    popularity = np.log(1 / (1 + rng.permutation(items)))
    near = np.arange(items)[:, None] // CLUSTER * CLUSTER + rng.integers(CLUSTER, size=(items, NEIGHBOURS))
    near = np.sort(np.minimum(near, items - 1), axis=1)
    shares = rng.random((items, NEIGHBOURS), dtype=np.float32)
    rows = np.arange(0, items * NEIGHBOURS + 1, NEIGHBOURS)
    vectors = vectors_of(items, spread, rng)
    tensors = Tensors(
        item_matrix=vectors[:] if floats else vectors,
        log_popularity=((popularity - popularity.mean()) / popularity.std()).astype(np.float32),
        start=np.zeros(DIM, np.float32),
        attribute_matrix=np.zeros((0, DIM), np.float32),
        text_projection=np.zeros((1, DIM), np.float32),
        neighbours=sparse.csr_array((shares.ravel(), near.ravel(), rows), shape=(items, items)),
        traits=sparse.csr_array((0, items), dtype=np.float32),
        trait_scale=np.zeros(0, np.float32),
        trait_base=np.zeros(items, np.float32),
        dense_weight=np.ones(LENGTH_BUCKETS, np.float32),
        neighbour_weight=np.full(LENGTH_BUCKETS, 2, np.float32),
        popularity_weight=np.full(LENGTH_BUCKETS, 0.3, np.float32),
        trait_weight=np.zeros(LENGTH_BUCKETS, np.float32),
        decay=0.7,
    )
    names = [f"item-{code}" for code in range(items)]
    brands = rng.integers(BRANDS, size=items)
    table = pa.table(
        {
            "item_id": names,
            "title": [f"Title of {name}" for name in names],
            "attributes": [[f"brand: {brand}"] for brand in brands.tolist()],
            "text": names,
            "train_count": rng.integers(100, size=items),
        }
    )
    facts = bundle_facts(
        SegmentRule(), True, SHAPE.max_history, 8, "made up", numeric_names=[], popularity_half_life=None
    )
    torch.manual_seed(0)
    encoder = SequenceEncoder(SHAPE).eval()
    for block in encoder.blocks:  # what it adds to its input is nothing, at the usual cost
        torch.nn.init.zeros_(block.attention.project_out.weight)
        torch.nn.init.zeros_(block.feed[3].weight)
    with write_artifact(path, BUNDLE, facts) as folder:
        write_tables(folder, tensors, table, [])
        export_sequence_encoder(encoder, folder / "sequence_encoder.onnx")


def made_up(work: Path, items: int, spread: bool, floats: bool) -> Path:
    path = work / f"bundle-{items}{'-spread' if spread else ''}{'-floats' if floats else ''}"
    if not path.is_dir():
        begin = time.monotonic()
        write_made_up(path, items, spread, floats)
        print(f"a bundle of {items:,} items was made in {time.monotonic() - begin:.0f} s", flush=True)
    return path


def asked_of(bundle: Bundle, count: int, filtered: bool, seed: int = 0) -> list[Asked]:
    rng = np.random.default_rng(seed)
    histories = rng.integers(len(bundle.item_ids), size=(count, 3))
    return [
        Asked(
            [bundle.item_ids[code] for code in history],
            k=K,
            filters=Filters(all=[f"brand: {rng.integers(BRANDS)}"]) if filtered else Filters(),
        )
        for history in histories
    ]


def without_index(bundle: Bundle) -> Recommender:
    made = Recommender(bundle, threads=1)
    made._scorer.item_index = None
    return made


def recall(found: Sequence[Answer], whole: Sequence[Answer]) -> float:
    shared = [
        len({item.item_id for item in one.items} & {item.item_id for item in two.items})
        for one, two in zip(found, whole)
    ]
    return float(np.sum(shared) / np.sum([len(answer.items) for answer in whole]))


def in_one_process(bundle: Bundle, questions: int) -> dict[str, Any]:
    """Milliseconds of a core a question, one after the other, by the index and by scoring all items; recall of the first in the second."""
    row: dict[str, Any] = {"items": len(bundle.item_ids)}
    for filtered in (False, True):
        asked = asked_of(bundle, questions, filtered)
        answers, best = {}, {}
        for name, recommender in (("index", Recommender(bundle, threads=1)), ("all", without_index(bundle))):
            recommender.answers(asked[:1])
            best[name] = float("inf")
            for _ in range(3):
                begin = time.process_time()
                answers[name] = [recommender.answers([one])[0] for one in asked]
                best[name] = min(best[name], 1000 * (time.process_time() - begin) / len(asked))
        row["filtered" if filtered else "plain"] = {
            "index_ms": round(best["index"], 3),
            "all_ms": round(best["all"], 3),
            "recall": round(recall(answers["index"], answers["all"]), 4),
        }
    return row


def memory_mb(process: int) -> tuple[float, float]:
    """Of a process: now, and at most."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return tuple(int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def bodies(asked: Sequence[Asked]) -> list[bytes]:
    return [
        json.dumps(
            {"instances": [{"history": one.history, "k": K, "filters": {"all": list(one.filters.all)}}]}
        ).encode()
        for one in asked
    ]


def served(path: Path, clients: int, requests: int) -> dict[str, Any]:
    bundle = load_bundle(path)
    exact = without_index(bundle)
    indexed = Recommender(bundle, threads=1)
    rows: dict[str, Any] = {"items": len(bundle.item_ids)}
    shares = {}
    for filtered in (False, True):
        asked = asked_of(bundle, 200, filtered, seed=1)
        shares[filtered] = recall(indexed.answers(asked), exact.answers(asked))
    del indexed, exact
    begin = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path, NAME, 120, Path(folder) / "server.log") as server,
        ThreadPoolExecutor(clients) as pool,
    ):
        rows["ready_s"] = round(time.perf_counter() - begin, 1)
        for filtered in (False, True):
            asked = bodies(asked_of(bundle, 512, filtered))
            shifted = [asked[7 * client :] + asked[: 7 * client] for client in range(clients)]
            seconds = sorted(chain(*pool.map(lambda own: latencies(server.http_port, own, requests), shifted)))
            rows["filtered" if filtered else "plain"] = {
                "requests_per_second": round(clients * len(seconds) / sum(seconds), 1),
                "p50_ms": round(1000 * seconds[len(seconds) // 2], 2),
                "p99_ms": round(1000 * seconds[int(0.99 * len(seconds))], 2),
                "recall": round(shares[filtered], 4),
            }
        now, most = memory_mb(server.pid)
        rows |= {"memory_mb": round(now), "most_memory_mb": round(most)}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, help="of the bundle that is served")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[], help="items of the bundles that are asked in one process"
    )
    parser.add_argument("--spread", action="store_true", help="vectors in all directions alike")
    parser.add_argument("--floats", action="store_true", help="vectors as distill writes them by default, not int8")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=500, help="of each client")
    parser.add_argument("--questions", type=int, default=100, help="of each kind, in one process")
    parser.add_argument("--work", type=Path, required=True, help="folder for the bundles, which are kept")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    rows = []
    bundle_writing.INDEXED_FROM = min([*given.sizes, bundle_writing.INDEXED_FROM])
    for items in given.sizes:
        rows.append(
            in_one_process(load_bundle(made_up(given.work, items, given.spread, given.floats)), given.questions)
        )
        print(json.dumps(rows[-1]), flush=True)
    if given.items:
        rows.append(served(made_up(given.work, given.items, given.spread, given.floats), given.clients, given.requests))
        print(json.dumps(rows[-1], indent=1))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
