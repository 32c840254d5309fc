"""Policies learnt from a log of the demo shop, whose truth is known: what the log estimates of each, and what is true.

    longtail demo && python benchmarks/policies.py --run demo --work policies [--lists 8000] [--json policies-benchmark.json]

Users ask at random, with the history that the shop knows of them; the run's bundle answers with ``explore``; each shown item is chosen with a
probability that grows with the truth's affinity and falls with its place. The log and the outcomes are written to the work folder, where
`longtail policy learn --log … --outcomes …` reads them. True is the expected number of chosen items a list, over all users, drawn as the log was.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit
from script import run

from longtail.contracts.artifacts import results_of
from longtail.policies.learning import learn_policy, write_policy
from longtail.policies.settings import LearningSettings
from longtail.policies.shown_lists import Outcomes, ShownList, with_rewards
from longtail.scoring.asked import Asked, Explore
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.scoring.recommender import Recommender

K, TEMPERATURE = 5, 0.35
STEEPNESS, LEVEL, PLACE_FALL = 1.5, -4.0, 0.85  # of the chance by standardised affinity, and of it from place to place
HOUR = 3_600_000_000  # microseconds
DRAWS = 40
START = 1_735_700_000  # seconds, after the shop's year
METHODS = ("thompson", "linucb", "policy-gradient")


class Shop:
    """What is known, and true, of the demo shop's users."""

    def __init__(self, data: Path, bundle: Bundle) -> None:
        users, items = (pq.read_table(data / f"truth_{name}.parquet") for name in ("users", "items"))
        tastes = [np.array(table.column("taste").to_pylist(), np.float32) for table in (users, items)]
        self.codes = {item: code for code, item in enumerate(bundle.item_ids)}
        order = [self.codes[item] for item in items.column("item_id").to_pylist()]
        affinity = np.empty((users.num_rows, len(order)), np.float32)
        affinity[:, order] = tastes[0] @ tastes[1].T
        spread = (affinity - affinity.mean(axis=1, keepdims=True)) / affinity.std(axis=1, keepdims=True)
        self.chances: NDArray[np.float64] = expit(STEEPNESS * spread.astype(np.float64) + LEVEL)  # [users, items]
        self.ids: list[str] = users.column("user_id").to_pylist()
        self.questions = self._questions(data)

    def _questions(self, data: Path) -> list[Asked]:
        events = pq.read_table(data / "interactions.parquet").to_pandas().drop_duplicates(["user_id", "item_id"])
        histories = events.groupby("user_id", sort=False)["item_id"].apply(list).to_dict()
        known = pq.read_table(data / "users.parquet").to_pylist()
        return [
            Asked(
                history=histories.get(row["user_id"], []),
                attributes=[
                    f"{name}={value}" for name, value in row.items() if value is not None and name != "user_id"
                ],
                k=K,
                explore=Explore(temperature=TEMPERATURE),
                explain=False,
            )
            for row in known
        ]


def log_of(
    shop: Shop, recommender: Recommender, lists: int, rng: np.random.Generator
) -> tuple[list[ShownList], Outcomes]:
    """Lists of users drawn at random, a minute apart, and what was chosen up to an hour later."""
    shown, chosen = [], []
    users = rng.integers(len(shop.ids), size=lists)
    answers = recommender.answers([shop.questions[user] for user in users])
    for number, (user, answer) in enumerate(zip(users.tolist(), answers)):
        time = (START + 60 * number) * 1_000_000
        items = tuple(item.item_id for item in answer.items)
        propensities = np.array([item.propensity for item in answer.items])
        shown.append(ShownList(shop.ids[user], time, shop.questions[user], items, propensities, np.zeros(len(items))))
        chances = shop.chances[user, [shop.codes[item] for item in items]] * PLACE_FALL ** np.arange(len(items))
        for item in np.flatnonzero(rng.random(len(items)) < chances):
            chosen.append((shop.ids[user], items[item], time + int(rng.integers(HOUR))))
    end = shown[-1].time + 2 * HOUR
    chosen.append(("nobody", "nothing", end))  # the log of outcomes goes on
    names, items_, times = zip(*chosen)
    return shown, Outcomes(names, items_, np.array(times))


