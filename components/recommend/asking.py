"""Questions for everybody to a bundle under the shop's files: the server's recommender, asked in batches."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.errors import UserError, about
from longtail.neighbours.added_items import with_added
from longtail.scoring.asked import Asked
from longtail.scoring.availability import Availability, Closed
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Answer, Recommender
from longtail.scoring.rules import Rules

log = logging.getLogger(__name__)

TOGETHER = 256  # users asked at one time: each may hold a mask of the catalogue


@dataclass(frozen=True)
class Shop:
    """The texts of the shop's files, and the moment for which they are read: lists that are made over hours are of one moment.

    moment: seconds since 1970.
    """

    availability: str | None = None
    rules: str | None = None
    moment: float = 0.0


def opened(bundle: str, settings: RecommendSettings, shop: Shop) -> Recommender:
    """A recommender that answers as a server of this bundle with these files does at that moment, with one thread.

    Raises:
        UserError: bundle or files cannot be used.
    """
    loaded = load_bundle(bundle)
    recommender = Recommender(loaded, threads=1)
    if shop.availability is not None:
        name = settings.availability or "availability"
        wanted = Availability.parse(shop.availability, name)
        with about(f"{name}:"):
            whole = with_added(loaded, wanted.added, recommender.scorer)
        if whole is not loaded:
            recommender = Recommender(whole, threads=1, like=recommender)
        codes = {item: code for code, item in enumerate(recommender.bundle.item_ids)}
        closed = Closed(wanted, codes)
        if closed.unknown:
            log.warning("%s: %d ids are not in the catalogue: %s …", name, len(closed.unknown), closed.unknown[0])
        hidden = tuple(recommender.bundle.item_ids[code] for code in closed.at(shop.moment))
        recommender.close(Availability(hidden=hidden))
    if shop.rules is not None:
        name = settings.rules or "rules"
        with about(f"{name}:"):
            recommender.obey(Rules.parse(shop.rules, name))
    return recommender


def check(recommender: Recommender, settings: RecommendSettings) -> None:
    """Refuse what no question could be answered with.

    Raises:
        UserError: as ``Recommender.check``, or an item or a context that the bundle does not know.
    """
    recommender.check(asked_for([], None, (), settings))
    known = set(recommender.bundle.item_ids)
    for item in settings.exclude:
        if item not in known:
            raise UserError(f"exclude: item {item!r} is not in the catalogue of {recommender.bundle.path}; take it out")
    for name in settings.context:
        if name not in recommender.attributes:
            of_users = len(recommender.bundle.tensors.attribute_matrix)
            moments = ", ".join(recommender.bundle.attributes[of_users:][:20]) or "none: it was trained without"
            raise UserError(f"context {name}: is not known to {recommender.bundle.path}, which knows {moments}")


def asked_for(
    history: Sequence[str], attributes: Sequence[str] | None, left_out: Sequence[str], settings: RecommendSettings
) -> Asked:
    """One user's question. left_out: items that this user is not given, beside those that nobody is."""
    return Asked(
        history,
        attributes or (),
        k=settings.k,
        context=settings.context,
        exclude=[*settings.exclude, *left_out],
        filters=settings.filters.filters,
        diversity=settings.diversity,
        max_per=settings.max_per,
        explain=settings.explain,
        fold=settings.fold,
        diversity_by=settings.diversity_by,
        diversity_on=settings.diversity_on,
    )


def answered(recommender: Recommender, asked: Sequence[Asked]) -> list[Answer]:
    """The answers, in the order asked. Histories of like lengths are asked together, so that the encoder reads little padding."""
    order = sorted(range(len(asked)), key=lambda place: len(asked[place].history))
    found: list[Any] = [None] * len(asked)
    for begin in range(0, len(order), TOGETHER):
        places = order[begin : begin + TOGETHER]
        for place, answer in zip(places, recommender.answers([asked[place] for place in places])):
            found[place] = answer
    return found
