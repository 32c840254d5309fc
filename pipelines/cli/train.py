"""One subcommand a stage: the plain functions that the pipeline's components call."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from longtail.pipelines.cli.options import (
    Bundle,
    Champion,
    Config,
    Evaluation,
    Format,
    Interactions,
    Items,
    Output,
    Prepared,
    Set,
    Teacher,
    Users,
    read_settings,
)
from longtail.pipelines.outputs import check_output
from longtail.system.preflight import set_threads


def add_to(app: typer.Typer) -> None:
    for stage in (preprocess, finetune, distill, evaluate, deploy):
        app.command()(stage)


def _begin(output: Path) -> None:
    """Check the output; threads before numeric libraries are loaded; a stage's own log lines go to the terminal."""
    check_output(output)
    set_threads()
    logging.getLogger("longtail").setLevel(logging.INFO)


def preprocess(
    interactions: Interactions,
    items: Items,
    output: Output,
    users: Users = None,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Stage 1: check, clean and split the tables."""
    settings = read_settings(config, overrides, format).preprocess
    _begin(output)
    from longtail.components.preprocess.prepare import prepare

    prepare(interactions, items, users, output, settings)
    typer.echo(f"Wrote {output}")


def finetune(
    prepared: Prepared,
    output: Output,
    config: Config = None,
    overrides: Set = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder from which a killed run resumes; beside the output where left out.")
    ] = None,
) -> None:
    """Stage 2: adapt the language model and train the teacher."""
    settings = read_settings(config, overrides)
    _begin(output)
    from longtail.components.finetune.finetune import finetune as stage

    stage(prepared, output, settings.finetune, settings.seed, checkpoints)
    typer.echo(f"Wrote {output}")


def distill(prepared: Prepared, teacher: Teacher, output: Output, config: Config = None, overrides: Set = None) -> None:
    """Stage 3: train the student on labels and on the teacher's scores."""
    settings = read_settings(config, overrides)
    _begin(output)
    from longtail.components.distill.distill import distill as stage

    stage(prepared, teacher, output, settings.distill, settings.seed)
    typer.echo(f"Wrote {output}")


def evaluate(
    prepared: Prepared,
    teacher: Teacher,
    bundle: Bundle,
    output: Output,
    champion: Champion = None,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Stage 4: measure the student per segment, against baselines and champion; says whether the gate passed."""
    settings = read_settings(config, overrides)
    _begin(output)
    from longtail.components.evaluate.evaluate import evaluate as stage

    passed = stage(prepared, teacher, bundle, output, settings.evaluate, settings.seed, champion)
    typer.echo(f"Wrote {output}; the gate {'passed' if passed else 'did not pass'}")


def deploy(
    bundle: Bundle,
    evaluation: Evaluation,
    output: Output,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Stage 5: write the InferenceService, and compare what is served with what was evaluated."""
    settings = read_settings(config, overrides).deploy
    _begin(output)
    from longtail.components.deploy.deploy import deploy as stage

    stage(str(bundle), str(evaluation), str(output), settings)
    typer.echo(f"Wrote {output}")
