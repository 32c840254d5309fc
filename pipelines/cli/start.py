"""`longtail recommend`: asks a bundle here, without a server."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.contracts.errors import UserError

if TYPE_CHECKING:
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.bundle import Bundle

SHOWN = 5  # examples in messages


def add_to(app: typer.Typer) -> None:
    app.command()(recommend)


def recommend(
    run: Annotated[Path | None, typer.Option(help="Folder of a run's results; --user needs it.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of a Student bundle, instead of --run.")] = None,
    user: Annotated[str | None, typer.Option(help="Id of a user of the run's data.")] = None,
    history: Annotated[str | None, typer.Option(help="Item ids with commas between, oldest first.")] = None,
    interests: Annotated[str | None, typer.Option(help="What the user says to be interested in, in words.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An attribute of the user; may be repeated.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend items to a known user, or to a new one by history, interests or attributes."""
    folder = bundle if run is None else run / "bundle"
    if folder is None or (run is not None and bundle is not None):
        raise UserError("recommend: give --run or --bundle, one of the two")
    if user is not None and (history is not None or run is None):
        raise UserError("recommend: --user looks the history up in --run; give it without --history and --bundle")
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.recommender import Recommender

    recommender = Recommender.load(folder)
    loaded = recommender.bundle
    ids = [text.strip() for text in history.split(",") if text.strip()] if history else []
    attributes = list(attribute or [])
    _check_attributes(attributes, loaded)
    if user is not None and run is not None:
        ids, known = _of_user(PreparedDataset(run / "prepared"), user, run)
        attributes = attributes or known
    answer = recommender.recommend(ids, attributes, interests or "", k)
    if answer.unknown_items:
        examples = ", ".join(loaded.item_ids[:SHOWN])
        raise UserError(
            f"--history: item {answer.unknown_items[0]!r} is not in the catalogue of the bundle, which holds {examples}, …"
        )
    items = [asdict(item) for item in answer.items]
    if as_json:
        typer.echo(json.dumps(items, ensure_ascii=False, indent=1))
        return
    if ids:
        titles = dict(zip(loaded.item_ids, loaded.titles))
        typer.echo(f"History: {'; '.join(titles[item] or item for item in ids)}")
    typer.echo(table(items))


def table(items: Sequence[dict[str, object]]) -> str:
    """Numbered lines: title, id and reason of each recommended item."""
    names = [shorten(str(item["title"] or item["item_id"]), 70, placeholder=" …") for item in items]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{place:>4}. {name:<{width}}  {item['item_id']}  {item['reason']}"
        for place, (name, item) in enumerate(zip(names, items), start=1)
    )


def _of_user(prepared: "PreparedDataset", user: str, run: Path) -> tuple[list[str], list[str]]:
    """Item ids of the user's whole history, and the attributes."""
    if user not in prepared.user_ids:
        raise UserError(
            f"--user: {user!r} is not among the {len(prepared.user_ids):,} users of {run / 'prepared'} "
            f"({', '.join(prepared.user_ids[:SHOWN])}, …); for a new user give --history, --interests or --attribute"
        )
    code = prepared.user_ids.index(user)
    return [prepared.item_ids[item] for item in whole_history(prepared, code)], prepared.user_attributes[code]


def whole_history(prepared: "PreparedDataset", user_code: int) -> list[int]:
    """Item codes of all the user's events, oldest first: today's user knows them all."""
    return [int(item) for item in prepared.item_codes[prepared.user_codes == user_code]]


def _check_attributes(given: Sequence[str], bundle: "Bundle") -> None:
    for name in given:
        if name not in bundle.attributes:
            known = ", ".join(bundle.attributes[: 4 * SHOWN]) or "none: it was trained without --users"
            raise UserError(f"--attribute {name}: is not known to the bundle, which knows {known}")
