"""Questions for everybody to a bundle under the shop's files: the server's recommender, asked in batches."""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.errors import UserError, about
from longtail.contracts.folders import place_of
from longtail.contracts.settings_base import parse
from longtail.neighbours.added_items import with_added
from longtail.scoring.asked import Asked
from longtail.scoring.availability import Availability, Closed
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules
from longtail.tables.sources import open_file, reaching

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shop:
    """What is asked, and under which of the shop's files: their texts, and the moment for which they are read, so that lists that
    are made over hours are of one moment.

    bundle: its folder; moment: seconds since 1970.
    """

    bundle: str
    settings: RecommendSettings
    availability: str | None = None
    rules: str | None = None
    moment: float = 0.0

    @classmethod
    def now(cls, bundle: str | os.PathLike[str], settings: RecommendSettings) -> "Shop":
        """With the files as they are now.

        Raises:
            UserError: a file cannot be read.
        """
        availability, rules = _text(settings.availability), _text(settings.rules)
        return cls(str(place_of(bundle)), settings, availability, rules, time.time())

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> "Shop":
        """From ``said``."""
        return cls(**{**plan, "settings": parse(RecommendSettings, plan["settings"], "plan")})

    @property
    def said(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**vars(self), "settings": self.settings.model_dump(mode="json")}

    @property
    def digest(self) -> str:
        """Of all that decides what is answered, but for the moment."""
        own = {"processes", "engine", "spark_remote", "availability", "rules", "not_repeated_from"}
        parts = [manifest_digest(self.bundle), self.availability, self.rules]
        return json.dumps([*parts, self.settings.model_dump(mode="json", exclude=own)], sort_keys=True)

    def opened(self) -> Recommender:
        """A recommender that answers as a server of this bundle with these files does at that moment, with one thread.

        Raises:
            UserError: bundle or files cannot be used, or no question could be answered with these settings.
        """
        loaded = load_bundle(self.bundle)
        recommender = Recommender(loaded, threads=1)
        if self.availability is not None:
            recommender = self._closed(recommender, str(self.settings.availability), self.availability)
        if self.rules is not None:
            with about(f"{self.settings.rules}:"):
                recommender.obey(Rules.parse(self.rules, str(self.settings.rules)))
        _check(recommender, self.settings)
        return recommender

    def _closed(self, recommender: Recommender, name: str, text: str) -> Recommender:
        wanted = Availability.parse(text, name)
        with about(f"{name}:"):
            whole = with_added(recommender.bundle, wanted.added, recommender.scorer)
        if whole is not recommender.bundle:
            recommender = Recommender(whole, threads=1, like=recommender)
        ids = recommender.bundle.item_ids
        closed = Closed(wanted, {item: code for code, item in enumerate(ids)})
        if closed.unknown:
            log.warning("%s: %d ids are not in the catalogue: %s …", name, len(closed.unknown), closed.unknown[0])
        recommender.close(Availability(hidden=tuple(ids[code] for code in closed.at(self.moment))))
        return recommender


def _text(file: str | None) -> str | None:
    """Of a file, or of an object of a bucket."""
    if file is None:
        return None
    with reaching(file), open_file(file) as stream:
        content: bytes = stream.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: cannot be read ({error}); give a YAML file that can") from None


def _check(recommender: Recommender, settings: RecommendSettings) -> None:
    recommender.check(asked_for(settings))
    known = set(recommender.bundle.item_ids)
    for item in settings.exclude:
        if item not in known:
            raise UserError(f"exclude: item {item!r} is not in the catalogue of {recommender.bundle.path}; take it out")
    for name in settings.context:
        if name not in recommender.attributes:
            of_users = len(recommender.bundle.tensors.attribute_matrix)
            moments = ", ".join(recommender.bundle.attributes[of_users:][:20]) or "none: it was trained without"
            raise UserError(f"context {name}: is not known to {recommender.bundle.path}, which knows {moments}")


def asked_for(settings: RecommendSettings, **more: Any) -> Asked:
    """A question. more: fields of ``Asked``; ``exclude`` comes beside what nobody is given."""
    return Asked(
        k=settings.k,
        context=settings.context,
        exclude=[*settings.exclude, *more.pop("exclude", ())],
        filters=settings.filters.filters,
        diversity=settings.diversity,
        max_per=settings.max_per,
        explain=settings.explain,
        fold=settings.fold,
        diversity_by=settings.diversity_by,
        diversity_on=settings.diversity_on,
        **more,
    )
