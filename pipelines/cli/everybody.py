"""Lists without a server: `longtail recommend-all` for every user, `similar-items` for every item, `reach` for the users of an item."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from longtail.contracts.artifacts import results_of
from longtail.contracts.errors import UserError
from longtail.pipelines.cli import recommending as one
from longtail.pipelines.cli.options import (
    Config,
    Format,
    MaybeInteractions,
    Output,
    Set,
    Users,
    as_in_training,
    at_hand,
    begin_stage,
)

if TYPE_CHECKING:
    from longtail.components.recommend.settings import RecommendSettings
    from longtail.contracts.histories import Histories

Run = Annotated[Path | None, typer.Option(help="Folder of a run's results: its bundle and its Prepared data set.")]
MaybeBundle = Annotated[
    Path | None,
    typer.Option("--bundle", parser=str, callback=at_hand, metavar="FOLDER|ADDRESS", help="A Student bundle."),
]
MaybePrepared = Annotated[
    Path | None,
    typer.Option("--prepared", parser=str, callback=at_hand, metavar="FOLDER|ADDRESS", help="What preprocess wrote."),
]
AnyOf = Annotated[
    list[str] | None,
    typer.Option("--any", metavar="ATTRIBUTE", help="Items with one of these attributes at least; may be repeated."),
]
Availability = Annotated[
    str | None, typer.Option(help="YAML file of items that may not be given now, and of items added, as of serve.")
]
Rules = Annotated[str | None, typer.Option(help="YAML file of the shop's rules, as of serve.")]
NotRepeatedFrom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER", help="Earlier lists or a campaign, whose items are not given again; may be repeated."
    ),
]
PerPart = Annotated[int, typer.Option(help="Users of each file; a killed command loses the parts in work.")]
Processes = Annotated[int, typer.Option(help="Processes, each with the bundle in memory; 0: one a core.")]
Engine = Annotated[Literal["local", "spark"], typer.Option(help="Who works: this machine, or Spark's executors.")]
SparkRemote = Annotated[
    str | None, typer.Option(help="Spark Connect address (sc://host:port); none starts a local Spark.")
]


def recommend_all(
    output: Output,
    run: Run = None,
    bundle: MaybeBundle = None,
    prepared: MaybePrepared = None,
    interactions: MaybeInteractions = None,
    users: Users = None,
    k: one.Count = 10,
    only: one.Only = None,
    any_of: AnyOf = None,
    without: one.Without = None,
    between: one.Between = None,
    exclude: one.Exclude = None,
    max_per: one.MaxPer = None,
    diversity: one.Diversity = 0.0,
    diversity_by: one.DiversityBy = "mmr",
    diversity_on: one.DiversityOn = None,
    fold: one.Fold = False,
    context: one.Context = None,
    explain: one.Explain = True,
    availability: Availability = None,
    rules: Rules = None,
    not_repeated_from: NotRepeatedFrom = None,
    users_per_part: PerPart = 5000,
    processes: Processes = 0,
    engine: Engine = "local",
    spark_remote: SparkRemote = None,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Recommend to every user, with a history or without.

    Users are those of a run, of a Prepared data set, or of tables, which are read with the settings of the training. A killed command
    goes on where it was when it is given again.
    """
    begin_stage(output)
    from longtail.components.recommend.recommend import recommend

    which = {"exclude": one.id_list(exclude), "max_per": one.by_name("--max-per", map(one.limit, max_per or ()))}
    shape = {"diversity": diversity, "diversity_by": diversity_by, "diversity_on": diversity_on, "fold": fold}
    files = {"availability": availability, "rules": rules, "not_repeated_from": not_repeated_from or ()}
    who = {"users_per_part": users_per_part, "processes": processes, "engine": engine, "spark_remote": spark_remote}
    filters = _filters(only, any_of, without, between)
    said = {"k": k, "filters": filters, "context": context or (), "explain": explain}
    given = _settings(**said, **which, **shape, **files, **who)
    model, data = _places(run, bundle, prepared)
    histories = _histories(model, data, interactions, users, (config, overrides, format))
    _tell(output, recommend(model, histories, output, given))


def similar_items(
    output: Output,
    run: Annotated[Path | None, typer.Option(help="Folder of a run's results, which hold its bundle.")] = None,
    bundle: MaybeBundle = None,
    k: one.Count = 10,
    only: one.Only = None,
    any_of: AnyOf = None,
    without: one.Without = None,
    between: one.Between = None,
    exclude: one.Exclude = None,
    max_per: one.MaxPer = None,
    diversity: one.Diversity = 0.0,
    diversity_by: one.DiversityBy = "mmr",
    diversity_on: one.DiversityOn = None,
    fold: one.Fold = False,
    explain: one.Explain = True,
    availability: Availability = None,
    rules: Rules = None,
    items_per_part: Annotated[int, typer.Option(help="Items of each file, as --users-per-part.")] = 5000,
    processes: Processes = 0,
    engine: Engine = "local",
    spark_remote: SparkRemote = None,
) -> None:
    """Write the items like each item, for product pages.

    They are those that the server answers for similar_to. A killed command goes on where it was when it is given again.
    """
    begin_stage(output)
    from longtail.components.recommend.similar import similar_items as stage

    which = {"exclude": one.id_list(exclude), "max_per": one.by_name("--max-per", map(one.limit, max_per or ()))}
    shape = {"diversity": diversity, "diversity_by": diversity_by, "diversity_on": diversity_on, "fold": fold}
    who = {"users_per_part": items_per_part, "processes": processes, "engine": engine, "spark_remote": spark_remote}
    said = {"k": k, "filters": _filters(only, any_of, without, between), "explain": explain}
    given = _settings(**said, **which, **shape, **who, availability=availability, rules=rules)
    _tell(output, stage(one.bundle_of(run, bundle), output, given))


