"""The figures of activation: effects of a real experiment, policies judged from logs, a plan for a million users.

    python benchmarks/activation.py [--only hillstrom] [--datasets ../shared/datasets] [--output FILE.json]

Prints a table for each part and, with --output, writes all that was found as JSON. Each part lies in a file of its own beside this one,
``activation_PART.py``, which holds ``run(datasets) -> (table, document)``.
"""

import argparse
import importlib
import json
from pathlib import Path

from script import run

PARTS = {
    found.stem.removeprefix("activation_").replace("_", "-"): found.stem
    for found in sorted(Path(__file__).parent.glob("activation_*.py"))
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again; all where left out")
    parser.add_argument("--datasets", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--output", type=Path, help="a JSON file")
    given = parser.parse_args(arguments)
    found = {}
    for part in given.only or PARTS:
        table, found[part] = importlib.import_module(PARTS[part]).run(given.datasets)
        print(f"# {part}\n\n{table}\n", flush=True)
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
