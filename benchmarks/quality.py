"""The quality benchmark: teacher, student, floors and ablations, over several seeds, per segment and revealed history.

    python benchmarks/quality.py --dataset FOLDER ... --seeds 3 --work quality-work --output quality-benchmark.json

Each FOLDER holds interactions.* and items.* (and users.*) that `longtail run` reads; what data sets of some names need beside the
defaults is in quality_datasets.py. Every stage of every configuration and
seed is kept in the work folder: a stopped benchmark goes on, a second one trains nothing. All training and all validation
figures come first; the test targets are looked at once a configuration, at the end. Rankings are over the whole catalogue
without the items of the history; ties count against the system. Prints Markdown, a summary and one page a data set, and writes it
with the JSON of each after every data set.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from quality_configurations import CONFIGURATIONS, lacking, settings_of
from quality_datasets import SETTINGS
from quality_stages import Done, Stages, digest_of, longtail, open_stages
from quality_tables import NDCG, RECALL, figures, markdown, read_values, summary

from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.system.code_version import LIBRARIES, code_digest

HERE = Path(__file__).parent
SPLITS = ("validation", "test")
DERIVED = {
    "student without sparse term": "no_sparse",
    "student, dense part alone": "dense",
    "student, sparse term alone": "sparse",
    "student, int8": "int8",
}
Trained = dict[str, list[tuple[Done, Done]]]  # configuration -> (teacher, student) of each seed
Scored = dict[str, dict[str, list[Done]]]  # split -> configuration, "" for the floors -> scores of each seed


def tables_of(dataset: Path) -> dict[str, Path]:
    """The data set's files: interactions, items, and users where there are any."""
    found = {name: sorted(dataset.glob(f"{name}.*")) for name in ("interactions", "items", "users")}
    for name in ("interactions", "items"):
        if not found[name]:
            raise UserError(f"--dataset {dataset}: holds no {name}.parquet (or .csv, .jsonl)")
    return {name: paths[0] for name, paths in found.items() if paths}


def prepare(stages: Stages, dataset: Path, base: RunSettings) -> Done:
    tables = tables_of(dataset)
    made_from = {
        "settings": {"preprocess": base.preprocess.model_dump(mode="json")},
        "tables": {name: digest_of(path) for name, path in tables.items()},
    }
    inputs = [part for name, path in tables.items() for part in (f"--{name}", path)]
    return stages.run(
        "preprocess",
        made_from,
        lambda config, out: longtail("preprocess", *inputs, "--config", config, "--output", out),
    )


def train(stages: Stages, prepared: Done, settings: RunSettings, seed: int) -> tuple[Done, Done]:
    """Teacher and student; configurations that have the same teacher share it."""
    made_from: dict[str, Any] = {
        "prepared": prepared.key,
        "settings": {"seed": seed, "finetune": settings.finetune.model_dump(mode="json", exclude_defaults=True)},
    }
    data = ("--prepared", prepared.result)
    teacher = stages.run(
        "finetune", made_from, lambda config, out: longtail("finetune", *data, "--config", config, "--output", out)
    )
    distilled = {"seed": seed, "distill": settings.distill.model_dump(mode="json", exclude_defaults=True)}
    student = stages.run(
        "distill",
        {"teacher": teacher.key, "settings": distilled},
        lambda config, out: longtail(
            "distill", *data, "--teacher", teacher.result, "--config", config, "--output", out
        ),
    )
    return teacher, student


def score(
    stages: Stages, prepared: Done, split: str, bundles: dict[str, list[str]], floors: Any, key: list[str]
) -> Done:
    """Users' metrics of some systems. key: what the bundles were made from."""
    request = {"prepared": str(prepared.result), "split": split, "bundles": bundles, "floors": floors}

    def command(config: Path, out: Path) -> list[str]:
        file = config.with_name("request.json")
        file.write_text(json.dumps(request))
        return [sys.executable, "-P", str(HERE / "quality_scores.py"), str(file), str(out)]

    names = {name: terms for name, (_, terms) in bundles.items()}
    l2 = floors["ease_l2"] if floors else None
    return stages.run(split, {"prepared": prepared.key, "systems": names, "of": key, "ease_l2": l2}, command)


def score_all(stages: Stages, prepared: Done, trained: Trained) -> Scored:
    """Validation first, then test. Floors are the first teacher's, whose frozen text vectors they read."""
    scored: Scored = {split: {} for split in SPLITS}
    first = next(iter(trained.values()))[0][0]
    l2 = None
    for split in SPLITS:
        shown: set[str] = set()
        for name, seeds in trained.items():
            systems = {"student": "all"} | (DERIVED if name == "full" else {})
            new = {teacher.key for teacher, _ in seeds} - shown  # a teacher that configurations share is shown once
            shown |= new
            scored[split][name] = []
            for teacher, student in seeds:
                bundles = {system: [str(student.result), terms] for system, terms in systems.items()}
                if new:
                    bundles["teacher"] = [str(teacher.result / "scorer"), "all"]
                scored[split][name].append(score(stages, prepared, split, bundles, None, [teacher.key, student.key]))
        floors = {"text_vectors": str(first.result / "text_vectors.safetensors"), "ease_l2": l2}
        floor = score(stages, prepared, split, {}, floors, [first.key])
        l2 = json.loads((floor.result / "facts.json").read_text()).get("ease_l2")
        scored[split][""] = [floor]
    return scored


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return {"cpu": model, "cores": cores, "memory_gb": round(memory, 1), "system": platform.platform()}


