"""Which items may not be given just now, whatever anybody asks: hidden, sold out, or outside their time; and which are new."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from longtail.contracts.settings_base import Settings
from longtail.scoring.added import MOST_ADDED, AddedItem
from longtail.scoring.staff_files import Id, parse_staff_file

EXAMPLE = "hidden: [id, ...], sold_out: [id, ...], scheduled: {id: {from: 2026-12-01T08:00:00Z, until: …}}, added: {id: {title: …}}"


class Scheduled(Settings):
    """When an item may be given; what is left out has no end."""

    since: AwareDatetime | None = Field(None, alias="from", description="First moment.")
    until: AwareDatetime | None = Field(None, description="First moment at which it may not be given any more.")

    @model_validator(mode="after")
    def _there_is_such_a_time(self) -> "Scheduled":
        if self.since is None and self.until is None:
            raise ValueError("give from, until or both")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("from is not before until")
        return self


class Availability(Settings):
    """The operations staff's file. ``hidden`` and ``sold_out`` act alike, and are two so that each can be written by who knows it.

    ``added`` acts where the bundle does not hold the item yet: see ``longtail.neighbours.added_items``.
    """

    hidden: tuple[Id, ...] = Field((), description="Items that are not shown.")
    sold_out: tuple[Id, ...] = Field((), description="Items that nobody can have now.")
    scheduled: dict[Id, Scheduled] = Field({}, description="Items with a time of their own.")
    added: dict[Id, AddedItem] = Field(
        {}, max_length=MOST_ADDED, description="Items that the bundle does not hold, known by their text."
    )

    @classmethod
    def parse(cls, text: str, name: str) -> "Availability":
        """From YAML or JSON. name: of where it lies.

        Raises:
            UserError: naming the key that is wrong.
        """
        return parse_staff_file(cls, text, name, f"{EXAMPLE}; one that closes nothing holds hidden: []")

    @property
    def item_ids(self) -> list[str]:
        """All that may not be given, now or at some time, each once."""
        return list(dict.fromkeys((*self.hidden, *self.sold_out, *self.scheduled)))


class Closed:
    """An ``Availability`` in the codes of a catalogue. known: item id -> code.

    unknown: ids that the catalogue does not hold; they are left aside.
    """

    def __init__(self, availability: Availability, known: Mapping[str, int]) -> None:
        self.unknown = [item for item in availability.item_ids if item not in known]
        always = [known[item] for item in (*availability.hidden, *availability.sold_out) if item in known]
        times = [(known[item], time) for item, time in availability.scheduled.items() if item in known]
        self._always = np.array(always, dtype=np.int32)
        self._scheduled = np.array([code for code, _ in times], dtype=np.int32)
        self._since = np.array([_seconds(time.since, -np.inf) for _, time in times])
        self._until = np.array([_seconds(time.until, np.inf) for _, time in times])

    def at(self, moment: float) -> NDArray[np.int32]:
        """Codes of the items that may not be given. moment: seconds since 1970."""
        outside = (moment < self._since) | (moment >= self._until)
        return np.concatenate([self._always, self._scheduled[outside]])


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return moment.timestamp() if moment else otherwise
