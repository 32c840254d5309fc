"""A tiny bundle's log: users who like some items more than the bundle knows, shown by exploring."""

import json
from pathlib import Path

import numpy as np
from helpers_bundle import write_tiny_bundle

from longtail.policies.shown_lists import ShownList
from longtail.scoring.asked import Asked, Explore
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.scoring.exploring import explored
from longtail.scoring.recommender import Recommender

K, ITEMS = 2, 12
START = 1_735_700_000  # seconds
LIKED = {f"i{code:03d}": 0.6 for code in (2, 5, 8)}  # item -> chance that it is chosen; of others OTHER
OTHER = 0.05


def tiny_bundle(folder: Path) -> Bundle:
    return load_bundle(write_tiny_bundle(folder / "bundle", n_items=ITEMS))


def shown_lists(bundle: Bundle, count: int, chances: dict[str, float], seed: int = 0) -> list[ShownList]:
    """One list a user, drawn with temperature 1, with rewards."""
    rng = np.random.default_rng(seed)
    recommender = Recommender(bundle, threads=1)
    asked = [
        Asked(
            history=[bundle.item_ids[code] for code in rng.permutation(ITEMS)[: rng.integers(0, 4)]],
            attributes=["gender=F"] if rng.random() < 0.5 else [],
            k=K,
            explore=Explore(temperature=1.0),
            explain=False,
        )
        for _ in range(count)
    ]
    found = []
    for number, one in enumerate(asked):
        query = recommender.query(one)
        scores, allowed = recommender.scorer.score([query])[0], recommender.may_be_given(one, query)
        drawn = explored(
            one.explore, scores, allowed, bundle.train_counts == 0, K, rng
        )  # as the recommender, with a seed
        items = tuple(bundle.item_ids[code] for code in drawn.codes)
        rewards = (rng.random(len(items)) < [chances.get(item, OTHER) for item in items]).astype(float)
        found.append(ShownList(f"u{number}", (START + number) * 10**6, one, items, drawn.propensities, rewards))
    return found


def write_log(lists: list[ShownList], folder: Path) -> tuple[Path, Path]:
    """log.jsonl and outcomes.csv, as the command reads them."""
    log, outcomes = folder / "log.jsonl", folder / "outcomes.csv"
    rows = ["user_id,item_id,timestamp"]
    with log.open("w") as file:
        for one in lists:
            instance = {
                "history": list(one.asked.history),
                "attributes": list(one.asked.attributes),
                "k": K,
                "explore": {"temperature": one.asked.explore.temperature},
            }
            items = [
                {"item_id": item, "propensity": float(chance)} for item, chance in zip(one.items, one.propensities)
            ]
            line = {
                "user_id": one.user,
                "timestamp": one.time / 1e6,
                "instance": instance,
                "prediction": {"items": items},
            }
            file.write(json.dumps(line) + "\n")
            rows += [f"{one.user},{item},{one.time // 10**6 + 60}" for item, got in zip(one.items, one.rewards) if got]
    rows.append(f"somebody,{lists[0].items[0]},{lists[-1].time // 10**6 + 10 * 86_400}")
    outcomes.write_text("\n".join(rows) + "\n")
    return log, outcomes
