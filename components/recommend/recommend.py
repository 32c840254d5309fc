"""Lists for everybody: k recommendations for every user, also for those without a history."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.recommend.asking import Shop, asked_for
from longtail.components.recommend.earlier import check_earlier, given_earlier
from longtail.components.recommend.jobs import Job, recommender_of, written
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.work import Work
from longtail.contracts.artifacts import LISTS, check_place, manifest_digest
from longtail.contracts.errors import UserError
from longtail.contracts.histories import Histories
from longtail.scoring.asked import Asked
from longtail.scoring.lists import answered, counts_of_users, recommendations_table, users_table


def recommend(
    bundle: str | Path, histories: Histories, output: str | Path, settings: RecommendSettings
) -> dict[str, Any]:
    """Write lists for all users of ``histories`` to ``output``; returns the facts of its manifest.

    Raises:
        UserError: bundle, files, settings or place cannot be used, or there are no users; nothing is written then.
    """
    check_place(output, LISTS)
    check_users(histories)
    earlier = [check_earlier(folder) for folder in settings.not_repeated_from]
    shop = Shop.now(bundle, settings)
    item_ids = pa.array(shop.opened().bundle.item_ids, pa.string())
    given = given_earlier(earlier, histories.user_ids, item_ids)
    again = {"users_not_given_again": int(np.count_nonzero(np.diff(given.starts)))} if earlier else {}

    def questions(rows: slice) -> pa.Table:
        return histories.table(rows).append_column("left_out", given.texts(rows, item_ids))

    job = Job(
        of="users",
        count=len(histories),
        questions=questions,
        part=answer_part,
        digest="\0".join([histories.digest, *map(manifest_digest, earlier)]),
        facts={"left_out_rows": histories.left_out, **again},
    )
    return written(job, shop, output)


def check_users(histories: Histories) -> None:
    """Refuse where there is nobody."""
    if not len(histories):
        raise UserError(f"{histories.source}: holds no users, so there is nobody to recommend to; give users")


def answer_part(folder: str, number: int) -> int:
    """Answer one part of the work in a folder; returns its number of users."""
    work = Work(Path(folder))
    recommender, shop = recommender_of(work)
    table = pq.read_table(work.question(number))
    histories = table["history"].to_pylist()
    answers = answered(recommender, users_asked(table, shop.settings, table["left_out"].to_pylist()))
    users = table["user_id"].combine_chunks()
    lists = {
        "recommendations": recommendations_table(users, answers),
        "users": users_table(users, histories, answers),
    }
    work.finish(number, lists, counts_of_users(histories, answers))
    return len(answers)


def users_asked(table: pa.Table, settings: RecommendSettings, left_out: Sequence[Sequence[str]]) -> list[Asked]:
    """Each user's question. table: of ``Histories``; left_out: items that each user is not given."""
    rows = zip(table["history"].to_pylist(), table["attributes"].to_pylist(), left_out)
    return [
        asked_for(settings, history=history, attributes=attributes or (), exclude=exclude)
        for history, attributes, exclude in rows
    ]
