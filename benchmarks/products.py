"""Microseconds a query that its products with all items take: numpy's BLAS and what scoring uses, one thread, in turns.

python benchmarks/products.py --items 12101 --dim 240
"""

import argparse
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: as the server sets it

import time
from collections.abc import Callable

import numpy as np
import onnxruntime
from script import run

from longtail.scoring.products import ItemProducts

TURNS = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=12101)
    parser.add_argument("--dim", type=int, default=240)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((given.items, given.dim), dtype=np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    ours = ItemProducts(matrix, options)
    print("| queries together | numpy, µs a query | scoring | ratio |\n|---|---|---|---|")
    for queries in (1, 2, 4, 8, 16):
        vectors = rng.standard_normal((queries, given.dim), dtype=np.float32)
        ways: list[Callable[[], object]] = [lambda: vectors @ matrix.T, lambda: ours(vectors)]  # noqa: B023
        best = [float("inf")] * len(ways)
        for _ in range(TURNS):
            for place, way in enumerate(ways):
                begin = time.perf_counter()
                way()
                best[place] = min(best[place], time.perf_counter() - begin)
        numpys, scorings = (1e6 * seconds / queries for seconds in best)
        print(f"| {queries} | {numpys:.0f} | {scorings:.0f} | {numpys / scorings:.1f} |")
    return 0


if __name__ == "__main__":
    run(main)
