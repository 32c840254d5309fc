"""Asks a model server for recommendations, over KServe's V1 protocol. No kserve import."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from longtail.system.http import call, own_token


def ask(
    url: str, name: str, instances: Sequence[dict[str, Any]], timeout_seconds: float = 60.0
) -> list[dict[str, Any]]:
    """One prediction an instance; ``model.py`` says what both hold. The token is that of ``LONGTAIL_TOKEN``, where it is set.

    Args:
        url: the server's address, as in ``http://127.0.0.1:8080``.
        name: the model's name, as given to ``--name``.

    Raises:
        UserError: nothing answers there, or the server's message on what is wrong with an instance.
    """
    address = f"{url.rstrip('/')}/v1/models/{quote(name)}:predict"
    answer = call(address, {"instances": list(instances)}, timeout_seconds, own_token())
    predictions: list[dict[str, Any]] = answer["predictions"]
    return predictions
