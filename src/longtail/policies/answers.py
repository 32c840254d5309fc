"""Reads answers that ``longtail``'s server gave with ``explore``, as whoever asked it keeps them: JSON Lines, an object a list.

    {"user_id": "u1", "prediction": {"items": [{"item_id": "b", "propensity": 0.31, "reward": 1}, {"item_id": "c", ...}], ...}}

``reward`` is what came of the item; whoever keeps the answers adds it once it is known, or a table of outcomes is joined to lists that
were kept with their questions and times (``shown_lists``). All other keys of an answer may stay.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.metrics.off_policy import Logged
from longtail.policies.logs import LogTable
from longtail.policies.shown_lists import ShownList, kept_lines
from longtail.tables.sources import Source, find

PREDICTION = "prediction"
Row = tuple[str, float, float]  # item, reward, propensity


def are_answers(uri: str) -> bool:
    """Whether the first line is an answer.

    Raises:
        UserError: it is a whole response of the server, which tells neither users nor rewards.
    """
    source = find(uri)
    if source.format != "jsonl":
        return False
    first = next((line for *_, line in kept_lines(source)), "")
    try:
        given = json.loads(first)
    except ValueError:
        return False
    if isinstance(given, dict) and "predictions" in given:
        raise UserError(
            f"{uri}: holds whole responses of the server; keep a line for each of their predictions, with user_id and the items' rewards: "
            '{"user_id": "u1", "prediction": {"items": [{"item_id": "b", "propensity": 0.31, "reward": 1}]}}'
        )
    return isinstance(given, dict) and PREDICTION in given


def read_answers(uri: str) -> LogTable:
    """A row an item shown; positions count from 1.

    Raises:
        UserError: naming file and line of what is missing or cannot be.
    """
    slates = list(_slates(find(uri)))
    if not slates:
        raise UserError(f"{uri}: has no answers; give one a line")
    return _table(uri, slates)


def table_of(uri: str, lists: Sequence[ShownList]) -> LogTable:
    """The same of lists whose rewards were joined (``shown_lists.with_rewards``)."""
    return _table(
        uri, [(one.user, list(zip(one.items, one.rewards.tolist(), one.propensities.tolist()))) for one in lists]
    )


def _table(uri: str, slates: Sequence[tuple[str, list[Row]]]) -> LogTable:
    rows = [(number, place, *row) for number, (_, rows) in enumerate(slates) for place, row in enumerate(rows, start=1)]
    slate, position, items, reward, propensity = (list(column) for column in zip(*rows))
    actions, action = np.unique(items, return_inverse=True)
    users = np.array([slates[number][0] for number in slate], dtype=object)
    logged = Logged(
        action=action.reshape(-1).astype(np.int64),
        reward=np.array(reward),
        propensity=np.array(propensity),
        position=np.array(position, dtype=np.int64),
        user=np.unique(users.astype(str), return_inverse=True)[1].reshape(-1),
    )
    keys = {"user_id": users, "position": np.array([str(place) for place in position], dtype=object)}
    columns = {"slate": "the line", "position": "the place"}
    return LogTable(
        uri, logged, tuple(actions.tolist()), columns, keys, np.arange(len(rows)), np.array(slate, dtype=np.int64)
    )


def _slates(source: Source) -> Iterator[tuple[str, list[Row]]]:
    for file, number, line in kept_lines(source):
        yield _read(line, f"{file}: line {number}")


def _read(line: str, where: str) -> tuple[str, list[Row]]:
    try:
        given = json.loads(line)
        user = canonical_id(given["user_id"])
        items = given[PREDICTION]["items"]
        rows = [_row(item, f"{where}, item {place}") for place, item in enumerate(items, start=1)]
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: is not JSON ({error}); mend it") from None
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            f"{where}: is no answer; it needs user_id and prediction with items, whole as the server gave it"
        ) from None
    if user is None:
        raise UserError(f"{where}: user_id is blank; give the user's id")
    if not rows:
        raise UserError(f"{where}: its list is empty; leave the line out")
    return user, rows


def _row(item: dict[str, Any], where: str) -> Row:
    code = canonical_id(item["item_id"])
    if code is None:
        raise UserError(f"{where}: item_id is blank; keep the answer whole")
    if item.get("propensity") is None:
        raise UserError(f"{where}: has no propensity; keep answers to questions with explore alone")
    if item.get("reward") is None:
        raise UserError(f"{where}: has no reward; add what came of the item, 0 for nothing, or give --outcomes")
    numbers = [item["reward"], item["propensity"]]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise UserError(f"{where}: reward {numbers[0]!r} and propensity {numbers[1]!r} must be numbers")
    if not 0 < numbers[1] <= 1:
        raise UserError(f"{where}: propensity {numbers[1]!r} must be above 0 and at most 1; mend it")
    return code, float(numbers[0]), float(numbers[1])