def reach(
    output: Output,
    items: Annotated[str, typer.Option(help="Item ids with commas between, each of the catalogue or added.")],
    limit: Annotated[int, typer.Option(help="Users an item at most.")] = 1000,
    run: Run = None,
    bundle: MaybeBundle = None,
    prepared: MaybePrepared = None,
    interactions: MaybeInteractions = None,
    users: Users = None,
    only: one.Only = None,
    any_of: AnyOf = None,
    without: one.Without = None,
    between: one.Between = None,
    exclude: one.Exclude = None,
    context: one.Context = None,
    explain: one.Explain = True,
    availability: Availability = None,
    rules: Rules = None,
    not_repeated_from: NotRepeatedFrom = None,
    users_per_part: PerPart = 5000,
    processes: Processes = 0,
    engine: Engine = "local",
    spark_remote: SparkRemote = None,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Find whom to tell of an item: the users whom it would reach.

    For each item the users in whose lists it would stand best. Filters say among which items it stands. A new product is described
    below the key added of --availability. A killed command goes on where it was when it is given again.
    """
    begin_stage(output)
    from longtail.components.recommend.reach import reach as stage

    which = {"filters": _filters(only, any_of, without, between), "exclude": one.id_list(exclude)}
    files = {"availability": availability, "rules": rules, "not_repeated_from": not_repeated_from or ()}
    who = {"users_per_part": users_per_part, "processes": processes, "engine": engine, "spark_remote": spark_remote}
    given = _settings(**which, **files, **who, context=context or (), explain=explain)
    model, data = _places(run, bundle, prepared)
    histories = _histories(model, data, interactions, users, (config, overrides, format))
    _tell(output, stage(model, histories, one.id_list(items), output, given, limit))


def _settings(**given: Any) -> "RecommendSettings":
    from longtail.components.recommend.settings import RecommendSettings
    from longtail.contracts.settings_base import parse

    return parse(RecommendSettings, given, "command line")


def _filters(
    only: list[str] | None, any_of: list[str] | None, without: list[str] | None, between: list[str] | None
) -> dict[str, Any]:
    ranges = one.by_name("--between", map(one.number_range, between or ()))
    return {"all": only or (), "any": any_of or (), "none": without or (), "ranges": ranges}


def _places(run: Path | None, bundle: Path | None, prepared: Path | None) -> tuple[Path, Path | None]:
    """Of the bundle and of the Prepared data set, where one is given."""
    if run is not None and bundle is None and prepared is None:
        return results_of(run) / "bundle", results_of(run) / "prepared"
    if run is not None or bundle is None:
        raise UserError("give --run, or --bundle with --prepared, --interactions or --users")
    return bundle, prepared


def _histories(
    bundle: Path,
    prepared: Path | None,
    interactions: str | None,
    users: str | None,
    reading: tuple[Path | None, list[str] | None, str | None],
) -> "Histories":
    """Of everybody. reading: --config, --set and --format."""
    from longtail.contracts.histories import Histories

    if prepared is not None:
        if interactions is not None or users is not None or any(reading):
            raise UserError(
                "--prepared (or --run) holds users and their histories already; give it without --interactions, --users, --config, "
                "--set and --format"
            )
        from longtail.contracts.prepared import PreparedDataset

        return Histories.of(PreparedDataset(prepared))
    if interactions is None and users is None:
        raise UserError("nobody to recommend to: give --run, --prepared, --interactions or --users")
    from longtail.components.preprocess.later_histories import read_histories
    from longtail.scoring.bundle import load_bundle

    loaded = load_bundle(bundle)
    return read_histories(interactions, users, loaded.item_ids, as_in_training(loaded, *reading), time.time())


def _tell(output: Path, facts: dict[str, Any]) -> None:
    said = {name: count for name, count in facts["counts"].items() if name not in ("asked", "rows")}
    said |= {f"rows left out: {reason}": count for reason, count in facts.get("left_out_rows", {}).items()}
    if "users_not_given_again" in facts:
        said["users not given again what they had"] = facts["users_not_given_again"]
    typer.echo(f"Wrote {facts['counts']['rows']:,} rows to {output}, of {facts['counts']['asked']:,} asked")
    for what, count in said.items():
        typer.echo(f"  {what}: {count:,}")
