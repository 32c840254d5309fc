"""Questions in parts, answered by whoever does them, and put together to one artifact."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from longtail import __version__
from longtail.components.recommend.asking import Shop
from longtail.components.recommend.running import Part, run_parts
from longtail.components.recommend.work import Work, working, write_whole
from longtail.contracts.artifacts import LISTS, manifest_digest, write_artifact
from longtail.scoring.recommender import Recommender


@dataclass(frozen=True)
class Job:
    """of: what the artifact is of (users, items, reach); count: of questions; questions: those of some rows, as a table; part: answers
    a part; digest: of what is asked beside bundle and settings; plan: what parts read; facts: of the manifest."""

    of: str
    count: int
    questions: Callable[[slice], pa.Table]
    part: Part
    digest: str
    plan: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def written(
    job: Job, shop: Shop, output: str | Path, collect: Callable[[Work, Path], int] = Work.put_into
) -> dict[str, Any]:
    """Do the job, or what is left of it, and write its artifact; returns the facts of the manifest. collect: fills the artifact's
    folder, and returns the rows of what was asked for."""
    digest = hashlib.sha256("\0".join([__version__, job.of, job.digest, shop.digest]).encode()).hexdigest()
    size = shop.settings.users_per_part
    parts = -(-job.count // size)
    with working(output, digest, {**job.plan, "shop": shop.said, "moment": shop.moment}) as work:
        for number in range(parts):
            if not work.question(number).is_file():
                rows = slice(number * size, min((number + 1) * size, job.count))
                write_whole(job.questions(rows), work.question(number))
        missing = work.missing(parts)
        with tqdm(total=job.count, desc=job.of, unit=job.of, disable=None) as bar:
            bar.update(job.count - sum(min(size, job.count - number * size) for number in missing))
            run_parts(job.part, work.folder, missing, shop.settings, bar)
        facts: dict[str, Any] = {
            "of": job.of,
            "counts": dict(sorted((+work.counts(parts)).items())),
            "bundle": manifest_digest(shop.bundle),
            "moment": work.plan["moment"],
            "settings": shop.settings.model_dump(mode="json"),
            **job.facts,
        }
        with write_artifact(output, LISTS, facts) as folder:
            facts["counts"]["rows"] = collect(work, folder)
    return facts


def recommender_of(work: Work) -> tuple[Recommender, Shop]:
    """What answers the parts of this work; made once in a process."""
    plan = work.plan
    return _opened(str(work.folder), plan["digest"], plan["moment"])


@lru_cache(1)
def _opened(folder: str, digest: str, moment: float) -> tuple[Recommender, Shop]:
    shop = replace(Shop.of(Work(Path(folder)).plan["shop"]), moment=moment)
    return shop.opened(), shop
