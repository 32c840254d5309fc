"""A made-up shop for campaigns: events, users, consent, and lists as `longtail recommend-all` writes them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.contracts.artifacts import LISTS, write_artifact

DAY = 86_400
START = 1_700_000_000  # seconds


def tables(folder, users=2000, seed=0, values=True):
    """interactions.parquet, users.csv, consent.csv; returns the ids of users, u00000 on. The last tenth has no events."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"u{number:05d}" for number in range(users)])
    active = users * 9 // 10
    counts = 1 + rng.geometric(0.3, active)
    who = np.repeat(np.arange(active), counts)
    gap = rng.choice([5.0, 20.0, 60.0], active)
    days = 400 - np.concatenate([np.cumsum(rng.exponential(gap[user], count)) for user, count in enumerate(counts)])
    kept = days > 0
    events = pd.DataFrame({"user_id": ids[who], "item_id": [f"i{item}" for item in rng.integers(50, size=len(who))]})
    events["timestamp"] = (START + days * DAY).astype(np.int64)
    if values:
        events["value"] = np.round(rng.gamma(2.0, 10.0, len(who)), 2)
    events[kept].to_parquet(folder / "interactions.parquet", index=False)
    zones = np.array(["Europe/Berlin", "America/New_York", ""])[rng.integers(3, size=users)]
    pd.DataFrame(
        {"user_id": ids, "zone": zones, "band": np.array(["young", "old"])[rng.integers(2, size=users)]}
    ).to_csv(folder / "users.csv", index=False)
    agreed = [(user, channel) for user in ids[: users * 19 // 20] for channel in ("mail", "app")]
    pd.DataFrame(agreed, columns=["user_id", "channel"]).to_csv(folder / "consent.csv", index=False)
    return ids.tolist()


def lists(folder, ids, k=5, parts=2, title="Thing {item}"):
    """A Lists artifact; the item of rank r of user n is i(n + r)."""
    with write_artifact(folder, LISTS, {"of": "users"}) as inside:
        for name in ("recommendations", "users"):
            (inside / name).mkdir()
        for part, those in enumerate(np.array_split(np.array(ids), parts)):
            rows = [
                {
                    "user_id": user,
                    "rank": rank,
                    "item_id": f"i{place + rank}",
                    "title": title.format(item=place + rank),
                    "score": 1.0 / rank,
                    "reason": f"because of {place}",
                    "source": "history",
                    "about": None,
                }
                for place, user in enumerate(those.tolist())
                for rank in range(1, k + 1)
            ]
            table = pa.Table.from_pylist(rows)
            table = table.set_column(1, "rank", table.column("rank").cast(pa.int32()))
            pq.write_table(table, inside / "recommendations" / f"part-{part:05d}.parquet")
            given = pa.table({"user_id": those.tolist(), "given": pa.array([k] * len(those), pa.int32())})
            pq.write_table(given, inside / "users" / f"part-{part:05d}.parquet")
    return folder


def settings(**changes):
    """As a YAML file would hold them."""
    given = {
        "name": "spring",
        "budget": 100.0,
        "value_of_outcome": None,
        "offers": [
            {"name": "news", "channel": "mail", "cost": 0.1, "template": "Hello! For you: $titles ($reason)."},
            {"name": "push", "channel": "app", "cost": 0.05, "capacity": 300, "template": "New for you: $title"},
        ],
        "hold_out": {"least_effect": 0.08},
    }
    return given | changes
