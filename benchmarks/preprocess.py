"""Preprocess against the same job in pandas, on the same synthetic rows, each in a process of its own.

    python benchmarks/preprocess.py --rows 20000000

Prints wall and CPU seconds and peak memory of each, checks that both wrote the same events, and writes JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ITEMS_PER_ROW, USERS_PER_ROW = 1 / 200, 1 / 10


def generate(rows: int, folder: Path) -> None:
    """Skewed items, a year of seconds, some repeats, 0.5 % unknown items."""
    import duckdb

    con = duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(folder / "spill")})
    items, users = max(100, int(rows * ITEMS_PER_ROW)), max(10, int(rows * USERS_PER_ROW))
    con.execute(f"""copy (select 'user-' || (hash(i) % {users}) as user_id,
            'item-' || case when hash(i + 1) % 200 = 0 then 'gone' else
                (power((hash(i, 7) % 1000003) / 1000003.0, 3) * {items})::bigint::varchar end as item_id,
            1700000000 + hash(i, 3) % 31536000 as timestamp,
            case hash(i, 5) % 4 when 0 then 'purchase' when 1 then 'click' else 'view' end as event
        from range({rows}) r(i)) to '{folder / "interactions.parquet"}' (format parquet)""")
    con.execute(f"""copy (select 'item-' || i as item_id, 'Thing number ' || i as title,
            ['brand ' || i % 50, 'kind ' || i % 20] as attributes, 5 + i % 90 as price
        from range({items + 1}) r(i)) to '{folder / "items.parquet"}' (format parquet)""")


def ours(folder: Path, memory_limit_gb: float) -> None:
    from longtail.components.preprocess.prepare import prepare
    from longtail.components.preprocess.settings import PreprocessSettings

    settings = PreprocessSettings(memory_limit_gb=memory_limit_gb)
    prepare(str(folder / "interactions.parquet"), str(folder / "items.parquet"), None, folder / "longtail", settings)


def with_pandas(folder: Path) -> None:
    """The same rules, as one writes them in pandas with Arrow strings."""
    import pandas as pd

    pd.options.mode.string_storage = "pyarrow"
    out = folder / "pandas"
    out.mkdir()
    items = pd.read_parquet(folder / "items.parquet", dtype_backend="pyarrow").sort_values("item_id", ignore_index=True)
    frame = pd.read_parquet(folder / "interactions.parquet", dtype_backend="pyarrow")
    kinds = ["view", "click", "cart", "purchase"]
    usable = frame["user_id"].notna() & frame["timestamp"].between(0, int(time.time())) & frame["event"].isin(kinds)
    known = frame["item_id"].isin(items["item_id"])
    frame[~(usable & known)].to_parquet(out / "rejected.parquet")
    users = pd.Series(frame["user_id"].dropna().unique()).sort_values(ignore_index=True)
    frame = frame[usable & known]
    events = pd.DataFrame(
        {
            "user_code": pd.Index(users).get_indexer(frame["user_id"]).astype("int32"),
            "item_code": pd.Index(items["item_id"]).get_indexer(frame["item_id"]).astype("int32"),
            "timestamp": frame["timestamp"].to_numpy("int64"),
        }
    )
    del frame
    events = events.groupby(["user_code", "item_code"], as_index=False).agg({"timestamp": "min"})
    events = events.sort_values(["user_code", "timestamp", "item_code"], ignore_index=True)
    events["position"] = events.groupby("user_code").cumcount().astype("int32")
    left = events.groupby("user_code")["position"].transform("size") - events["position"]
    events["split"] = (left == 1).astype("int8") * 2 + (left == 2).astype("int8")
    items["train_count"] = (
        events.loc[events["split"] == 0, "item_code"].value_counts().reindex(range(len(items)), fill_value=0).to_numpy()
    )
    items["text"] = items["title"] + " | " + items["attributes"].map(", ".join)
    items["price"] = (items["price"] - items["price"].mean()) / items["price"].std(ddof=0)
    events.to_parquet(out / "events.parquet")
    items.to_parquet(out / "items.parquet")
    pd.DataFrame({"user_id": users}).to_parquet(out / "users.parquet")


def digest(file: Path) -> tuple[int, int]:
    """Rows and an order-free checksum of an events file."""
    import duckdb

    query = "select count(*), sum(hash(user_code, position, item_code, timestamp, split))::varchar"
    rows, checksum = duckdb.sql(f"{query} from '{file}'").fetchall()[0]
    return int(rows), int(checksum)


def measure(system: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Run this file again as a child that does one system's work and reports on itself."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--rows", str(arguments.rows), "--memory-limit", str(arguments.memory_limit)]
    child = subprocess.run([*command, "--system", system, "--folder", str(folder)], capture_output=True, text=True)
    if child.returncode:
        return {"failed": child.returncode, "wall_s": time.monotonic() - started}
    figures: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return {"wall_s": round(time.monotonic() - started, 1), **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--memory-limit", type=float, default=4.0, help="GB that DuckDB may hold")
    parser.add_argument("--systems", nargs="+", default=["longtail", "pandas"])
    parser.add_argument("--out", type=Path, default=Path("preprocess-benchmark.json"))
    parser.add_argument("--scratch", type=Path, default=None, help="where the synthetic tables go; deleted afterwards")
    parser.add_argument("--system", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.system:
        work = {
            "generate": lambda: generate(arguments.rows, arguments.folder),
            "longtail": lambda: ours(arguments.folder, arguments.memory_limit),
            "pandas": lambda: with_pandas(arguments.folder),
        }
        work[arguments.system]()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(
            json.dumps(
                {"cpu_s": round(usage.ru_utime + usage.ru_stime, 1), "peak_gb": round(usage.ru_maxrss / 2**20, 2)}
            )
        )
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name)
        measure("generate", folder, arguments)
        results = {system: measure(system, folder, arguments) for system in arguments.systems}
        digests = {s: digest(folder / s / "events.parquet") for s in results if "failed" not in results[s]}
    report = {
        "rows": arguments.rows,
        "cores": len(os.sched_getaffinity(0)),
        "memory_limit_gb": arguments.memory_limit,
        "systems": results,
        "events": {system: rows for system, (rows, _) in digests.items()},
        "same_events": len(set(digests.values())) == 1,
    }
    print(
        f"{'system':10} {'wall s':>8} {'CPU s':>8} {'peak GB':>8}   ({arguments.rows:,} rows, {report['cores']} cores)"
    )
    for system, row in results.items():
        print(f"{system:10} {row['wall_s']:>8} {row.get('cpu_s', 'failed'):>8} {row.get('peak_gb', ''):>8}")
    print(f"same events: {report['same_events']} ({report['events']})")
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
