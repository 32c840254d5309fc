"""For every item of the catalogue, the items that its page would show."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.recommend.asking import Shop, asked_for
from longtail.components.recommend.jobs import Job, recommender_of, written
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.work import Work
from longtail.contracts.artifacts import LISTS, check_place
from longtail.contracts.campaign import ListColumns as L
from longtail.contracts.errors import UserError
from longtail.scoring.lists import answered, counts_of, recommendations_table


def similar_items(bundle: str | Path, output: str | Path, settings: RecommendSettings) -> dict[str, Any]:
    """Write the ``k`` items like each item to ``output``, as the server answers ``similar_to``; returns the facts of its manifest.

    Raises:
        UserError: bundle, files, settings or place cannot be used; nothing is written then.
    """
    check_place(output, LISTS)
    if settings.not_repeated_from:
        raise UserError("not_repeated_from: is read for users, and items were given nothing; leave it out")
    shop = Shop.now(bundle, settings)
    recommender = shop.opened()
    items = recommender.bundle.item_ids
    recommender.check(asked_for(settings, similar_to=items[:1]))
    job = Job(
        of="items",
        count=len(items),
        questions=lambda rows: pa.table({L.LIKE: pa.array(items[rows], pa.string())}),
        part=answer_part,
        digest="",
    )
    return written(job, shop, output)


def answer_part(folder: str, number: int) -> int:
    """Answer one part of the work in a folder; returns its number of items."""
    work = Work(Path(folder))
    recommender, shop = recommender_of(work)
    items = pq.read_table(work.question(number))[L.LIKE].combine_chunks()
    answers = answered(recommender, [asked_for(shop.settings, similar_to=[item]) for item in items.to_pylist()])
    table = recommendations_table(items, answers, L.LIKE)
    work.finish(number, {"similar_items": table}, counts_of(answers))
    return len(answers)
