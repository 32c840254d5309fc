"""What a run left behind, and how commands show it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from longtail.contracts.artifacts import results_of
from longtail.contracts.errors import UserError


def read_evaluation(run: Path) -> dict[str, Any]:
    """A run's evaluation.json.

    Raises:
        UserError: the folder holds none.
    """
    path = results_of(run) / "evaluation.json"
    try:
        evaluation: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        raise UserError(f"{path}: no such file; name the folder of a finished run with --run") from None
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); run the pipeline again") from None
    return evaluation


def table(items: Sequence[Mapping[str, object]]) -> str:
    """Numbered lines: title, id and, where there are some, reason and near-duplicates of each recommended item."""
    names = [shorten(str(item["title"] or item["item_id"]), 70, placeholder=" …") for item in items]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{place:>4}. {name:<{width}}  {item['item_id']}  {item['reason'] or ''}{_folded(item)}".rstrip()
        for place, (name, item) in enumerate(zip(names, items), start=1)
    )


def _folded(item: Mapping[str, object]) -> str:
    folded = item.get("folded")
    return f" (also {', '.join(folded)})" if isinstance(folded, list) else ""
