"""Where a newcomer starts: demo, run, report, recommend."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longtail.contracts.artifacts import results_of
from longtail.contracts.decision import load_decision
from longtail.contracts.errors import GATE_EXIT_CODE, UserError
from longtail.contracts.ids import canonical_id
from longtail.pipelines.cli.options import (
    Champion,
    Config,
    Format,
    Incumbent,
    Items,
    MaybeInteractions,
    Override,
    Seed,
    Set,
    Users,
    read_settings,
)
from longtail.pipelines.cli.results import read_evaluation, table, whole_history

if TYPE_CHECKING:
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.bundle import Bundle
    from longtail.scoring.recommender import Recommender

SHOWN = 5  # examples in messages


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo's data and results.")] = Path("demo"),
    overrides: Set = None,
    seed: Seed = None,
) -> None:
    """See all of it in a few minutes, on a generated shop.

    The shop goes through the pipeline; then the real server recommends to three of its users. Ends with 3 where the gate did not
    pass.
    """
    from longtail.pipelines.cli.demo import run_demo

    if not run_demo(out, overrides, seed):
        raise typer.Exit(GATE_EXIT_CODE)


def run(
    items: Items,
    interactions: MaybeInteractions = None,
    users: Users = None,
    config: Config = None,
    overrides: Set = None,
    out: Annotated[Path, typer.Option(help="Folder of the results; a rerun reuses what has not changed.")] = Path(
        "runs/latest"
    ),
    format: Format = None,
    champion: Champion = None,
    incumbent: Incumbent = None,
    override: Override = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Run the stages in containers of this image; `make images` builds and names it.", show_default=False
        ),
    ] = None,
    seed: Seed = None,
) -> None:
    """Run the whole pipeline here, on two tables of yours.

    Two tables in, an evaluated and deployable recommender out. Ends with 0 where the gate passed, with 3 where all went well and it
    did not (decision.json in the folder says why), with 2 if data or settings are at fault, with 1 otherwise.
    """
    from longtail.pipelines.local.run import RunInputs, run_local
    from longtail.system.preflight import check_machine, set_threads

    settings = read_settings(config, overrides, format, seed)
    check_machine(out, disk_gb=1.0, memory_gb=1.5)
    set_threads()
    run_local(RunInputs(interactions, items, users, settings, out, champion, image, incumbent, override))
    report(out)
    typer.echo(
        f"\nNext:\n  longtail recommend --run {out} --user ID\n  longtail serve --bundle {out / 'bundle'}"
        f"\n  longtail report --run {out} --open"
    )
    if not load_decision(results_of(out)).passed:
        raise typer.Exit(GATE_EXIT_CODE)


def report(
    run: Annotated[Path, typer.Option(help="Folder of a run's results.")] = Path("runs/latest"),
    show: Annotated[bool, typer.Option("--open", help="Open the report in the browser too.")] = False,
) -> None:
    """Print a run's results for each segment of users.

    The table compares the student with the baselines; the path of the whole report follows.
    """
    from longtail.components.evaluate.summary import segment_table

    evaluation = read_evaluation(run)
    page = (results_of(run) / "report.html").absolute()
    typer.echo(f"\n{segment_table(evaluation)}\n\nReport: {page}")
    if not evaluation["decision"]["passed"]:
        typer.echo("Not deployed: the gate did not pass, for the reasons above.")
    if show:
        import webbrowser

        webbrowser.open(page.as_uri())


def recommend(
    run: Annotated[Path | None, typer.Option(help="Folder of a run's results; --user needs it.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of a Student bundle, instead of --run.")] = None,
    user: Annotated[str | None, typer.Option(help="Id of a user of the run's data.")] = None,
    history: Annotated[str | None, typer.Option(help="Item ids with commas between, oldest first.")] = None,
    interests: Annotated[str | None, typer.Option(help="What the user says to be interested in, in words.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An attribute of the user; may be repeated.")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What is known of the moment, such as the occasion; may be repeated."),
    ] = None,
    similar_to: Annotated[
        str | None, typer.Option(help="Item ids with commas between, which the items given are to be like.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ATTRIBUTE", help="Items with this attribute only; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="ATTRIBUTE", help="No items with this attribute; may be repeated.")
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MIN..MAX",
            help="Items whose number lies there (price=5..20, price=..20); may be repeated.",
        ),
    ] = None,
    exclude: Annotated[str | None, typer.Option(help="Item ids with commas between, which are not given.")] = None,
    max_per: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COUNT", help="At most so many items of each brand (brand=2); may be repeated."),
    ] = None,
    diversity: Annotated[float, typer.Option(help="0 orders by score alone, 1 by how unlike items are.")] = 0.0,
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend items to a user, known or new, without a server.

    A new user is described by history, interests or attributes; further options say which items may be given.
    """
    folder = bundle if run is None else results_of(run) / "bundle"
    if folder is None or (run is not None and bundle is not None):
        raise UserError("recommend: give --run or --bundle, one of the two")
    if user is not None and (history is not None or run is None):
        raise UserError("recommend: --user looks the history up in --run; give it without --history and --bundle")
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.asked import Asked, Filters
    from longtail.scoring.recommender import Recommender

    recommender = Recommender.load(folder)
    loaded = recommender.bundle
    ids, alike, excluded = (_ids(text) for text in (history, similar_to, exclude))
    attributes, moment = list(attribute or []), list(context or [])
    of_users = len(loaded.tensors.attribute_matrix)  # attributes of users, in front of context
    _check_known("--attribute", attributes, recommender, loaded.attributes[:of_users])
    _check_known("--context", moment, recommender, loaded.attributes[of_users:])
    if user is not None and run is not None:
        ids, known = _of_user(PreparedDataset(results_of(run) / "prepared"), user, run)
        attributes = attributes or known
    for option, given in (("--history", ids), ("--similar-to", alike), ("--exclude", excluded)):
        _check_items(option, given, loaded)
    filters = Filters(all=only or (), none=without or (), ranges=dict(map(_range, between or ())))
    asked = Asked(
        ids,
        attributes,
        interests or None,
        k,
        moment,
        similar_to=alike,
        exclude=excluded,
        filters=filters,
        diversity=diversity,
        max_per=dict(map(_limit, max_per or ())),
    )
    (answer,) = recommender.answers([asked])
    items = [asdict(item) for item in answer.items]
    if as_json:
        typer.echo(json.dumps(items, ensure_ascii=False, indent=1))
        return
    if ids:
        titles = dict(zip(loaded.item_ids, loaded.titles))
        typer.echo(f"History: {'; '.join(titles[item] or item for item in ids)}")
    if answer.nothing_fits:
        typer.echo(f"Nothing in this catalogue quite fits {interests!r}; these come nearest.")
    typer.echo(table(items))
    if answer.fewer_than_k:
        typer.echo(f"Fewer than {k}: {answer.fewer_than_k}.")


def _ids(text: str | None) -> list[str]:
    return [item for part in (text or "").split(",") if (item := canonical_id(part))]


def _range(text: str) -> tuple[str, tuple[float | None, float | None]]:
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


def _limit(text: str) -> tuple[str, int]:
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
    return [prepared.item_ids[item] for item in whole_history(prepared, code)], prepared.user_attributes[code]


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
