"""Asks a served model over V1 and V2, and compares its answers with the evaluated ones."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from longtail.contracts.errors import UserError
from longtail.rollout.addresses import Post

SHOWN = 200  # characters of an answer in a message
TOLERANCE = 1e-4  # relative to the user's greatest score: batches of another size differ in the last bits


def ask_v1(post: Post, name: str, instances: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A prediction for each instance.

    Raises:
        UserError: there is no answer, or one that is not a model's.
    """
    answer = post(f"/v1/models/{quote(name)}:predict", {"instances": list(instances)})
    return _predictions("v1", answer, len(instances), lambda: answer["predictions"])


def ask_v2(post: Post, name: str, instances: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As ``ask_v1``."""
    texts = [json.dumps(instance) for instance in instances]
    tensor = {"name": "request", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    answer = post(f"/v2/models/{quote(name)}/infer", {"inputs": [tensor]})
    return _predictions(
        "v2", answer, len(instances), lambda: [json.loads(text) for text in answer["outputs"][0]["data"]]
    )


def _predictions(protocol: str, answer: Any, count: int, read: Callable[[], Any]) -> list[dict[str, Any]]:
    try:
        predictions: list[dict[str, Any]] = read()
        items = [item for prediction in predictions for item in prediction["items"]]
        sound = len(predictions) == count and all(isinstance(item["item_id"], str) for item in items)
        sound = sound and all(isinstance(item["score"], (int, float)) for item in items)
    except (KeyError, IndexError, TypeError, ValueError):
        sound = False
    if not sound:
        raise UserError(f"{protocol} answered what is no answer of the model server: {str(answer)[:SHOWN]}")
    return predictions


def instances_of(golden: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What to ask for the evaluated users: as many items as were evaluated."""
    return [
        {key: user[key] for key in ("history", "attributes", "context")} | {"k": len(user["expected"])}
        for user in golden
    ]


def compare_answers(post: Post, name: str, golden: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ask each evaluated user in a request of its own, as clients do, over V1 and V2: the answers and how far off they are.

    Raises:
        UserError: an answer differs from the evaluated, or there is none; or the shop changed all of them.
    """
    instances = instances_of(golden)
    answers = {
        protocol: [ask(post, name, [instance])[0] for instance in instances]
        for protocol, ask in (("v1", ask_v1), ("v2", ask_v2))
    }
    changed = sum(is_changed(prediction) for prediction in answers["v1"])
    if golden and changed == len(golden):
        raise UserError(
            "the shop's rules or availability change the answers to all evaluated users, so that none can be compared; "
            "serve without rules that boost, pin or limit while a bundle is rolled out"
        )
    return {
        "golden_users": len(golden),
        "changed_by_shop": changed,
        "greatest_relative_difference": {
            protocol: greatest_difference(protocol, golden, predictions) for protocol, predictions in answers.items()
        },
        "answers": [
            {"request": instance, "prediction": prediction} for instance, prediction in zip(instances, answers["v1"])
        ],
    }


def greatest_difference(
    protocol: str, golden: Sequence[dict[str, Any]], predictions: Sequence[dict[str, Any]]
) -> float:
    """Greatest relative difference of a served score from the evaluated one.

    Raises:
        UserError: other items, another order, or a difference above ``TOLERANCE``. Items whose evaluated scores lie within
            ``TOLERANCE`` of each other may change places. Answers that the shop changed are left aside.
    """
    greatest = 0.0
    for number, (user, prediction) in enumerate(zip(golden, predictions, strict=True)):
        if is_changed(prediction):
            continue
        served = {item["item_id"]: item["score"] for item in prediction["items"]}
        evaluated = dict(zip(user["expected"], user["scores"]))
        scale = max((abs(score) for score in user["scores"]), default=0.0) or 1.0
        # place by place, and item by item: an item that was not evaluated may only stand in for one that ties with the last
        pairs = list(zip(served.values(), user["scores"]))
        pairs += [(score, evaluated.get(item, user["scores"][-1])) for item, score in served.items()]
        differences = [abs(score - expected) / scale for score, expected in pairs]
        if len(served) != len(evaluated) or not all(difference <= TOLERANCE for difference in differences):
            raise UserError(
                f"evaluated user {number} (history {user['history']}): {protocol} answered {_shown(served)}, "
                f"but the evaluation says {_shown(evaluated)}; bundle and evaluation do not belong together, "
                "evaluate this bundle again"
            )
        greatest = max([greatest, *differences])
    return greatest


def is_changed(prediction: dict[str, Any]) -> bool:
    """Whether the shop's rules or availability made the list another than the model's own, as the server says."""
    return bool(prediction.get("changed_by_shop", False))


def _shown(scores: dict[str, float]) -> str:
    return ", ".join(f"{item} {score:.5f}" for item, score in scores.items())
