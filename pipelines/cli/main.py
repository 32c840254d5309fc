"""The command `longtail`. Heavy imports lie inside the commands, so that --help is quick."""

import logging
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from longtail import __version__
from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.pipelines.cli import campaigning, cluster, everybody, policies, recommending, serving, start, train
from longtail.pipelines.kubeflow.follow import RunFailed
from longtail.pipelines.local.runner import StageFailed

GROUPS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Start here": {
        "demo": start.demo,
        "run": start.run,
        "report": start.report,
        "recommend": recommending.recommend,
    },
    "Lists for everybody": {
        "recommend-all": everybody.recommend_all,
        "similar-items": everybody.similar_items,
        "reach": everybody.reach,
    },
    "Data and training": {
        "demo-data": train.demo_data,
        "preprocess": train.preprocess,
        "finetune": train.finetune,
        "distill": train.distill,
        "evaluate": train.evaluate,
        "tune": train.tune,
        "compress": train.compress,
        "add-items": train.add_items,
    },
    "Serving": {
        "serve": serving.serve,
        "token": serving.token,
        "refresh": serving.refresh,
        "deploy": serving.deploy,
        "status": serving.status,
        "promote": serving.promote,
        "rollback": serving.rollback,
    },
    "Campaigns and policies": {
        "campaign": campaigning.app,
        "policy": policies.app,
    },
    "Cluster": {
        "compile": cluster.compile_,
        "submit": cluster.submit,
        "follow": cluster.follow,
        "schedule": cluster.schedule,
        "schedules": cluster.schedules,
        "unschedule": cluster.unschedule,
    },
}


class Grouped(TyperGroup):
    """Lists the commands under the headings of GROUPS, each by the first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for heading, names in GROUPS.items():
            with formatter.section(heading):
                # a limit beyond the width: a line that is too long is wrapped, not cut
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(1000)) for name in names]
                )


app = typer.Typer(
    cls=Grouped,
    help="From interaction logs to a served recommender for users with almost no history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _commands in GROUPS.values():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):  # with commands of its own
            app.add_typer(_command, name=_name)
        else:
            app.command(_name)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"longtail {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None: ...


def _with_home(word: str) -> str:
    """``~`` in ``--output=~/x`` and ``--set a.b=~/x``, where no shell expands it: the home folder."""
    return re.sub(r"^((?:[\w.-]+=)*)~(?=/)", lambda found: found[1] + str(Path.home()), word)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's fault ends it with one line and exit code 2, a failed stage or run with 1, a gate that did not pass
    with 3.

    SIGTERM ends it and what it started. So does SIGINT, unless it was started with SIGINT ignored, as shells start the
    background jobs of scripts: it stays ignored then, so that Ctrl+C on the script does not end what was put aside.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that a run's processes are ended too
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app([_with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)])
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
