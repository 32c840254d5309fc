"""Whether the model server's memory grows: its resident memory over many varied requests, and the slope after a warm-up.

    python benchmarks/soak.py --bundle out/bundle --requests 200000 --json soak.json

Hardly two requests are alike: histories, some ids unknown; interests of words of the catalogue, never the same twice; filters, exclusions,
candidates, items like one, diversity, limits and exploration; one in fifty is refused. The first part of the requests (--warm-up)
fills what is remembered (items like one, the allocator's pools) and is left out of the slope.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from longtail.components.deploy.local_server import running_server
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.system.machine import available_cores

NAME = "longtail"
MB = 1e6


@dataclass(frozen=True)
class Reading:
    """Of the server's process after so many requests."""

    requests: int
    seconds: float
    rss: int  # bytes
    threads: int
    files: int


def questions(bundle: Bundle, seed: int) -> Iterator[dict[str, Any]]:
    """Endless, each another; those of two seeds differ."""
    rng = np.random.default_rng(seed)
    items = bundle.item_ids
    held = Counter(chain(*bundle.item_attributes))
    common = [name for name, _ in held.most_common(20)]
    words = sorted({word for title in bundle.titles[:5000] if title for word in title.split()})

    def some(most: int) -> list[str]:
        return [items[code] for code in rng.integers(len(items), size=rng.integers(1, most + 1))]

    number = 0
    while True:
        number += 1
        one: dict[str, Any] = {"k": int(rng.integers(1, min(20, len(items)) + 1))}
        if rng.random() < 0.8:
            one["history"] = [*some(30), *([f"unknown-{seed}-{number}"] if rng.random() < 0.2 else [])]
        if bundle.has_text_encoder and words and rng.random() < 0.2:
            one["interests"] = " ".join([*rng.choice(words, 3), f"number {seed} {number}"])
        if common and rng.random() < 0.2:
            one["filters"] = {"any": [str(name) for name in rng.choice(common, 3)]}
        if rng.random() < 0.2:
            one["exclude"] = some(200)
        if rng.random() < 0.1:
            one["candidates"] = some(500)
        if rng.random() < 0.1:
            one["similar_to"] = some(2)
        if rng.random() < 0.1:
            one["explore"] = {"epsilon": 0.2} if rng.random() < 0.5 else {"temperature": 0.5}
        elif rng.random() < 0.2:
            one |= {"diversity": float(rng.random()), "diversity_by": str(rng.choice(["mmr", "dpp"]))}
            one["diversity_on"] = str(rng.choice(["vectors", "attributes", "both"]))
        elif common and rng.random() < 0.1:
            one["max_per"] = {str(rng.choice(common)): int(rng.integers(1, 4))}
        if "explore" not in one:
            one["fold"] = bool(rng.random() < 0.2)
        one["explain"] = bool(rng.random() < 0.9)
        if rng.random() < 0.02:
            one["k"] = 0  # refused
        yield one


def send(port: int, bundle: Bundle, requests: int, seed: int) -> Counter[int]:
    """One client's requests over one connection; how often which status came."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    asked, statuses = questions(bundle, seed), Counter[int]()
    for _ in range(requests):
        body = json.dumps({"instances": [next(asked)]}).encode()
        connection.request("POST", f"/v1/models/{NAME}:predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (http.client.OK, http.client.BAD_REQUEST):
            raise RuntimeError(f"HTTP {answer.status}: {text[:200]!r}")
        statuses[answer.status] += 1
    connection.close()
    return statuses


def slope(readings: list[Reading], warm_up: int) -> float:
    """Bytes a request, by least squares over what was read from ``warm_up`` requests on."""
    kept = [reading for reading in readings if reading.requests >= warm_up]
    if len(kept) < 2:
        sys.exit(
            f"error: {len(kept)} readings after {warm_up} requests make no slope; send more, or read --every fewer"
        )
    requests, rss = ([getattr(one, name) for one in kept] for name in ("requests", "rss"))
    return float(np.polyfit(requests, rss, 1)[0])


def soak(path: Path, total: int, every: int, clients: int) -> list[Reading]:
    """Prints a line each ``every`` requests."""
    bundle = load_bundle(path)
    readings = list[Reading]()
    print(f"{'requests':>10}{'seconds':>10}{'RSS MB':>10}{'threads':>10}{'files':>8}")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(path, NAME, 120, Path(folder) / "server.log") as server,
        ThreadPoolExecutor(clients) as pool,
    ):
        client = partial(send, server.http_port, bundle, -(-every // clients))
        process, begin, statuses = psutil.Process(server.pid), time.perf_counter(), Counter[int]()
        for sent in range(0, total + 1, every):
            if sent:
                seeds = range(sent * clients, (sent + 1) * clients)
                for found in pool.map(client, seeds):
                    statuses.update(found)
            reading = Reading(
                sum(statuses.values()),
                round(time.perf_counter() - begin, 1),
                process.memory_info().rss,
                process.num_threads(),
                process.num_fds(),
            )
            readings.append(reading)
            line = f"{reading.requests:>10}{reading.seconds:>10}{reading.rss / MB:>10.1f}"
            print(f"{line}{reading.threads:>10}{reading.files:>8}", flush=True)
    print(f"answered {statuses[http.client.OK]}, refused {statuses[http.client.BAD_REQUEST]}")
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=10_000, help="requests between two readings")
    parser.add_argument("--warm-up", type=int, help="requests before the slope begins (default: a quarter)")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json", type=Path, help="file to write the readings to")
    options = parser.parse_args()
    print(f"{available_cores()} cores, {options.clients} clients, {len(load_bundle(options.bundle).item_ids)} items")
    readings = soak(options.bundle, options.requests, options.every, options.clients)
    warm_up = options.requests // 4 if options.warm_up is None else options.warm_up
    bytes_a_request = slope(readings, warm_up)
    print(
        f"slope after {warm_up} requests: {bytes_a_request:+.1f} bytes a request, {bytes_a_request:+.1f} MB a million"
    )
    if options.json:
        document = {"readings": [asdict(one) for one in readings], "slope": bytes_a_request, "warm_up": warm_up}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
