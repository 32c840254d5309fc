"""Where a newcomer starts: demo, run, report."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.contracts.artifacts import results_of
from longtail.contracts.decision import load_decision
from longtail.contracts.errors import GATE_EXIT_CODE
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
from longtail.pipelines.cli.results import read_evaluation


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
