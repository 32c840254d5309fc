"""Lists for everybody: k recommendations for every user, also for those without a history, under the shop's files."""

import hashlib
import json
import logging
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from longtail import __version__
from longtail.components.recommend.asking import Shop, answered, asked_for, check, opened
from longtail.components.recommend.earlier import check_earlier, given_earlier
from longtail.components.recommend.running import run_parts
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.work import Work, working, write_whole
from longtail.contracts.artifacts import LISTS, check_place, manifest_digest, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.folders import place_of
from longtail.contracts.histories import Histories, Ragged
from longtail.contracts.settings_base import parse
from longtail.scoring.lists import counts_of, recommendations_table, users_table
from longtail.scoring.recommender import Recommender

log = logging.getLogger(__name__)


def recommend(
    bundle: str | Path, histories: Histories, output: str | Path, settings: RecommendSettings
) -> dict[str, Any]:
    """Write lists for all users of ``histories`` to ``output``; returns the facts of its manifest.

    Raises:
        UserError: bundle, files, settings or place cannot be used, or there are no users; nothing is written then.
    """
    check_place(output, LISTS)
    if not len(histories):
        raise UserError(f"{histories.source}: holds no users, so there is nobody to recommend to; give users")
    earlier = [str(check_earlier(folder)) for folder in settings.not_repeated_from]
    files = {name: _text(getattr(settings, name)) for name in ("availability", "rules")}
    recommender = opened(str(place_of(bundle)), settings, Shop(**files, moment=time.time()))
    check(recommender, settings)
    names = pa.array(recommender.bundle.item_ids, pa.string())
    given = given_earlier(earlier, histories.user_ids, names)
    plan = _plan(bundle, histories, settings, earlier, files)
    with working(output, plan, time.time()) as work:
        parts = _write_questions(work, histories, (given, names), settings.users_per_part)
        missing = work.missing(parts)
        with tqdm(total=len(histories), desc="users", unit="user", disable=None) as bar:
            bar.update(len(histories) - _users_of(missing, len(histories), settings.users_per_part))
            run_parts(answer_part, work.folder, missing, settings, bar)
        counts = work.counts(parts)
        counts["users not given again what they had"] = int(np.count_nonzero(np.diff(given.starts)))
        facts = {
            "of": "users",
            "counts": dict(sorted((+counts).items())),
            "left_out": histories.left_out,
            "bundle": manifest_digest(plan["bundle"]),
            "moment": work.plan["moment"],
            "settings": settings.model_dump(mode="json"),
        }
        with write_artifact(output, LISTS, facts) as folder:
            work.put_into(folder)
    return facts


def answer_part(folder: str, number: int) -> int:
    """Answer one part of the work in a folder; returns its number of users."""
    work = Work(Path(folder))
    recommender, settings = _asked(folder, json.dumps(work.plan, sort_keys=True))
    questions = pq.read_table(work.question(number))
    users = questions["user_id"].combine_chunks()
    histories = questions["history"].to_pylist()
    rest = zip(histories, questions["attributes"].to_pylist(), questions["left_out"].to_pylist())
    answers = answered(recommender, [asked_for(*one, settings) for one in rest])
    tables = {
        "recommendations": recommendations_table(users, answers),
        "users": users_table(users, histories, answers),
    }
    work.finish(number, tables, counts_of(histories, answers))
    return len(answers)


@lru_cache(1)
def _asked(folder: str, plan: str) -> tuple[Recommender, RecommendSettings]:
    """What answers in this process. plan: text of the work's plan."""
    known = json.loads(plan)
    settings = parse(RecommendSettings, known["settings"], "plan")
    return opened(known["bundle"], settings, _shop(known)), settings


def _shop(plan: dict[str, Any]) -> Shop:
    return Shop(plan["availability"], plan["rules"], plan["moment"])


def _plan(
    bundle: str | Path, histories: Histories, settings: RecommendSettings, earlier: list[str], files: dict[str, Any]
) -> dict[str, Any]:
    """What the work depends on; the digest is over all that decides what is written."""
    said = settings.model_dump(
        mode="json", exclude={"processes", "engine", "spark_remote", *files, "not_repeated_from"}
    )
    parts = [
        __version__,
        histories.digest,
        manifest_digest(bundle),
        json.dumps(said, sort_keys=True),
        json.dumps(files, sort_keys=True),
        *map(manifest_digest, earlier),
    ]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return {
        "digest": digest,
        "bundle": str(place_of(bundle)),
        "settings": settings.model_dump(mode="json"),
        **files,
    }


def _text(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}); give a YAML file that can") from None


def _write_questions(work: Work, histories: Histories, left_out: tuple[Ragged, pa.Array], size: int) -> int:
    """The questions of every part, where they are not there yet; returns the number of parts. left_out: codes of items, and their ids."""
    parts = -(-len(histories) // size)
    for number in range(parts):
        if work.question(number).is_file():
            continue
        rows = slice(number * size, min((number + 1) * size, len(histories)))
        columns = {
            "user_id": histories.user_ids[rows],
            "history": histories.items.texts(rows, histories.item_ids),
            "attributes": histories.attributes[rows],
            "left_out": left_out[0].texts(rows, left_out[1]),
        }
        write_whole(pa.table(columns), work.question(number))
    return parts


def _users_of(parts: list[int], users: int, size: int) -> int:
    return sum(min(size, users - number * size) for number in parts)
