"""Commands that make data, models and bundles: the stages' plain functions, and what is done without the pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.contracts.errors import GATE_EXIT_CODE, UserError, about
from longtail.contracts.folders import check_new_file, make_folder
from longtail.pipelines.cli.options import (
    Bundle,
    Champion,
    Checkpoints,
    Config,
    Format,
    Incumbent,
    Items,
    MaybeInteractions,
    Output,
    Override,
    Prepared,
    Seed,
    Set,
    Teacher,
    Users,
    at_hand,
    begin_stage,
    read_settings,
)
from longtail.pipelines.outputs import check_output
from longtail.system.places import readable
from longtail.system.preflight import check_machine, set_threads


def demo_data(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another shop.")] = 0,
) -> None:
    """Write the tables of the demo shop.

    Interactions, items, users, and the truth behind them.
    """
    from longtail.synthetic.shop import generate_shop, write_shop

    check_machine(out, disk_gb=0.1, memory_gb=0.2)
    with about("--out"):
        make_folder(out)
    shop = generate_shop(seed)
    write_shop(shop, out)
    typer.echo(
        f"Wrote {shop.interactions.num_rows:,} interactions of {shop.users.num_rows:,} users "
        f"with {shop.items.num_rows:,} items to {out}"
    )


def preprocess(
    items: Items,
    output: Output,
    interactions: MaybeInteractions = None,
    users: Users = None,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Stage 1: check, clean and split the tables."""
    settings = read_settings(config, overrides, format).preprocess
    begin_stage(output)
    from longtail.components.preprocess.prepare import prepare

    prepare(interactions, items, users, output, settings)
    typer.echo(f"Wrote {output}")


def finetune(
    prepared: Prepared,
    output: Output,
    config: Config = None,
    overrides: Set = None,
    checkpoints: Checkpoints = None,
    seed: Seed = None,
) -> None:
    """Stage 2: adapt the language model and train the teacher."""
    settings = read_settings(config, overrides, seed=seed)
    begin_stage(output)
    from longtail.components.finetune.finetune import finetune as stage

    stage(prepared, output, settings.finetune, settings.seed, checkpoints)
    typer.echo(f"Wrote {output}")


def distill(
    prepared: Prepared,
    teacher: Teacher,
    output: Output,
    config: Config = None,
    overrides: Set = None,
    checkpoints: Checkpoints = None,
    seed: Seed = None,
) -> None:
    """Stage 3: train the student on labels and a teacher's scores."""
    settings = read_settings(config, overrides, seed=seed)
    begin_stage(output)
    from longtail.components.distill.distill import distill as stage

    stage(prepared, teacher, output, settings.distill, settings.seed, checkpoints)
    typer.echo(f"Wrote {output}")


def evaluate(
    prepared: Prepared,
    teacher: Teacher,
    bundle: Bundle,
    output: Output,
    champion: Champion = None,
    incumbent: Incumbent = None,
    override: Override = None,
    config: Config = None,
    overrides: Set = None,
    seed: Seed = None,
) -> None:
    """Stage 4: measure the student per segment, and decide.

    It is compared with baselines, champion and the lists of your own system; the last line says whether the gate passed. Ends with 3
    where it did not.
    """
    settings = read_settings(config, overrides, seed=seed)
    begin_stage(output)
    from longtail.components.evaluate.evaluate import evaluate as stage
    from longtail.components.evaluate.systems import Rivals
    from longtail.registry.champion import bundle_of_run

    rivals = Rivals(bundle_of_run(champion, override) if champion else None, incumbent)
    passed = stage(prepared, teacher, bundle, output, settings.evaluate, settings.seed, rivals)
    typer.echo(f"Wrote {output}; the gate {'passed' if passed else 'did not pass'}")
    if not passed:
        raise typer.Exit(GATE_EXIT_CODE)


