"""Events of one user at the same time: their order is not known, so it is drawn, measured and said.

It is never the order of item ids, which are often dates or catalogue numbers: models would learn it. It is drawn by a hash
of seed, user and item, the same on every engine, in every order of rows and for whatever other users there are. The order
of rows is not taken by itself: exports are sorted by something, often the item, and Spark does not number rows. Who has an
append-only log can say so (``ties: file``); it is refused where it turns out to be the order of items.

One event of a tie is the target rather than all: leave-last-out stays one target a user, as everyone publishes it, and the
rest of the tie stays in the history. The draw is fair, so a metric's expectation is its mean over the tie.
"""

from typing import Any

import narwhals as nw

from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Split
from longtail.tables.engine import ROW, Engine, Frame

USER_SALT, ITEM_SALT = "user_salt", "item_salt"  # int64 below 2 ** 28, hashes of seed and id
TIE = "tie"  # int64, the order among events of the same time; no two items of a user have the same
PRIME = 2**31 - 1
FEWEST_PAIRS, MOST_ALIKE = 20, 0.9  # of tied neighbours in one order of items, from where the file's order is refused


def order_of_tie(settings: PreprocessSettings) -> nw.Expr:
    """``tie``: the row's number, or the square of the salts' sum modulo ``PRIME``.

    The item's code comes after that: it decides where two hashes are equal, once in two thousand million pairs.
    """
    if settings.ties == "file":
        return nw.col(ROW).cast(nw.Int64()).alias(TIE)
    salt = nw.col(USER_SALT) + nw.col(ITEM_SALT)
    return (salt * salt % PRIME * (PRIME + 1) + nw.col(Columns.ITEM_CODE)).alias(TIE)


def refuse_order_of_items(engine: Engine, placed: Frame, item_codes: Frame, uri: str) -> None:
    """With ``ties: file``: rows sorted by item id, as text or as numbers, up or down, say nothing about time.

    Raises:
        UserError: naming file and remedy.
    """
    length = nw.col(Columns.ITEM).str.len_chars().cast(nw.Int64())
    named = placed.filter(nw.col(Columns.TIED)).join(
        item_codes.select(Columns.ITEM_CODE, length=length), on=Columns.ITEM_CODE, how="left"
    )
    names = (Columns.TIMESTAMP, Columns.ITEM_CODE, "length")
    before = {
        f"{name} before": nw.col(name).shift(1).over(Columns.USER_CODE, order_by=Columns.POSITION) for name in names
    }
    code, shorter = nw.col(Columns.ITEM_CODE), nw.col("length") - nw.col("length before")
    code_before = nw.col(f"{Columns.ITEM_CODE} before")
    pairs = named.with_columns(**before).filter(
        (nw.col(Columns.TIMESTAMP) == nw.col(f"{Columns.TIMESTAMP} before")) & (code != code_before)
    )
    as_text = code > code_before
    as_number = (shorter > 0) | ((shorter == 0) & as_text)  # digits: the longer number is the greater one
    found = engine.collect(
        pairs.select(n=nw.len(), text=as_text.cast(nw.Int64()).sum(), number=as_number.cast(nw.Int64()).sum())
    ).to_pylist()[0]
    if (n := int(found["n"])) < FEWEST_PAIRS:
        return
    alike = max(max(int(up), n - int(up)) for up in (found["text"], found["number"])) / n
    if alike >= MOST_ALIKE:
        raise UserError(
            f"{uri}: ties: file takes the order of rows for that of time, but among events of one user and time "
            f"{alike:.0%} of {n} neighbours stand in order of item_id: the file was sorted by item; take ties: hash"
        )


def facts(by_split: dict[Split, dict[str, int]], users: int, settings: PreprocessSettings) -> dict[str, Any]:
    """``facts["ties"]`` of the manifest, see contracts/prepared.py. by_split: ``n`` and ``tied`` events of each split."""
    is_drawn = settings.split == "leave_last_out" and settings.ties == "hash"
    parts = {
        split.name.lower(): {
            "targets": by_split[split]["n"],
            "tied": by_split[split]["tied"],
            "drawn": by_split[split]["tied"] if is_drawn else 0,
        }
        for split in (Split.VALIDATION, Split.TEST)
    }
    return {
        "order": settings.ties,
        "seed": settings.tie_seed,
        "events": sum(found["tied"] for found in by_split.values()),
        "users": users,
    } | parts


def doubt(ties: dict[str, Any], finest: str, where: str, settings: PreprocessSettings) -> str | None:
    """A sentence where more than ``max_tied_share`` of a split's targets were drawn."""
    shares = {name: ties[name]["drawn"] / max(ties[name]["targets"], 1) for name in ("test", "validation")}
    if max(shares.values()) <= settings.max_tied_share:
        return None
    drawn = " and ".join(
        f"{ties[name]['drawn']} of {ties[name]['targets']} {name} targets ({share:.0%})"
        for name, share in shares.items()
        if share
    )
    return (
        f"{where}: {drawn} stand in a tie: their user has another event at the same time (finest unit: {finest}), so which "
        f"came last was drawn (tie_seed {settings.tie_seed}), and what follows what is partly chance. Give finer times; or take "
        "split: global_time, where every event after the cut is a target; or ties: file, if the rows are a log in the order "
        "of time; or raise max_tied_share"
    )