def write_log(shown: Sequence[ShownList], outcomes: Outcomes, folder: Path) -> None:
    """As `longtail policy learn` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("w") as file:
        for one in shown:
            instance = {"history": list(one.asked.history), "attributes": list(one.asked.attributes), "k": one.asked.k}
            assert one.asked.explore is not None
            instance["explore"] = {"temperature": one.asked.explore.temperature}
            items = [{"item_id": item, "propensity": float(p)} for item, p in zip(one.items, one.propensities)]
            line = {
                "user_id": one.user,
                "timestamp": one.time / 1e6,
                "instance": instance,
                "prediction": {"items": items},
            }
            file.write(json.dumps(line) + "\n")
    table = {
        "user_id": list(outcomes.users)[:-1],
        "item_id": list(outcomes.items)[:-1],
        "timestamp": (outcomes.times[:-1] // 10**6).tolist(),
    }
    for name, value in (
        ("user_id", shown[0].user),
        ("item_id", shown[0].items[0]),
        ("timestamp", int(outcomes.times[-1] // 10**6)),
    ):
        table[name].append(value)  # a last event, of somebody, so that the log of outcomes goes on
    pq.write_table(pa.table(table), folder / "outcomes.parquet")


def true_values(shop: Shop, recommender: Recommender) -> NDArray[np.float64]:
    """Expected chosen items of a list that each user is shown, over ``DRAWS`` draws of the list, the same noise for every bundle. ``[users]``"""
    falls, found = PLACE_FALL ** np.arange(K), np.zeros(len(shop.ids))
    for user, asked in enumerate(shop.questions):
        query = recommender.query(asked)
        allowed = np.flatnonzero(recommender.may_be_given(asked, query))
        scores = recommender.scorer.score([query])[0, allowed].astype(np.float64)
        noise = np.random.default_rng(user).gumbel(size=(DRAWS, len(shop.chances[user])))[:, allowed]
        lists = np.argsort(-(scores / (TEMPERATURE * scores.std()) + noise), axis=1)[:, :K]
        found[user] = (shop.chances[user, allowed[lists]] * falls).sum(axis=1).mean()
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a demo run")
    parser.add_argument("--work", type=Path, required=True, help="folder for the log, the outcomes and the bundles")
    parser.add_argument("--lists", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(given.seed)
    bundle = load_bundle(results_of(given.run) / "bundle")
    recommender = Recommender(bundle, threads=1)
    shop = Shop(given.run / "data", bundle)
    shown, outcomes = log_of(shop, recommender, given.lists, rng)
    write_log(shown, outcomes, given.work)
    lists, _ = with_rewards(shown, outcomes, 1.0)
    before, rows = true_values(shop, recommender), list[dict[str, Any]]()
    for method in METHODS:
        judged, learned = learn_policy(bundle, lists, method, LearningSettings(window_hours=1.0))
        write_policy(bundle, judged, learned, given.work / method, {})
        after = true_values(shop, Recommender(load_bundle(given.work / method), threads=1))
        gain = after - before
        row = asdict(judged.compared) | {"method": method, "kept": judged.kept, "true": float(after.mean())}
        rows.append(row | {"true_logged": float(before.mean()), "true_difference": float(gain.mean())})
        print(
            f"{method}: logged {row['logged']:.4f} (true {before.mean():.4f}), estimated {row['value']:.4f} "
            f"({row['difference']:+.4f}, {row['low']:+.4f} to {row['high']:+.4f}; effective lists {row['ess']:.0f}), "
            f"true {after.mean():.4f} ({gain.mean():+.4f}), {'kept' if judged.kept else judged.why_not}",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