def versions() -> dict[str, str]:
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    found = {name: metadata.version(name) for name in ("longtail", *LIBRARIES)}
    return found | {"python": platform.python_version(), "commit": git.stdout.strip(), "code": code_digest()[:16]}


def parse_arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, … of every configuration")
    parser.add_argument("--profile", choices=["cpu", "gpu"], default="cpu", help="cpu: the defaults")
    parser.add_argument("--work", type=Path, default=Path("runs/quality"), help="folder of the finished stages")
    parser.add_argument("--output", type=Path, default=Path("quality-benchmark.json"))
    parser.add_argument("--only", nargs="+", choices=list(CONFIGURATIONS), metavar="CONFIGURATION")
    parser.add_argument("--set", nargs="+", default=[], metavar="STAGE.KEY=VALUE", help="over the profile's settings")
    arguments = parser.parse_args(given)
    if arguments.seeds < 1:
        raise UserError(f"--seeds {arguments.seeds}: at least one seed is needed")
    return arguments


def benchmark(arguments: argparse.Namespace, dataset: Path) -> dict[str, Any]:
    """Run what is not there yet of one data set; returns its report."""
    profile = None if arguments.profile == "cpu" else HERE / "profiles" / f"{arguments.profile}.yaml"
    base = load_settings(profile, [*SETTINGS.get(dataset.resolve().name, []), *arguments.set])
    wanted = arguments.only or list(CONFIGURATIONS)
    skipped = {name: missing for name in wanted if (missing := lacking(CONFIGURATIONS[name]))}
    if arguments.only and skipped:
        raise UserError(f"--only: needs settings that this version lacks: {skipped}")
    chosen = {name: settings_of(name, base) for name in wanted if name not in skipped}
    with open_stages(arguments.work) as stages:
        prepared = prepare(stages, dataset, base)
        trained = {
            name: [train(stages, prepared, settings, seed) for seed in range(arguments.seeds)]
            for name, settings in chosen.items()
        }
        scored = score_all(stages, prepared, trained)
    files = {
        split: {name: [one.result / "users.npz" for one in seeds] for name, seeds in by_name.items()}
        for split, by_name in scored.items()
    }
    facts = json.loads((scored["test"][""][0].result / "facts.json").read_text())
    manifest = json.loads((prepared.result / "manifest.json").read_text())["facts"]
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine(),
        "versions": versions(),
        "dataset": {"name": dataset.resolve().name, "counts": manifest["counts"], "digest": prepared.key},
        "protocol": f"{manifest['protocol']}, whole catalogue, history "
        f"{'not excluded' if manifest['repeats'] == 'keep' else 'excluded'}, ties count against the system",
        "test": facts,
        "seeds": arguments.seeds,
        "configurations": {
            name: {
                "what": CONFIGURATIONS[name].what,
                "settings": settings.model_dump(mode="json", exclude_defaults=True),
            }
            for name, settings in chosen.items()
        },
        "skipped": {name: f"this version has no setting {', '.join(missing)}" for name, missing in skipped.items()},
        "figures": {
            split: {metric: figures(read_values(files[split], metric)) for metric in (NDCG, RECALL)} for split in SPLITS
        },
        "stages": {
            "preprocess": [prepared.measured],
            **{
                f"{name}: {stage}": [pair[place].measured for pair in pairs]
                for name, pairs in trained.items()
                for place, stage in enumerate(("finetune", "distill"))
            },
        },
    }


def page(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    found, where = report["figures"], report["machine"]
    lines = [
        f"`{report['command']}`, {report['date'][:10]}, {where['cpu']}, {where['cores']} cores, "
        f"{where['memory_gb']} GB; mean ± standard deviation over {report['seeds']} seed(s).",
        f"{report['dataset']['name']}: {report['protocol']}.",
        *(f"- {name}: {entry['what']}" for name, entry in report["configurations"].items()),
        *(f"- {name} is left out: {why}" for name, why in report["skipped"].items()),
    ]
    measured = ["| stage | wall s | peak GB |", "| --- | --- | --- |"]
    for stage, runs in report["stages"].items():
        again = " (resumed)" if any(run["resumed"] for run in runs) else ""
        spans = (", ".join(f"{run[key]:g}" for run in runs) for key in ("wall_s", "peak_gb"))
        measured.append(f"| {stage}{again} | {' | '.join(spans)} |")
    tables = markdown(found["test"][NDCG], found["validation"][NDCG], found["test"][RECALL])
    return "\n".join([*lines, "", tables, "", "### Stages, each seed", "", *measured, ""])


def main(given: list[str] | None = None) -> int:
    try:
        arguments = parse_arguments(given)
        for dataset in arguments.dataset:  # all of them, before hours of work
            tables_of(dataset)
        reports: list[dict[str, Any]] = []
        for dataset in arguments.dataset:
            reports.append(benchmark(arguments, dataset))
            text = write(reports, arguments.output)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODE
    print(f"\n{text}\nWrote {arguments.output} and {arguments.output.with_suffix('.md')}")
    return 0


def write(reports: list[dict[str, Any]], output: Path) -> str:
    """Write the reports, and return their pages in Markdown, below a summary where there are several."""
    output.write_text(json.dumps(reports, indent=1, allow_nan=False) + "\n")
    parts = [page(report) for report in reports]
    if len(reports) > 1:
        by_name = {report["dataset"]["name"]: report["figures"]["test"][NDCG] for report in reports}
        parts = [f"### NDCG@10 of the student, and of the strongest other system\n\n{summary(by_name)}\n", *parts]
    text = "\n".join(parts)
    output.with_suffix(".md").write_text(text)
    return text


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the running stage is ended too
    sys.exit(main())
