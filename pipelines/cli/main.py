"""The command `longtail`. Heavy imports lie inside the commands, so that --help is quick."""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.pipelines.cli import cluster, items, serving, start, train, tune_command
from longtail.pipelines.cli.options import (
    Bundle,
    Champion,
    Config,
    Format,
    Interactions,
    Items,
    Set,
    Users,
    read_settings,
)
from longtail.pipelines.kubeflow.follow import RunFailed
from longtail.pipelines.local.runner import StageFailed

app = typer.Typer(
    help="From interaction logs to a served recommender for users with almost no history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def run(
    interactions: Interactions,
    items: Items,
    users: Users = None,
    config: Config = None,
    overrides: Set = None,
    out: Annotated[Path, typer.Option(help="Folder of the results; a rerun reuses what has not changed.")] = Path(
        "runs/latest"
    ),
    format: Format = None,
    champion: Champion = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Run the stages in containers of this image; `make images` builds and names it.", show_default=False
        ),
    ] = None,
) -> None:
    """Run the whole pipeline here: two tables in, an evaluated and deployable recommender out."""
    from longtail.pipelines.local.run import RunInputs, run_local
    from longtail.system.preflight import check_machine, set_threads

    settings = read_settings(config, overrides, format)
    check_machine(out, disk_gb=1.0, memory_gb=1.5)
    set_threads()
    run_local(RunInputs(interactions, items, users, settings, out, champion, image))
    report(out)
    typer.echo(
        f"\nNext:\n  longtail recommend --run {out} --user ID\n  longtail serve --bundle {out / 'bundle'}"
        f"\n  longtail report --run {out} --open"
    )


@app.command()
def report(
    run: Annotated[Path, typer.Option(help="Folder of a run's results.")] = Path("runs/latest"),
    show: Annotated[bool, typer.Option("--open", help="Open the report in the browser too.")] = False,
) -> None:
    """Print a run's table, the student against the baselines for each segment of users, and the report's path."""
    from longtail.components.evaluate.summary import segment_table

    evaluation = read_evaluation(run)
    page = (run / "report.html").absolute()
    typer.echo(f"\n{segment_table(evaluation)}\n\nReport: {page}")
    if not evaluation["gate"]["passed"]:
        typer.echo("Not deployed: the gate did not pass, for the reasons above.")
    if show:
        import webbrowser

        webbrowser.open(page.as_uri())


def read_evaluation(run: Path) -> dict[str, Any]:
    """A run's evaluation.json.

    Raises:
        UserError: the folder holds none.
    """
    import json

    path = run / "evaluation.json"
    try:
        evaluation: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        raise UserError(f"{path}: no such file; name the folder of a finished run with --run") from None
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); run the pipeline again") from None
    return evaluation


@app.command()
def serve(
    bundle: Bundle,
    name: Annotated[str, typer.Option(help="Name of the model in addresses.")] = "longtail",
    http_port: Annotated[int, typer.Option(help="Port of V1 and V2 over HTTP; 0 chooses a free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(help="Port of V2 over gRPC; 0 chooses a free one.")] = 0,
) -> None:
    """Serve a bundle with KServe's model server until stopped (Ctrl+C)."""
    import os

    options = ["--bundle", str(bundle), "--name", name, "--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "longtail.components.predict.server", *options])  # noqa: S606


@app.command("demo-data")
def demo_data(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another shop.")] = 0,
) -> None:
    """Write the demo shop's tables: interactions, items, users, and the truth behind them."""
    from longtail.synthetic.shop import generate_shop, write_shop
    from longtail.system.preflight import check_machine

    check_machine(out, disk_gb=0.1, memory_gb=0.2)
    shop = generate_shop(seed)
    write_shop(shop, out)
    typer.echo(
        f"Wrote {shop.interactions.num_rows:,} interactions of {shop.users.num_rows:,} users "
        f"with {shop.items.num_rows:,} items to {out}"
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo's data and results.")] = Path("demo"),
    overrides: Set = None,
) -> None:
    """See all of it in a few minutes: a demo shop through the pipeline, then recommendations from the real server."""
    from longtail.pipelines.cli.demo import run_demo

    run_demo(out, overrides or [])


cluster.add_to(app)
items.add_to(app)
start.add_to(app)
serving.add_to(app)
train.add_to(app)
tune_command.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's fault ends it with one line and exit code 2, a failed stage or run with 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that a run's processes are ended too
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(arguments)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(EXIT_CODE)
    except (StageFailed, RunFailed) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "longtail").partition(".")[0] == "longtail":
            raise
        typer.echo(f"error: the package {error.name} is missing; install longtail[pipeline,serving]", err=True)
        sys.exit(EXIT_CODE)
