"""A campaign for a million users: seconds of each step, and the peak of memory.

    python benchmarks/activation_plan.py

The shop is made up: 1,000,000 users, some 4,000,000 events, lists of 10 items in 200 parts, two offers. What lists cost to make is
measured by benchmarks/everybody.py.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.campaign.lists import WrittenLists
from longtail.components.campaign.plan import plan
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import of_tables
from longtail.contracts.artifacts import LISTS, write_artifact

USERS, ITEMS, PARTS, K = 1_000_000, 100_000, 200, 10
OFFERS = (
    {"name": "news", "channel": "mail", "cost": 0.02, "template": "Hello! For you: $titles ($reason)."},
    {"name": "push", "channel": "app", "cost": 0.005, "capacity": 60_000, "template": "For you: $title"},
)


def made_up(folder: Path, users: int) -> None:
    """interactions, consent and lists of so many users."""
    rng = np.random.default_rng(0)
    ids = np.char.add("u", np.char.zfill(np.arange(users).astype(str), 7))
    counts = rng.geometric(0.25, users)
    who = np.repeat(np.arange(users), counts)
    days = rng.random(len(who)) * np.repeat(rng.choice([30.0, 120.0, 360.0], users), counts)
    events = pd.DataFrame(
        {
            "user_id": ids[who],
            "item_id": np.char.add("i", rng.integers(ITEMS, size=len(who)).astype(str)),
            "timestamp": (1_700_000_000 - days * 86_400).astype(np.int64),
            "value": rng.gamma(2.0, 10.0, len(who)),
        }
    )
    events.to_parquet(folder / "interactions.parquet", index=False)
    agreed = pd.concat([pd.DataFrame({"user_id": ids, "channel": channel}) for channel in ("mail", "app")])
    agreed.to_parquet(folder / "consent.parquet", index=False)
    with write_artifact(folder / "lists", LISTS, {"of": "users"}) as inside:
        for name in ("recommendations", "users"):
            (inside / name).mkdir()
        for part, those in enumerate(np.array_split(ids, PARTS)):
            items = np.char.add("i", rng.integers(ITEMS, size=len(those) * K).astype(str))
            rows = {
                "user_id": np.repeat(those, K),
                "rank": pa.array(np.tile(np.arange(1, K + 1), len(those)), pa.int32()),
                "item_id": items,
                "title": np.char.add("Thing ", items),
                "reason": ["similar to what you had"] * len(items),
            }
            pq.write_table(pa.table(rows), inside / "recommendations" / f"part-{part:05d}.parquet")
            given = {"user_id": those, "given": pa.array([K] * len(those), pa.int32())}
            pq.write_table(pa.table(given), inside / "users" / f"part-{part:05d}.parquet")


def run(datasets: Path, users: int = USERS) -> tuple[str, dict]:
    """A table, and the figures. datasets is not read: the shop is made up."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if (child := _forked(made_up, folder, users)) != 0:  # its memory is not that of the plan
            raise RuntimeError(f"the made-up shop was not written (status {child})")
        figures: dict = {"users": users}
        begin = time.perf_counter()
        everybody = of_tables(str(folder / "interactions.parquet"), None)
        figures["events"] = len(everybody.events)
        figures["read_seconds"] = time.perf_counter() - begin
        begin = time.perf_counter()
        lists = WrittenLists(folder / "lists")
        figures["check_lists_seconds"] = time.perf_counter() - begin
        settings = CampaignSettings.model_validate(
            {
                "offers": OFFERS,
                "budget": users * 0.001,
                "consent": str(folder / "consent.parquet"),
                "hold_out": {"least_effect": 0.02},
            }
        )
        begin = time.perf_counter()
        facts = plan(everybody, lists, folder / "campaign", settings, 0)
        figures["plan_seconds"] = time.perf_counter() - begin
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures |= {"arms": facts["arms"], "spent": facts["spent"], "budget": facts["budget"], "gap": facts["gap"]}
    rows = [
        f"| {name.replace('_', ' ')} | {value if isinstance(value, dict) else f'{value:,.6g}'} |"
        for name, value in figures.items()
    ]
    return "\n".join(["| | |", "|---|---|", *rows]), figures


def _forked(work, *arguments) -> int:
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode or 0


if __name__ == "__main__":
    print(run(Path(), int(sys.argv[1]) if len(sys.argv) > 1 else USERS)[0])
