"""`longtail recommend`: items for one user, known or new, without a server."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from longtail.contracts.artifacts import results_of
from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.pipelines.cli.results import table
from longtail.scoring.asked import Likeness, Way

if TYPE_CHECKING:
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.bundle import Bundle
    from longtail.scoring.recommender import Answer, Recommender

SHOWN = 5  # examples in messages

Value = TypeVar("Value")

Run = Annotated[Path | None, typer.Option(help="Folder of a run's results; --user needs it.")]
AnyBundle = Annotated[Path | None, typer.Option("--bundle", help="Folder of a Student bundle, instead of --run.")]
User = Annotated[str | None, typer.Option(help="Id of a user of the run's data.")]
History = Annotated[str | None, typer.Option(help="Item ids with commas between, oldest first.")]
Interests = Annotated[str | None, typer.Option(help="What the user says to be interested in, in words.")]
Attribute = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="An attribute of the user; may be repeated.")
]
Context = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What is known of the moment, such as the occasion; may be repeated."),
]
SimilarTo = Annotated[
    str | None, typer.Option(help="Item ids with commas between, which the items given are to be like.")
]
Only = Annotated[
    list[str] | None, typer.Option(metavar="ATTRIBUTE", help="Items with this attribute only; may be repeated.")
]
Without = Annotated[
    list[str] | None, typer.Option(metavar="ATTRIBUTE", help="No items with this attribute; may be repeated.")
]
Between = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=MIN..MAX", help="Items whose number lies there (price=5..20, price=..20); may be repeated."
    ),
]
Exclude = Annotated[str | None, typer.Option(help="Item ids with commas between, which are not given.")]
MaxPer = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=COUNT", help="At most so many items of each brand (brand=2); may be repeated."),
]
Diversity = Annotated[float, typer.Option(help="0 orders by score alone, 1 by how unlike items are.")]
DiversityBy = Annotated[Way, typer.Option(help="Maximal Marginal Relevance, or a determinantal point process.")]
DiversityOn = Annotated[
    Likeness | None,
    typer.Option(help="Which likeness counts; left out: of the vectors, if the bundle has trained ones."),
]
Fold = Annotated[bool, typer.Option("--fold", help="Of near-duplicates only the best one.")]
Explain = Annotated[bool, typer.Option(help="Say why each item is given.")]
Count = Annotated[int, typer.Option("-k", "--k", help="How many items.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def recommend(
    run: Run = None,
    bundle: AnyBundle = None,
    user: User = None,
    history: History = None,
    interests: Interests = None,
    attribute: Attribute = None,
    context: Context = None,
    similar_to: SimilarTo = None,
    only: Only = None,
    without: Without = None,
    between: Between = None,
    exclude: Exclude = None,
    max_per: MaxPer = None,
    diversity: Diversity = 0.0,
    diversity_by: DiversityBy = "mmr",
    diversity_on: DiversityOn = None,
    fold: Fold = False,
    explain: Explain = True,
    k: Count = 10,
    as_json: AsJson = False,
) -> None:
    """Recommend items to a user, known or new, without a server.

    A new user is described by history, interests or attributes; further options say which items may be given.
    """
    folder = bundle_of(run, bundle)
    if user is not None and (history is not None or run is None):
        raise UserError("recommend: --user looks the history up in --run; give it without --history and --bundle")
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.asked import Asked, Filters
    from longtail.scoring.recommender import Recommender

    recommender = Recommender.load(folder)
    loaded = recommender.bundle
    ids, alike, excluded = (id_list(text) for text in (history, similar_to, exclude))
    attributes, moment = list(attribute or []), list(context or [])
    of_users = len(loaded.tensors.attribute_matrix)  # attributes of users, in front of context
    _check_known("--attribute", attributes, recommender, loaded.attributes[:of_users])
    _check_known("--context", moment, recommender, loaded.attributes[of_users:])
    if user is not None and run is not None:
        ids, known = _of_user(PreparedDataset(results_of(run) / "prepared"), user, run)
        attributes = attributes or known
    for option, given in (("--history", ids), ("--similar-to", alike), ("--exclude", excluded)):
        _check_items(option, given, loaded)
    ranges = by_name("--between", map(number_range, between or ()))
    filters, limits = Filters(only or (), (), without or (), ranges), by_name("--max-per", map(limit, max_per or ()))
    shape = {"exclude": excluded, "filters": filters, "diversity": diversity, "max_per": limits}
    shape |= {"explain": explain, "fold": fold, "diversity_by": diversity_by, "diversity_on": diversity_on}
    (answer,) = recommender.answers([Asked(ids, attributes, interests or None, k, moment, alike, **shape)])  # type: ignore[arg-type]
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in answer.items], ensure_ascii=False, indent=1))
    else:
        _tell(answer, ids, interests, k, loaded)


def bundle_of(run: Path | None, bundle: Path | None) -> Path:
    """The bundle's folder.

    Raises:
        UserError: not one of the two.
    """
    folder = bundle if run is None else results_of(run) / "bundle"
    if folder is None or (run is not None and bundle is not None):
        raise UserError("give --run or --bundle, one of the two")
    return folder


def _tell(answer: "Answer", history: Sequence[str], interests: str | None, k: int, bundle: "Bundle") -> None:
    if history:
        titles = dict(zip(bundle.item_ids, bundle.titles))
        typer.echo(f"History: {'; '.join(titles[item] or item for item in history)}")
    if answer.nothing_fits:
        typer.echo(f"Nothing in this catalogue quite fits {interests!r}; these come nearest.")
    typer.echo(table([asdict(item) for item in answer.items]))
    if answer.fewer_than_k:
        typer.echo(f"Fewer than {k}: {answer.fewer_than_k}.")


def id_list(text: str | None) -> list[str]:
    return [item for part in (text or "").split(",") if (item := canonical_id(part))]


def by_name(option: str, given: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in given:
        if name in found:
            raise UserError(f"{option}: {name} is named twice; give it once")
        found[name] = value
    return found


def number_range(text: str) -> tuple[str, tuple[float | None, float | None]]:
    """``price=5..20``; a bound may be left out."""
    found = re.fullmatch(r"(.+)=([^=]*)\.\.([^=]*)", text)
    try:
        low, high = (
            (float(bound) if bound.strip() else None for bound in (found[2], found[3])) if found else (None, None)
        )
    except ValueError:
        low = high = None
    if found is None or (low is None and high is None):
        raise UserError(f"--between {text}: give a number's name and its bounds, such as price=5..20 or price=..20")
    return found[1], (low, high)


def limit(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition("=")
    if not name or not count.isdecimal() or int(count) < 1:
        raise UserError(f"--max-per {text}: give an attribute, or its name, and a count, such as brand=2")
    return name, int(count)


def _of_user(prepared: "PreparedDataset", user: str, run: Path) -> tuple[list[str], list[str]]:
    """Item ids of the user's whole history, and the attributes."""
    user = canonical_id(user) or user
    if user not in prepared.user_ids:
        raise UserError(
            f"--user: {user!r} is not among the {len(prepared.user_ids):,} users of {run} "
            f"({', '.join(prepared.user_ids[:SHOWN])}, …); for a new user give --history, --interests or --attribute"
        )
    code = prepared.user_ids.index(user)
    return [prepared.item_ids[item] for item in prepared.whole_history(code)], prepared.user_attributes[code]


def _check_items(option: str, given: Sequence[str], bundle: "Bundle") -> None:
    known = set(bundle.item_ids)
    for item in given:
        if item not in known:
            examples = ", ".join(bundle.item_ids[:SHOWN])
            raise UserError(f"{option}: item {item!r} is not in the catalogue of the bundle, which holds {examples}, …")


def _check_known(option: str, given: Sequence[str], recommender: "Recommender", known: Sequence[str]) -> None:
    for name in given:
        if name not in recommender.attributes:
            shown = ", ".join(known[: 4 * SHOWN]) or "none: it was trained without"
            raise UserError(f"{option} {name}: is not known to the bundle, which knows {shown}")
