"""The results in a run's folder: one folder ``results`` that is replaced in one step, and links to what lies in it.

    results/                        bundle/, measured-bundle/, teacher/, prepared/, evaluation.json, per_user.parquet, report.html and,
                                    where the gate passed, servingruntime.yaml, inferenceservice.yaml and, where one was asked for,
                                    campaign/: all of one run, whenever one looks. bundle/ is what is served; measured-bundle/ what
                                    evaluate saw, before it was refreshed
    bundle, report.html, …          relative links into ``results``: short names, which always mean the same run
    run.log                         of the latest run, also of a failed one
    .work/                          the tasks' own folders, kfp's cache and the checkpoints of killed runs

Copied or mounted as a whole (``cp -r``, ``docker run -v``), the folder keeps its links. What copies one name alone without following
links (``cp -r out/bundle``) should name ``out/results/bundle``. File systems without links have ``results`` only, and programs of
Windows may not follow the links of a folder that is mounted there; all commands read ``results`` itself.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.contracts.artifacts import CAMPAIGN, MANIFEST, RESULTS, check_outside, format_of
from longtail.contracts.errors import UserError
from longtail.contracts.folders import check_new_folder, new_folder, place_of

log = logging.getLogger(__name__)
ARTIFACTS = {  # name -> the pipeline's output
    "prepared": "prepared",
    "teacher": "teacher",
    "bundle": "bundle",
    "measured-bundle": "measured",
}
EVALUATION_FILES = ("decision.json", "evaluation.json", "per_user.parquet", "report.html")
MANIFEST_FILES = ("servingruntime.yaml", "inferenceservice.yaml")
CAMPAIGN_FOLDER = "campaign"
NAMES = (*ARTIFACTS, CAMPAIGN_FOLDER, *EVALUATION_FILES, *MANIFEST_FILES)


def check_results(run: Path) -> None:
    """Refuse a run's folder in which the results cannot be put, or that holds what is not a run's under their names.

    Raises:
        UserError: naming what is in the way.
    """
    check_new_folder(run / RESULTS)
    check_outside(run / RESULTS)
    out = place_of(run)
    inside = out / RESULTS
    if inside.is_dir():
        for path in sorted(inside.iterdir()):
            if path.name not in NAMES and not path.name.startswith("."):
                raise UserError(f"{path}: is not a run's and would be replaced; move it away, or name another folder")
    for name in NAMES:
        path = out / name
        if os.path.lexists(path) and not _is_ours(path) and not _is_of_an_earlier_version(out):
            raise UserError(f"{path}: is not a run's and in the way of the results; move it, or name another folder")


def adopt(out: Path) -> None:
    """Move the results that an earlier version put into the run's folder to where they lie now."""
    if not _is_of_an_earlier_version(out):
        return
    (out / RESULTS).mkdir()
    for name in NAMES:
        if os.path.lexists(out / name):
            (out / name).rename(out / RESULTS / name)
    _link(out)


def publish(outputs: Mapping[str, Any], tasks: Path, out: Path) -> None:
    """Replace the results by a run's outputs. tasks: below which lie deploy's manifests and the campaign, where they ran."""
    for left in out.glob(f".{RESULTS}.partial-*"):  # of a killed run: this one alone is at work here
        shutil.rmtree(left, ignore_errors=True)
    with new_folder(out / RESULTS) as fresh:
        for name, output in ARTIFACTS.items():
            shutil.copytree(outputs[output], fresh / name)
        for name in EVALUATION_FILES:
            shutil.copy2(Path(outputs["evaluation"]) / name, fresh / name)
        for name in MANIFEST_FILES:
            for served in tasks.rglob(name):  # deploy is never cached, so its result is of this run
                shutil.copy2(served, fresh / name)
        for manifest in tasks.rglob(MANIFEST):  # a campaign is never cached either
            if format_of(manifest.parent) == CAMPAIGN:
                shutil.copytree(manifest.parent, fresh / CAMPAIGN_FOLDER)
    _link(out)


def _link(out: Path) -> None:
    for name in NAMES:
        link, target = out / name, Path(RESULTS) / name
        if not (out / target).exists():
            link.unlink(missing_ok=True)
        elif not link.is_symlink():
            try:
                link.symlink_to(target)
            except OSError as error:
                log.warning("%s: cannot hold links (%s); look into %s", out, error.strerror, out / RESULTS)
                return


def _is_ours(path: Path) -> bool:
    return path.is_symlink() and path.readlink() == Path(RESULTS) / path.name


def _is_of_an_earlier_version(out: Path) -> bool:
    return (out / ".work").is_dir() and not (out / RESULTS).exists() and (out / "evaluation.json").is_file()
