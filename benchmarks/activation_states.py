"""States and return probabilities of a million users: how long, how much memory, and how right 30 days later.

Users are drawn (seed 0): each comes at a rate of its own, from a gamma law, and leaves for good after an exponential time, as in the models
of customers by Schmittlein, Morrison and Colombo (1987). So what comes after the moment is known.
"""

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from longtail.campaign.returning import ReturnSettings, describe, return_probability
from longtail.campaign.states import StateSettings, user_states
from longtail.contracts.campaign import StateColumns
from longtail.contracts.columns import DAY

USERS = 1_000_000
MOMENT, END = 400, 430  # days
HORIZON = END - MOMENT
SEED = 0


def run(_datasets: Path) -> tuple[str, dict[str, Any]]:
    events, users = _shop()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    at = MOMENT * DAY
    began = time.perf_counter()
    states = user_states(events, users, at, StateSettings())
    described = time.perf_counter()
    found = return_probability(events, states, at, ReturnSettings(horizon_days=HORIZON), StateSettings(), SEED)
    learnt = time.perf_counter()
    known = ~np.isnan(found.probability)
    came = states[StateColumns.USER].isin(events.loc[events["timestamp"] >= at, "user_id"].unique()).to_numpy()
    document = {
        "users": len(states),
        "events": len(events),
        "states": states[StateColumns.STATE].value_counts().to_dict(),
        "seconds_states": round(described - began, 1),
        "seconds_returning": round(learnt - described, 1),
        "gigabytes_with_the_events": round(before / 1e6, 2),
        "gigabytes_at_most": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "learnt": found.quality,
        "later": describe(found.probability[known], came[known]),
    }
    return _table(document), document


def _shop() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(SEED)
    rate, start = rng.gamma(0.8, 1 / 40, USERS), rng.uniform(0, 380, USERS)
    length = np.minimum(rng.exponential(300, USERS), END - start)
    user = np.repeat(np.arange(USERS), rng.poisson(rate * length))
    days = start[user] + rng.random(len(user)) * length[user]
    ids = np.array([f"user-{number}" for number in range(USERS)], dtype=object)
    table = pd.DataFrame({"user_id": ids[user], "timestamp": (days * DAY).astype(np.int64)})
    return table.assign(value=rng.lognormal(size=len(user))), ids


def _table(document: dict[str, Any]) -> str:
    lines = [f"{key}: {document[key]}" for key in list(document)[:7]]
    for when in ("learnt", "later"):
        found = document[when]
        lines += ["", f"{when}: {found['users']} users, base rate {found['base_rate']:.3f}, skill {found['skill']:.3f}"]
        lines += ["", "| users | predicted | observed |", "|---|---|---|"]
        lines += [
            f"| {row['users']} | {row['predicted']:.3f} | {row['observed']:.3f} ({row['low']:.3f} to {row['high']:.3f}) |"
            for row in found["reliability"]
        ]
    return "\n".join(lines)
