"""What lists for everybody cost: a made-up shop's users, most with a short history, k items each.

    python benchmarks/everybody.py --users 1000000 --items 100000 --work WORK --json everybody.json

The bundle is that of ``benchmarks/catalogue.py``: vectors of 240 numbers, an index where there are 50,000 items or more, an encoder of the default sizes
that reads the latest 50 items. Users are a long tail's: 4 % have no history, most 1 to 5 events, and 2 % more than 20. Histories
lie together in the catalogue as a person's do: half of the items of one are of one cluster. The command ``longtail recommend-all``'s
function writes the lists; memory is the greatest sum, over its processes, of what each holds alone plus its share of what it holds with others.
Recall is that of the 10 best items of the whole catalogue, for ``--checked`` users, who are also asked one by one.
"""

import argparse
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from catalogue import CLUSTER, K, made_up, without_index
from numpy.typing import NDArray
from script import run

from longtail.components.recommend.reach import reach
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.similar import similar_items
from longtail.contracts.histories import Histories, Ragged
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import load_bundle
from longtail.scoring.lists import answered
from longtail.scoring.recommender import Recommender

SMALL = 12_000  # items of the catalogue whose items alike are looked for
LENGTHS = {0: 0.04, 1: 0.35, 2: 0.2, 3: 0.12, 4: 0.08, 5: 0.06, 8: 0.07, 15: 0.06, 40: 0.02}  # events -> share of users


