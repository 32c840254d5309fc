"""What answers now: a bundle under the shop's files. Another one takes its place as a whole, by one assignment.

Who has asked already is answered by the one that was there then. Nothing takes the place that would show what may not be shown: the
shop's availability and rules act on a new one before it answers anybody, or it is refused.
"""

import gc
import logging
import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import about
from longtail.neighbours.added_items import check_added, with_added
from longtail.registry.bundles import bundle_id
from longtail.rollout.answers import greatest_difference
from longtail.scoring.asked import Asked
from longtail.scoring.availability import Availability
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules
from longtail.scoring.scorer import Scorer
from longtail.system.machine import give_memory_back

log = logging.getLogger(__name__)

SHOWN = 3  # unknown ids in a log


@dataclass(frozen=True, eq=False)
class Served:
    """bundle: as it was read; the recommender's may hold items that the shop added. version: id of the former."""

    recommender: Recommender
    bundle: Bundle
    version: str


class Service:
    """Safe to share between threads; each of ``take_bundle``, ``close`` and ``obey`` is for one thread at a time.

    ``files_taken``: how often a file of the shop changed what is asked of a bundle, and so which bundles can be taken.
    """

    def __init__(self, max_k: int | None) -> None:
        self._max_k = max_k
        self._now: Served | None = None
        self._availability, self._availability_file = Availability(), ""
        self._rules, self._rules_file = Rules(), ""
        # held while another one is made: a bundle and what is added to it belong together
        self._making = threading.Lock()
        # held for moments: no change of the files gets lost while another one is put in place
        self._changing = threading.Lock()
        self._before: weakref.ref[Scorer] | None = None  # of what served before, until its memory is freed
        self.files_taken = 0

    @property
    def now(self) -> Served:
        assert self._now is not None, "a bundle is taken before anybody asks"
        return self._now

    def take_bundle(self, folder: str | os.PathLike[str], golden: Sequence[dict[str, Any]] = ()) -> None:
        """Read a bundle, check it, and let it answer from the next question on.

        Args:
            golden: evaluated users, as a registry keeps them, whom it must answer as was evaluated.

        Raises:
            UserError: it is damaged or of another format, answers otherwise than evaluated, or cannot do what the shop's files say. The
                one before then serves on.
        """
        with self._making:
            bundle = load_bundle(folder)
            version = bundle_id((bundle.path / MANIFEST).read_bytes())
            plain = Recommender(bundle, threads=1, max_k=self._max_k)
            _compare(plain, golden)
            with about(f"{self._availability_file}:"):
                whole = with_added(bundle, self._availability.added, plain.scorer)
            self._put(Served(self._ready(whole, plain), bundle, version))

    def close(self, text: str, path: str) -> None:
        """Take what a file of availability says.

        Raises:
            UserError: it cannot be taken; what the last one said goes on.
        """
        wanted, before = Availability.parse(text, path), self._availability
        self._availability_file = path
        with about(f"{path}:"):
            if self._now is not None:
                check_added(self._now.bundle, wanted.added)
            # what may not be given is closed at once, though reading the texts of new items may take minutes
            self._put(availability=wanted.model_copy(update={"added": before.added}))
            if wanted.added != before.added:
                try:
                    self._add(wanted)
                except Exception:
                    self._put(availability=before)
                    raise
        self.files_taken += 1

    def obey(self, text: str, path: str) -> None:
        """Take what a file of rules says.

        Raises:
            UserError: it cannot be taken; what the last one said goes on.
        """
        rules = Rules.parse(text, path)
        with self._changing:
            if self._now is not None:
                with about(f"{path}:"):
                    self._now.recommender.obey(rules)
            self._rules, self._rules_file = rules, path
        self.files_taken += 1

    def _add(self, wanted: Availability) -> None:
        with self._making:
            now = self._now
            if now is not None:
                whole = with_added(now.bundle, wanted.added, now.recommender.scorer)
                now = Served(self._ready(whole, now.recommender), now.bundle, now.version)
            self._put(now, wanted)
        self.free_memory()

    def free_memory(self) -> None:
        """Give back what the one before held, once all who had asked it were answered."""
        if self._before is not None:
            gc.collect()  # an index and its caches hold each other
            if self._before() is None:
                self._before = None
                give_memory_back()

    def _ready(self, bundle: Bundle, like: Recommender) -> Recommender:
        """One that has answered a first question. like: asks the same files."""
        recommender = like if bundle is like.bundle else Recommender(bundle, 1, self._max_k, like)
        recommender.answers([Asked(interests="a first question" if bundle.has_text_encoder else None)])
        return recommender

    def _put(self, served: Served | None = None, availability: Availability | None = None) -> None:
        """The one place where what answers changes, to what is given; what is not given stays."""
        with self._changing:
            availability = self._availability if availability is None else availability
            served = self._now if served is None else served
            if served is not None:
                if served is not self._now:  # else they are in force
                    with about(f"{self._rules_file}:"):
                        served.recommender.obey(self._rules)
                unknown = served.recommender.close(availability)
                if unknown:
                    log.warning(
                        "%d closed ids are not in the catalogue: %s …", len(unknown), ", ".join(unknown[:SHOWN])
                    )
            if self._now is not None and served is not self._now:
                self._before = weakref.ref(self._now.recommender.scorer)
            self._availability, self._now = availability, served


def _compare(recommender: Recommender, golden: Sequence[dict[str, Any]]) -> None:
    """Refuse a bundle that answers evaluated users otherwise than was evaluated."""
    asked = [Asked(of["history"], of["attributes"], context=of["context"], k=len(of["expected"])) for of in golden]
    answers = [{"items": [vars(item) for item in answer.items]} for answer in recommender.answers(asked)]
    greatest_difference("the new bundle", golden, answers)
