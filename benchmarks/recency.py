"""How well counts alone rank what validation users chose first, by the half-life of an event.

    python benchmarks/recency.py PREPARED ...

PREPARED: folders that `longtail preprocess` wrote with a split by a clock. Prints a row of NDCG@10 each; no test target is read.
"""

import argparse
from pathlib import Path

from script import run

from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.recency import HALF_LIVES, ndcg_of_counts, recent_counts
from longtail.neighbours.validation_cases import ValidationCases


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", nargs="+", type=Path)
    for folder in parser.parse_args(arguments).prepared:
        prepared = PreparedDataset(folder)
        cases = ValidationCases.of(prepared)
        found = [
            f"{half_life or 'none'}: {ndcg_of_counts(recent_counts(prepared, half_life), cases):.4f}"
            for half_life in HALF_LIVES
        ]
        print(f"{folder.name}, {len(cases.targets):,} users, half-life in days: {', '.join(found)}", flush=True)
    return 0


if __name__ == "__main__":
    run(main)
