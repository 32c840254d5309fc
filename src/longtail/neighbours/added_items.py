"""A bundle with items that are added in memory, by their text, while it serves.

As ``new_items`` makes them, which writes a bundle that holds them, but for one thing: they are as popular as what nobody has chosen,
so that they come where their words are asked for, or what reads alike was chosen, or by exploring.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from longtail.contracts.errors import UserError
from longtail.neighbours.new_items import with_texts
from longtail.scoring.added import AddedItem
from longtail.scoring.bundle import Bundle
from longtail.scoring.scorer import Scorer

log = logging.getLogger(__name__)
SHOWN = 3  # ids that a line of the log names


def check_added(bundle: Bundle, added: Mapping[str, AddedItem]) -> None:
    """Refuse what cannot be added to this bundle.

    Raises:
        UserError: it has no text encoder, or its items no such number.
    """
    if _new(bundle, added) and not bundle.has_text_encoder:
        raise UserError(
            f"added: the bundle {bundle.path} holds no text encoder, so nothing can be known of new items; leave them out, or "
            "train with text"
        )
    for item, said in added.items():
        for name in said.numbers:
            if name not in bundle.number_names:
                known = f"known: {', '.join(bundle.number_names)}" if bundle.number_names else "this bundle's have none"
                raise UserError(f"added.{item}.numbers: items have no number {name!r}; {known}")


def with_added(bundle: Bundle, added: Mapping[str, AddedItem], scorer: Scorer) -> Bundle:
    """The bundle, and behind its items those that it does not hold; those that it holds are left aside, and the log says so.

    Args:
        scorer: with the bundle's encoders.

    Raises:
        UserError: as ``check_added``.
    """
    check_added(bundle, added)
    new = _new(bundle, added)
    if held := [item for item in added if item not in new]:
        more = ", …" if len(held) > SHOWN else ""
        log.warning(
            "%d added items are left aside, as the bundle holds them itself by now: %s%s; take them out of the file",
            len(held),
            ", ".join(held[:SHOWN]),
            more,
        )
    if not new:
        return bundle
    count, said = len(bundle.item_ids), list(new.values())
    texts = [*bundle.read_of_texts().texts, *(one.words for one in said)]
    codes = np.arange(count, len(texts))
    tensors, known = with_texts(bundle, scorer, texts, codes, _popularity_of_nobody(bundle))
    numbers = np.full((len(texts), len(bundle.number_names)), np.nan)
    if bundle.number_names:
        numbers[:count] = bundle.numbers
        numbers[count:] = [[one.numbers.get(name, np.nan) for name in bundle.number_names] for one in said]
    log.info("added %d items by their texts", len(new))
    return replace(
        bundle,
        tensors=tensors,
        item_ids=[*bundle.item_ids, *new],
        titles=[*bundle.titles, *(one.title for one in said)],
        item_attributes=[*bundle.item_attributes, *(list(one.attributes) for one in said)],
        train_counts=np.append(bundle.train_counts, np.zeros(len(new), np.int64)),
        numbers=numbers,
        added=len(new),
        of_texts=known,
    )


def _new(bundle: Bundle, added: Mapping[str, AddedItem]) -> dict[str, AddedItem]:
    held = set(bundle.item_ids) if added else set()
    return {item: said for item, said in added.items() if item not in held}


def _popularity_of_nobody(bundle: Bundle) -> float:
    """That of the catalogue's items that nobody has chosen; where there are none, what the line through the others gives: popularity is
    the logarithm of 1 + count, standardised, but for the ageing of counts."""
    known, counts = bundle.tensors.log_popularity, np.log1p(bundle.train_counts)
    never = known[counts == 0]
    if len(never):
        return float(np.median(never))
    least = float(known.min(initial=0.0))
    return least if np.ptp(counts) == 0 else min(float(np.polyfit(counts, known, 1)[1]), least)
