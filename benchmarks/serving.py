"""Requests per second and latency of the model server, against a KServe model that does nothing, in the same run.

    python benchmarks/serving.py --bundle out/bundle --json serving.json

Each client keeps one connection and asks for one user at a time (V1, k = 10). Histories are random items of the bundle. The rows with
more than a history ask with the most frequent attribute as a filter, for diversity .3, and for items like one.
"""

import argparse
import http.client
import json
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from longtail.components.deploy.local_server import running_command
from longtail.scoring.bundle import load_bundle
from longtail.system.machine import available_cores

NAME = "longtail"
WARM_UP = 50  # requests a client
READY_SECONDS = 300
NO_OP = """
import sys
from longtail.components.predict.server import start
from longtail.system.kserve_sdk import kserve
class NoOp(kserve.Model):
    async def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": [{} for _ in payload["instances"]]}
# NAME --http-port PORT --grpc-port PORT
model = NoOp(sys.argv[1])
model.ready = True
start(model, int(sys.argv[3]), int(sys.argv[5]))
"""


def bodies_of(bundle: Path, history_length: int, more: dict[str, Any] | None = None, count: int = 512) -> list[bytes]:
    """Requests. more: further keys of each instance; "similar_to": one item of the history instead."""
    rng = np.random.default_rng(0)
    items = load_bundle(bundle).item_ids
    instances = []
    for _ in range(count):
        draw = [items[code] for code in rng.integers(len(items), size=history_length)]
        known = {"similar_to": draw[:1]} if more and "similar_to" in more else {"history": draw, **(more or {})}
        instances.append({**known, "k": min(10, len(items))})
    return [json.dumps({"instances": [instance]}).encode() for instance in instances]


def latencies(port: int, bodies: list[bytes], requests: int) -> list[float]:
    """Seconds of each request of one client, after its warm-up."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for number in range(WARM_UP + requests):
        begin = time.perf_counter()
        connection.request(
            "POST", f"/v1/models/{NAME}:predict", bodies[number % len(bodies)], {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        body = answer.read()
        seconds.append(time.perf_counter() - begin)
        if answer.status != http.client.OK:
            raise RuntimeError(f"HTTP {answer.status}: {body[:200]!r}")
    connection.close()
    return seconds[WARM_UP:]


def measure(command: list[str], bodies: list[bytes], clients: int, requests: int) -> dict[str, float]:
    with (
        NamedTemporaryFile() as log,
        running_command([sys.executable, *command], NAME, READY_SECONDS, log.name) as server,
        ThreadPoolExecutor(clients) as pool,
    ):
        begin = time.perf_counter()
        shifted = [bodies[client * 7 :] + bodies[: client * 7] for client in range(clients)]
        seconds = sorted(chain(*pool.map(lambda own: latencies(server.http_port, own, requests), shifted)))
        elapsed = time.perf_counter() - begin
    return {
        "requests_per_second": round(clients * (requests + WARM_UP) / elapsed, 1),
        "p50_ms": round(1000 * statistics.median(seconds), 2),
        "p99_ms": round(1000 * seconds[int(0.99 * len(seconds))], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=400, help="of each client")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    real = ["-m", "longtail.components.predict.server", "--bundle", str(options.bundle), "--name", NAME]
    held = Counter(chain(*load_bundle(options.bundle).item_attributes))
    shapes: dict[str, dict[str, Any]] = {"diversity": {"diversity": 0.3}, "items like one": {"similar_to": []}}
    if held:
        shapes = {"filter": {"filters": {"all": [held.most_common(1)[0][0]]}}} | shapes
    cases: dict[str, tuple[list[str], int, dict[str, Any]]] = {
        "no-op": (["-c", NO_OP, NAME], 3, {}),
        **{f"history of {length}": (real, length, {}) for length in (0, 3, 50)},
        **{f"3, {name}": (real, 3, shape) for name, shape in shapes.items()},
    }
    print(f"{available_cores()} cores, {options.clients} clients, {len(load_bundle(options.bundle).item_ids)} items")
    print(f"{'':<16}{'requests/s':>12}{'of no-op':>10}{'p50 ms':>10}{'p99 ms':>10}")
    rows: dict[str, dict[str, float]] = {}
    for name, (command, length, more) in cases.items():
        row = measure(command, bodies_of(options.bundle, length, more), options.clients, options.requests)
        row["of_no_op"] = round(row["requests_per_second"] / rows.get("no-op", row)["requests_per_second"], 3)
        rows[name] = row
        print(f"{name:<16}{row['requests_per_second']:>12}{row['of_no_op']:>10}{row['p50_ms']:>10}{row['p99_ms']:>10}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