def tune(
    space: Annotated[Path, typer.Option(help="YAML file: setting -> {low, high, log, step} or {choices: [...]}.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials of the study, earlier ones included.")],
    study: Annotated[Path, typer.Option(help="File of the trials; a study that is there goes on.")],
    output: Annotated[Path, typer.Option(help="Settings file to write: the best trial's.")],
    prepared: Annotated[Path | None, typer.Option(help="Folder that preprocess wrote.")] = None,
    interactions: Annotated[str | None, typer.Option(help="Instead of --prepared: the tables.")] = None,
    items: Annotated[str | None, typer.Option(help="Items, with --interactions.")] = None,
    users: Users = None,
    config: Config = None,
    overrides: Set = None,
    seed: Seed = None,
) -> None:
    """Search settings for the best student on validation.

    Settings of finetune and distill; the test targets are not read.
    """
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("tune: the package optuna is missing; install it: pip install 'longtail[tune]'") from None
    base = read_settings(config, overrides, seed=seed)
    _check_files(study, output, config, space)
    check_machine(study.absolute().parent, disk_gb=1.0, memory_gb=1.5)
    set_threads()
    from longtail.pipelines.tuning.search_space import read_space
    from longtail.pipelines.tuning.tune import Tuning
    from longtail.pipelines.tuning.tune import tune as search

    read_space(space, base)  # before any table is read
    tables = interactions is not None and items is not None
    if tables == (prepared is not None) or (prepared is not None and (interactions or items or users)):
        raise UserError("tune: give either --prepared, or --interactions and --items (and --users)")
    if prepared is None:
        from longtail.components.preprocess.prepare import prepare

        prepared = study.with_name(f"{study.name}.work") / "prepared"
        prepare(str(interactions), str(items), users, prepared, base.preprocess)
    search(Tuning(prepared, space, trials, study, output, base))
    typer.echo(f"\nWrote {output}; use it: longtail run --config {output} …")


def compress(
    bundle: Bundle,
    prepared: Prepared,
    output: Output,
    config: Config = None,
    overrides: Set = None,
    seed: Seed = None,
) -> None:
    """Make a bundle smaller, and print what that costs.

    By distill.compression.int8_items and the like; the cost is that on the validation targets.
    """
    settings = read_settings(config, overrides, seed=seed)
    check_output(output)
    set_threads()
    from longtail.contracts.prepared import PreparedDataset
    from longtail.scoring.compression_loss import compress as make_smaller
    from longtail.scoring.compression_loss import table

    loss = make_smaller(bundle, output, settings.distill.compression, PreparedDataset(prepared), settings.seed)
    typer.echo(f"Validation NDCG@10 by items of the history that are shown:\n{table(loss)}")
    before, after = (sum(file.stat().st_size for file in folder.iterdir()) / 1e6 for folder in (bundle, output))
    typer.echo(f"Wrote {output}: {after:.1f} MB instead of {before:.1f} MB")


def add_items(
    context: typer.Context,
    bundle: Annotated[str, typer.Option(metavar="FOLDER|ADDRESS", help="A Student bundle; of an address, a copy.")],
    items: Items,
    output: Annotated[Path | None, typer.Option(help="Folder to write; the bundle itself where left out.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Items of the catalogue come in anew, too, by their text alone.")
    ] = False,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Add new items to a bundle by their text, without training.

    A running server must load it again.
    """
    settings = read_settings(config, overrides, format).preprocess
    if output is None and "://" in readable(bundle):
        raise UserError(f"--bundle {bundle}: is an address, where nothing is written; name a folder with --output")
    if output is not None:
        check_output(output)
    folder = at_hand(context, bundle)
    assert folder is not None
    set_threads()
    from longtail.components.preprocess.later_items import read_new_items
    from longtail.neighbours.new_items import add_items as add

    target = output or folder
    added = add(folder, read_new_items(items, settings), target, replace)
    known = f", replaced {added.replaced:,}" if replace else f"; {added.unchanged:,} were there already, unchanged"
    typer.echo(f"Added {added.new:,} items{known}. Wrote {target}")


def _check_files(study: Path, output: Path, config: Path | None, space: Path) -> None:
    for option, path in (("--study", study), ("--output", output)):
        with about(option):
            check_new_file(path)
    if output.resolve() in {path.resolve() for path in (study, space, config) if path is not None}:
        raise UserError(f"--output {output}: would replace another file of this command; name another")
