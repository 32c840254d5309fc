"""The users whom items would reach: lists turned round, to say whom to tell of an item."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.recommend.asking import Shop
from longtail.components.recommend.earlier import check_earlier, given_earlier
from longtail.components.recommend.jobs import Job, recommender_of, written
from longtail.components.recommend.recommend import check_users, users_asked
from longtail.components.recommend.settings import RecommendSettings
from longtail.components.recommend.work import Work
from longtail.contracts.artifacts import LISTS, check_place, manifest_digest
from longtail.contracts.campaign import ListColumns as L
from longtail.contracts.errors import UserError
from longtail.contracts.histories import Histories
from longtail.scoring.asked import Asked
from longtail.scoring.lists import TOGETHER
from longtail.scoring.places import Standing, standings
from longtail.scoring.reasons import Reason
from longtail.scoring.recommender import Recommender

REACH = pa.schema(
    [
        (L.ITEM, pa.string()),
        (L.RANK, pa.int32()),
        (L.USER, pa.string()),
        (L.PLACE, pa.int32()),
        (L.SCORE, pa.float32()),
        (L.SEGMENT, pa.string()),
        (L.EVENTS, pa.int32()),
        (L.REASON, pa.string()),
        (L.SOURCE, pa.string()),
        (L.ABOUT, pa.string()),
    ]
)


def reach(
    bundle: str | Path,
    histories: Histories,
    items: Sequence[str],
    output: str | Path,
    settings: RecommendSettings,
    limit: int = 1000,
) -> dict[str, Any]:
    """Write, for each of ``items``, the ``limit`` users in whose lists it stands best; returns the facts of the manifest.

    Best is the lowest place; among equal places the greatest score, then the user that ``histories`` has first. Who may not be given an
    item (it is in the history, or was given in earlier lists) is not among them.

    Raises:
        UserError: as ``recommend``, or an item is not in the catalogue, nor added by the availability file.
    """
    check_place(output, LISTS)
    check_users(histories)
    _check_settings(settings, items, limit)
    earlier = [check_earlier(folder) for folder in settings.not_repeated_from]
    shop = Shop.now(bundle, settings.model_copy(update={"k": 1}))
    ids = shop.opened().bundle.item_ids
    if unknown := sorted(set(items) - set(ids)):
        raise UserError(
            f"items: {unknown[0]!r} is not in the catalogue of {bundle}, which holds {', '.join(ids[:5])}, …; describe a new item "
            "below the key added of the availability file"
        )
    names = pa.array(ids, pa.string())
    given = given_earlier(earlier, histories.user_ids, names)
    wanted = list(dict.fromkeys(items))
    job = Job(
        of="reach",
        count=len(histories),
        questions=lambda rows: histories.table(rows).append_column("left_out", given.texts(rows, names)),
        part=answer_part,
        digest="\0".join([histories.digest, *map(manifest_digest, earlier), *wanted, str(limit)]),
        plan={"items": wanted, "limit": limit},
        facts={"items": wanted, "limit": limit, "left_out_rows": histories.left_out},
    )
    return written(job, shop, output, _merge)


def _check_settings(settings: RecommendSettings, items: Sequence[str], limit: int) -> None:
    shaping = {"max_per", "diversity", "diversity_by", "diversity_on", "fold", "k"}
    changed = [name for name in sorted(shaping) if getattr(settings, name) != type(settings).model_fields[name].default]
    if changed:
        raise UserError(f"{changed[0]}: shapes lists, and the place of an item is that of its score; leave it out")
    if not items:
        raise UserError("items: names none; name those whose users are looked for")
    if limit < 1:
        raise UserError(f"limit is {limit}; ask for at least 1 user")


def answer_part(folder: str, number: int) -> int:
    """The best users of one part of the work in a folder, for each item; returns the part's number of users."""
    work = Work(Path(folder))
    recommender, shop = recommender_of(work)
    plan, table = work.plan, pq.read_table(work.question(number))
    asked = users_asked(table, shop.settings, table["left_out"].to_pylist())
    items = recommender.eligibility.known(plan["items"])
    found = list(_standings(recommender, asked, items))
    places, scores = np.stack([one.places for one in found]), np.stack([one.scores for one in found])
    users, counts = table["user_id"].to_pylist(), Counter[str](asked=len(found))
    rows: list[tuple[Any, ...]] = []
    for column, item in enumerate(items.tolist()):
        able = np.flatnonzero(places[:, column])
        order = np.lexsort((able, -scores[able, column], places[able, column]))[: plan["limit"]]
        counts[f"users who may be given {plan['items'][column]}"] += len(able)
        for user in able[order].tolist():
            row = (plan["items"][column], 0, users[user], int(places[user, column]), float(scores[user, column]))
            reason = _reason(recommender, found[user], item) if shop.settings.explain else (None, None, None)
            rows.append((*row, found[user].segment, len(asked[user].history), *reason))
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows), REACH.types)] if rows else REACH.empty_table()
    work.finish(number, {"reach": pa.table(columns, schema=REACH)}, counts)
    return len(found)


def _standings(recommender: Recommender, asked: list[Asked], items: "np.ndarray[Any, Any]") -> Iterator[Standing]:
    for begin in range(0, len(asked), TOGETHER):
        yield from standings(recommender, asked[begin : begin + TOGETHER], items)


def _reason(recommender: Recommender, standing: Standing, item: int) -> tuple[str, str, str | None]:
    (reason,) = recommender.reasons.of(standing.query, np.array([item]))
    assert isinstance(reason, Reason)
    return reason.text, reason.source, reason.about


def _merge(work: Work, folder: Path) -> int:
    """The best users of all parts, an item after the other, as one table; returns its rows."""
    limit = work.plan["limit"]
    table = pq.read_table(work.folder / "tables" / "reach", schema=REACH)
    order = {item: place for place, item in enumerate(work.plan["items"])}
    item = np.array([order[name] for name in table[L.ITEM].to_pylist()], dtype=np.int64)
    rows = np.lexsort((np.arange(len(item)), -table[L.SCORE].to_numpy(), table[L.PLACE].to_numpy(), item))
    item = item[rows]
    rank = np.arange(len(item)) - np.searchsorted(item, item) + 1
    kept = rank <= limit
    best = table.take(pa.array(rows[kept])).set_column(1, REACH.field(L.RANK), pa.array(rank[kept], pa.int32()))
    (folder / "reach").mkdir()
    pq.write_table(best, folder / "reach" / "part-00000.parquet", compression="zstd")
    return int(best.num_rows)
