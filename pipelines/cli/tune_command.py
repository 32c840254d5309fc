"""`longtail tune`: searches settings on validation and writes the best ones as a settings file."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.contracts.errors import UserError
from longtail.pipelines.cli.options import Config, Set, Users, read_settings


def add_to(app: typer.Typer) -> None:
    app.command()(tune)


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
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, over that of the settings.")] = None,
) -> None:
    """Search settings of finetune and distill for the best student on validation; the test targets are not read."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("tune: the package optuna is missing; install it: pip install 'longtail[tune]'") from None
    base = read_settings(config, [*(overrides or []), *([] if seed is None else [f"seed={seed}"])])
    _check_files(study, output, config, space)
    from longtail.system.preflight import check_machine, set_threads

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


def _check_files(study: Path, output: Path, config: Path | None, space: Path) -> None:
    for option, path in (("--study", study), ("--output", output)):
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UserError(f"{option} {path}: must be a file in an existing folder")
    if output.resolve() in {path.resolve() for path in (study, space, config) if path is not None}:
        raise UserError(f"--output {output}: would replace another file of this command; name another")
