"""What a teacher of another catalogue is worth to a new shop, by how many events the shop has.

    python benchmarks/transfer.py --source TEACHER --dataset FOLDER --work WORK --output transfer.json

TEACHER: what finetune wrote on another catalogue. FOLDER: interactions.parquet and items.parquet, of which a shop is drawn: held-out
users whom no model sees, and others who make the events that it has, 0, 100, 1,000 and 10,000 of them by whole histories. With each,
finetune and distill run once alone and once with finetune.start_from. Every held-out user is asked for the last item, with the 1 to 4
items before it; the shop's whole catalogue is ranked, the items shown are excluded. Prints a Markdown table of NDCG@10 (mean over the
four) with 95 % intervals over users. The work folder keeps what was trained, so that a stopped benchmark goes on.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from script import run

from longtail.components.distill.distill import distill
from longtail.components.finetune.finetune import finetune
from longtail.components.preprocess.prepare import prepare
from longtail.contracts.prepared import PreparedDataset
from longtail.metrics.ranking import ndcg, rank_targets
from longtail.metrics.significance import mean_intervals
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

SHOWN = (1, 2, 3, 4)
HELD_OUT = 1000
BATCH = 250


def draw_shop(
    dataset: Path, most: int, settings: list[str], work: Path, seed: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Write ``items.parquet`` of a shop to the work folder; histories of held-out users, and of those who may make its events."""
    if not (work / "whole").is_dir():
        chosen = load_settings(None, settings).preprocess
        prepare(str(dataset / "interactions.parquet"), str(dataset / "items.parquet"), None, work / "whole", chosen)
    data = PreparedDataset(work / "whole")
    codes = np.split(data.item_codes, np.searchsorted(data.user_codes, np.arange(1, len(data.user_ids))))
    histories = [[data.item_ids[item] for item in history] for history in codes if len(history) > 1]
    order = np.random.default_rng(seed).permutation(len(histories)).tolist()
    held, others = [histories[row] for row in order[:HELD_OUT]], [histories[row] for row in order[HELD_OUT:]]
    makers = first_events(others, most)
    known = sorted({item for history in (*held, *makers) for item in history})
    connection = duckdb.connect()
    connection.execute("create table known as select unnest(?) as item_id", [known])
    place = str(work / "items.parquet").replace("'", "''")
    connection.execute(
        f"copy (select i.* from read_parquet(?) i join known using (item_id) order by item_id) to '{place}' (format parquet)",
        [str(dataset / "items.parquet")],
    )
    return held, makers


def first_events(histories: list[list[str]], count: int) -> list[list[str]]:
    """The first of these users who have ``count`` events together."""
    totals = np.cumsum([len(history) for history in histories])
    return histories[: int(np.searchsorted(totals, count)) + 1] if count else []


def write_events(histories: list[list[str]], path: Path) -> None:
    rows = [(f"u{user}", item, place) for user, history in enumerate(histories) for place, item in enumerate(history)]
    users, items, places = (list(column) for column in zip(*rows))
    pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": places}), path)


def train(folder: Path, items: Path, histories: list[list[str]], settings: RunSettings, seed: int) -> Path:
    """The student of a shop with these events; kept where it is there."""
    bundle = folder / "bundle"
    if bundle.is_dir():
        return bundle
    folder.mkdir(parents=True, exist_ok=True)
    if histories:
        write_events(histories, folder / "events.parquet")
    interactions = str(folder / "events.parquet") if histories else None
    prepare(interactions, str(items), None, folder / "prepared", settings.preprocess)
    finetune(folder / "prepared", folder / "teacher", settings.finetune, seed)
    distill(folder / "prepared", folder / "teacher", bundle, settings.distill, seed)
    return bundle


def found_by(bundle: Path, held: list[list[str]]) -> NDArray[np.float64]:
    """NDCG@10 of every held-out user, the mean over what is shown of the history. ``[users]``"""
    loaded = load_bundle(bundle)
    scorer, codes = Scorer(loaded), {item: code for code, item in enumerate(loaded.item_ids)}
    sequences = [np.array([codes[item] for item in history], dtype=np.int32) for history in held]
    found = np.zeros((len(held), len(SHOWN)))
    for column, k in enumerate(SHOWN):
        for begin in range(0, len(sequences), BATCH):
            users = slice(begin, begin + BATCH)
            shown = [sequence[:-1][-k:] for sequence in sequences[users]]
            wanted = [sequence[-1:] for sequence in sequences[users]]
            scores = scorer.score([Query(history) for history in shown])
            found[users, column] = ndcg(rank_targets(scores, wanted, shown))
    return found.mean(axis=1)


def row_of(
    events: int, alone: NDArray[np.float64], started: NDArray[np.float64], seconds: list[float]
) -> dict[str, Any]:
    found = mean_intervals(np.stack([alone, started, started - alone], axis=1), 1000, 0.95, 0)
    figures = [
        {"mean": float(found.mean[column]), "interval": [float(found.low[column]), float(found.high[column])]}
        for column in range(3)
    ]
    return {"events": events, **dict(zip(("alone", "started", "gain"), figures)), "seconds": seconds}


def shown_row(row: dict[str, Any]) -> str:
    def cell(figure: dict[str, Any], sign: str = "") -> str:
        low, high = figure["interval"]
        return f"{figure['mean']:{sign}.4f} ({low:{sign}.4f} to {high:{sign}.4f})"

    gain = row["gain"]
    low, high = gain["interval"]
    verdict = "pays" if low > 0 else "harms" if high < 0 else "unclear"
    return f"| {row['events']:,} | {cell(row['alone'])} | {cell(row['started'])} | {cell(gain, '+')} | {verdict} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="a Teacher of another catalogue")
    parser.add_argument("--dataset", required=True, type=Path)
    parser.add_argument("--events", type=int, nargs="+", default=[0, 100, 1000, 10000])
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="STAGE.KEY=VALUE",
        help="of preprocess: for the data set; of finetune and distill: for the shop",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    reading = [setting for setting in given.settings if setting.startswith("preprocess.")]
    training = [setting for setting in given.settings if setting not in reading]
    held, makers = draw_shop(given.dataset, max(given.events), reading, given.work, given.seed)
    items = given.work / "items.parquet"
    print(f"{given.dataset.name}: {pq.read_metadata(items).num_rows:,} items, {len(held):,} held-out users\n")
    print("| events | alone | from the source | difference | starting from it |\n|---|---|---|---|---|")
    rows = []
    for events in given.events:
        histories = first_events(makers, events)
        found, seconds = [], []
        for name, more in (("alone", []), ("started", [f"finetune.start_from={given.source}"])):
            began = time.monotonic()
            bundle = train(
                given.work / f"{name}-{events}", items, histories, load_settings(None, [*training, *more]), given.seed
            )
            seconds.append(round(time.monotonic() - began, 1))
            found.append(found_by(bundle, held))
        rows.append(row_of(sum(map(len, histories)), *found, seconds))
        print(shown_row(rows[-1]), flush=True)
        given.output.write_text(json.dumps({"dataset": given.dataset.name, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
