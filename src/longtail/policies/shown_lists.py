"""The log that policies learn from: lists that a server gave with ``explore``, and what their users chose of them afterwards.

JSON Lines, an object a list, which whoever asks the server keeps as it was asked and answered:

    {"user_id": "u1", "timestamp": 1764240000, "instance": {"history": ["a"], "explore": {"temperature": 0.5}, "k": 2},
     "prediction": {"items": [{"item_id": "b", "propensity": 0.31}, {"item_id": "c", "propensity": 0.2}], ...}}

``timestamp``: of showing, in seconds since 1970 or as a time with its zone.
"""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.scoring.asked import Asked
from longtail.tables.sources import Source, find
from longtail.tables.text_streams import encoding_of, open_text

Parse = Callable[[Mapping[str, Any]], Asked]
SECOND = 1_000_000  # microseconds
KEYS = ("user_id", "timestamp", "instance", "prediction")


@dataclass(frozen=True)
class ShownList:
    """items: ids in the order in which they stood; propensities [k]: of each at its place, given those before it; rewards [k]: 1
    where the user chose the item afterwards. time: microseconds since 1970."""

    user: str
    time: int
    asked: Asked
    items: tuple[str, ...]
    propensities: NDArray[np.float64]
    rewards: NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """Events after lists were shown: user ids, item ids, and times [n] in microseconds since 1970."""

    users: Sequence[str]
    items: Sequence[str]
    times: NDArray[np.int64]


def read_lists(uri: str, parse: Parse) -> tuple[list[ShownList], Counter[str]]:
    """The lists of a log, without rewards yet, and what was left out -> how often.

    Args:
        uri: of JSON Lines.
        parse: makes a question of an ``instance``; raises ValueError where that is none.

    Raises:
        UserError: naming the file and the line.
    """
    source = find(uri)
    if source.format != "jsonl":
        raise UserError(f"{uri}: is {source.format}; a log of shown lists is JSON Lines, an object a list")
    found, left_out = [], Counter[str]()
    for file, number, line in kept_lines(source):
        one, why = _read(line, f"{file}, line {number}", parse)
        if one is None:
            left_out[why] += 1
        else:
            found.append(one)
    if not found:
        said = "; ".join(f"{why}: {count}" for why, count in left_out.items()) or "it has no line"
        raise UserError(f"{uri}: holds no list that can be learnt from ({said}); ask the server with explore")
    return found, left_out


def kept_lines(source: Source) -> Iterator[tuple[str, int, str]]:
    """File, number from 1 and text of every line that is not blank."""
    for file in source.files:
        with open_text(file, encoding_of(file, None)) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield str(file), number, line


def _read(line: str, place: str, parse: Parse) -> tuple[ShownList | None, str]:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: is not JSON ({error}); correct the line or take it out") from None
    if not isinstance(given, dict) or (missing := [key for key in KEYS if given.get(key) is None]):
        lacking = ", ".join(missing) if isinstance(given, dict) else "an object"
        raise UserError(f"{place}: lacks {lacking}; each line holds {', '.join(KEYS)}")
    user = canonical_id(given["user_id"])
    if user is None:
        raise UserError(f"{place}: user_id is blank; give the user's id, so that outcomes can be joined")
    try:
        asked = parse(given["instance"])
    except ValueError as error:
        raise UserError(f"{place}: instance: {error}") from None
    if asked.interests or asked.similar_to:
        return None, "asked in words or for what is like an item"
    answer = given["prediction"]
    if answer.get("changed_by_shop"):
        return None, "changed by rules or availability"
    items, propensities = _items(answer, place)
    if asked.explore is None or any(one is None for one in propensities):
        return None, "not explored, so without propensities"
    chances = _checked(propensities, items, place)
    time = round(_seconds(given["timestamp"], place) * SECOND)
    return ShownList(user, time, asked, items, chances, np.zeros(len(items))), ""


def _items(answer: Any, place: str) -> tuple[tuple[str, ...], list[Any]]:
    try:
        rows = answer["items"]
        items = tuple(canonical_id(row["item_id"]) or "" for row in rows)
        propensities = [row["propensity"] for row in rows]
    except (KeyError, TypeError):
        raise UserError(
            f"{place}: prediction holds no items with item_id and propensity; keep the answer whole"
        ) from None
    if not items:
        raise UserError(f"{place}: prediction holds no item; take the line out")
    return items, propensities


def _checked(propensities: Sequence[Any], items: Sequence[str], place: str) -> NDArray[np.float64]:
    if len(set(items)) < len(items):
        raise UserError(f"{place}: an item stands twice in the list; correct the line or take it out")
    for item, chance in zip(items, propensities):
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
            raise UserError(f"{place}: the propensity of {item!r} is {chance!r}; it must be above 0 and at most 1")
    return np.array(propensities, dtype=np.float64)


def _seconds(given: Any, place: str) -> float:
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else None
        seconds = float(given) if moment is None else moment.timestamp()
        clear = (moment is None or moment.tzinfo is not None) and np.isfinite(seconds)
    except (ValueError, TypeError, OverflowError):
        clear = False
    if not clear:
        raise UserError(
            f"{place}: timestamp is {given!r}; give seconds since 1970, or a time with its zone such as 2026-11-28T09:30:00+01:00"
        )
    return seconds


def with_rewards(
    lists: Sequence[ShownList], outcomes: Outcomes, window_hours: float
) -> tuple[list[ShownList], Counter[str]]:
    """The lists whose window is over, with a reward of 1 for each item that its user chose within the window after it was shown.

    A choice counts for the latest list that showed the item to the user before it. Lists whose window ends after the last outcome are
    left out, since their rewards may still come; so are those of before the first one.

    Raises:
        UserError: no list is left, or no outcome belongs to any.
    """
    window = round(window_hours * 3600 * SECOND)
    if not len(outcomes.times):
        raise UserError("outcomes: hold no event; give what users chose after the lists were shown")
    first, last = int(outcomes.times.min()), int(outcomes.times.max())
    complete = [one for one in lists if first - window <= one.time <= last - window]
    left_out = Counter({"not yet over, or before the outcomes begin": len(lists) - len(complete)})
    rewards = [np.zeros(len(one.items)) for one in complete]
    shown: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)  # -> time, list, place
    for number, one in enumerate(complete):
        for place, item in enumerate(one.items):
            shown[one.user, item].append((one.time, number, place))
    for places in shown.values():
        places.sort()
    for user, item, time in zip(outcomes.users, outcomes.items, outcomes.times.tolist()):
        places = shown.get((user, item), [])
        before = bisect_right(places, (time, len(complete), 0)) - 1
        if before >= 0 and time - places[before][0] <= window:
            rewards[places[before][1]][places[before][2]] = 1.0
    if not complete or not any(one.any() for one in rewards):
        raise UserError(
            f"outcomes: nothing that users chose within {window_hours:g} hours was in a list shown to them before (of {len(complete)} "
            "lists whose window is over); check that ids and times are of one kind, and that outcomes go on after the lists"
        )
    kept = +left_out
    return [replace(one, rewards=values) for one, values in zip(complete, rewards)], kept