def made_up_users(users: int, item_ids: list[str]) -> Histories:
    rng = np.random.default_rng(0)
    lengths = rng.choice(list(LENGTHS), p=list(LENGTHS.values()), size=users)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    anywhere = rng.integers(len(item_ids), size=starts[-1])
    homes = np.repeat(rng.integers(len(item_ids), size=users) // CLUSTER * CLUSTER, lengths)
    near = np.minimum(homes + rng.integers(CLUSTER, size=len(homes)), len(item_ids) - 1)
    codes = np.where(rng.random(len(homes)) < 0.5, near, anywhere)
    return Histories(
        user_ids=pa.array([f"user-{number:07d}" for number in range(users)]),
        items=Ragged(starts.astype(np.int64), codes.astype(np.int32)),
        item_ids=pa.array(item_ids),
        attributes=pa.nulls(users, pa.list_(pa.string())),
        digest=f"made up, {users} users, {len(item_ids)} items",
        source="the made-up shop",
    )


@contextmanager
def greatest_memory(found: dict[str, float]) -> Iterator[None]:
    """``found["gb"]``: the greatest proportional set size of this process and all that it started, looked at each second."""
    ended, this = threading.Event(), psutil.Process()

    def watch() -> None:
        while not ended.wait(1.0):
            total = 0
            for process in (this, *this.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            found["gb"] = max(found.get("gb", 0.0), total / 1e9)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def recall(bundle: Path, lists: Path, histories: Histories, checked: int) -> float:
    """Of the lists of ``checked`` users, in those of scoring all items."""
    exact = without_index(load_bundle(bundle))
    users: NDArray[np.intp] = np.sort(np.random.default_rng(1).choice(len(histories), checked, replace=False))
    items = [histories.items.texts(slice(user, user + 1), histories.item_ids).to_pylist()[0] for user in users]
    answers = exact.answers([Asked(history, k=K, explain=False) for history in items])
    names = pa.array([histories.user_ids[user].as_py() for user in users])
    table = pq.read_table(lists / "recommendations", filters=[("user_id", "in", names.to_pylist())])
    given: dict[str, set[str]] = {}
    for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist()):
        given.setdefault(user, set()).add(item)
    wanted = [{item.item_id for item in answer.items} for answer in answers]
    return sum(len(best & given[user]) for best, user in zip(wanted, names.to_pylist())) / sum(map(len, wanted))


def spent(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the clock and of cores, this process' and its children's, and GB of memory."""
    memory: dict[str, float] = {}
    begin, before = time.monotonic(), psutil.Process().cpu_times()
    with greatest_memory(memory):
        work()
    seconds, after = time.monotonic() - begin, psutil.Process().cpu_times()
    kinds = ("user", "system", "children_user", "children_system")
    return {
        "seconds": seconds,
        "core_seconds": sum(getattr(after, kind) - getattr(before, kind) for kind in kinds),
        "gb": memory.get("gb", 0.0),
    }


def measured(bundle: Path, output: Path, users: int, checked: int, settings: RecommendSettings) -> dict[str, Any]:
    histories = made_up_users(users, load_bundle(bundle).item_ids)
    cost = spent(lambda: recommend(bundle, histories, output, settings))
    return {
        "users": users,
        "items": len(histories.item_ids),
        "rows": sum(pq.read_metadata(file).num_rows for file in (output / "recommendations").glob("*.parquet")),
        "minutes": round(cost["seconds"] / 60, 2),
        "core_ms_a_user": round(1000 * cost["core_seconds"] / users, 3),
        "memory_gb": round(cost["gb"], 2),
        "disk_mb": round(sum(file.stat().st_size for file in output.rglob("*.parquet")) / 1e6),
        "recall": round(recall(bundle, output, histories, checked), 4),
        "lists_unlike_one_by_one": unlike(bundle, histories, checked),
    }


def unlike(bundle: Path, histories: Histories, checked: int) -> int:
    """Of ``checked`` users, whose list or scores are others when they are asked alone."""
    recommender = Recommender(load_bundle(bundle), threads=1)
    asked = [Asked(history, k=K) for history in histories.table(slice(0, checked))["history"].to_pylist()]
    alone = [recommender.answers([one])[0] for one in asked]
    return sum(one.items != other.items for one, other in zip(answered(recommender, asked), alone))


def others(bundle: Path, work: Path, users: int, settings: RecommendSettings) -> dict[str, float]:
    """ms of a core a user, or an item, of what else can be asked: rules that pin, users whom items reach, items alike."""
    ids = load_bundle(bundle).item_ids
    histories, rules = made_up_users(users, ids), work / "rules.yaml"
    rules.write_text(f"rules: [{{name: first place, pin: {{1: {ids[0]}}}}}]\n")
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "pins": (
            users,
            lambda: recommend(bundle, histories, work / "pins", settings.model_copy(update={"rules": str(rules)})),
        ),
        "reach_of_3_items": (
            users,
            lambda: reach(bundle, histories, ids[5:8], work / "reach", RecommendSettings(processes=settings.processes)),
        ),
    }
    small = made_up(work, SMALL, spread=False, floats=True)
    ways["similar_items"] = SMALL, lambda: similar_items(small, work / "similar", settings)
    found = {
        f"core_ms_{name}": round(1000 * spent(way)["core_seconds"] / count, 3) for name, (count, way) in ways.items()
    }
    for name in ("pins", "reach", "similar"):
        shutil.rmtree(work / name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--int8", action="store_true", help="vectors of 8-bit numbers, not floats")
    parser.add_argument("--checked", type=int, default=500, help="users whose lists are compared with exact ones")
    parser.add_argument("--others", type=int, default=0, help="users who are asked in the other ways, too; 0: none")
    parser.add_argument("--processes", type=int, default=0, help="0: one a core")
    parser.add_argument("--work", type=Path, required=True, help="folder for the bundle, which is kept, and the lists")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    bundle = made_up(given.work, given.items, spread=False, floats=not given.int8)
    output = given.work / "lists"
    row = measured(bundle, output, given.users, given.checked, RecommendSettings(k=K, processes=given.processes))
    shutil.rmtree(output)
    if given.others:
        row |= others(bundle, given.work, given.others, RecommendSettings(k=K, processes=given.processes))
    for name, value in row.items():
        print(f"{name:<16} {value:>12,}")
    if given.json:
        given.json.write_text(json.dumps(row, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
