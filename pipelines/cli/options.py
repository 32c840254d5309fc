"""Options that several commands share, and what these do first."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.contracts.errors import UserError
from longtail.pipelines.outputs import check_output
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.system.preflight import set_threads

if TYPE_CHECKING:
    from longtail.components.preprocess.settings import PreprocessSettings
    from longtail.scoring.bundle import Bundle as StudentBundle


def at_hand(context: typer.Context, given: str | None) -> Path | None:
    """The folder; of an address a copy on this disk, for as long as the command runs."""
    if given is None or "://" not in given:
        return None if given is None else Path(given)
    from longtail.tables.sources import fetch_folder

    scratch = tempfile.TemporaryDirectory(prefix="longtail-fetched-")
    context.call_on_close(scratch.cleanup)
    return fetch_folder(given, Path(scratch.name))


def _reason(given: str | None) -> str | None:
    if given is not None and not given.strip():
        raise UserError("--override: says no reason; give one, which is kept beside what it lets pass")
    return given


def _artifact(help: str) -> Any:
    return typer.Option(parser=str, callback=at_hand, metavar="FOLDER|ADDRESS", help=help)


Interactions = Annotated[
    str,
    typer.Option(help="Interactions: Parquet, CSV(.gz) or JSON Lines; a path, folder, glob, s3://, gs:// or pvc://."),
]
MaybeInteractions = Annotated[
    str | None,
    typer.Option(
        "--interactions",
        help="Interactions: Parquet, CSV(.gz) or JSON Lines; a path, folder, glob, s3://, gs:// or pvc://. A shop that has none yet "
        "leaves this out.",
        show_default=False,
    ),
]
Items = Annotated[str, typer.Option(help="Items: item_id, and title, attributes or description.")]
Users = Annotated[str | None, typer.Option(help="Users: user_id and attributes.", show_default=False)]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="One setting, over the file's; may be repeated."),
]
Format = Annotated[
    str | None, typer.Option(help="Layout of the input: longtail, movielens or amazon-2023.", show_default=False)
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of everything random, over that of the settings.", show_default=False)
]
Checkpoints = Annotated[
    Path | None, typer.Option(help="Folder from which a killed run resumes; beside the output where left out.")
]
Champion = Annotated[
    str | None,
    typer.Option(
        help="Bundle in service now, which the gate compares the student with: a bundle or run folder, an s3://, gs:// or "
        "pvc:// address of a bundle or registry, or registry:ADDRESS (which may be without a champion yet). Where left out, run, submit "
        "and schedule take that of deploy.registry_uri. The gate of a run's folder must have passed."
    ),
]
Override = Annotated[
    str | None,
    typer.Option(
        callback=_reason,
        metavar="REASON",
        help="Why to go on where the Decision says no, or is missing, of another bundle or against another champion.",
        show_default=False,
    ),
]
Incumbent = Annotated[
    str | None,
    typer.Option(
        help="Lists that your own system gives, to compare with: user_id, item_id and rank or score; Parquet, CSV(.gz) or JSON "
        "Lines. See docs/incumbent.md for the moment to export them at.",
        show_default=False,
    ),
]
Bundle = Annotated[Path, _artifact("A Student bundle, for example runs/latest/bundle.")]
Output = Annotated[Path, typer.Option(help="Folder to write; an earlier artifact there is replaced on success.")]
Prepared = Annotated[Path, _artifact("What preprocess wrote.")]
Teacher = Annotated[Path, _artifact("What finetune wrote.")]
Evaluation = Annotated[Path, _artifact("What evaluate wrote.")]


def read_settings(
    config: Path | None, overrides: Sequence[str] | None, layout: str | None = None, seed: int | None = None
) -> RunSettings:
    """Settings of file and --set, with --format and --seed on top."""
    above = {"preprocess.format": layout, "seed": seed}
    return load_settings(
        config, [*(overrides or []), *(f"{key}={value}" for key, value in above.items() if value is not None)]
    )


def as_in_training(
    bundle: "StudentBundle", config: Path | None, overrides: Sequence[str] | None, layout: str | None
) -> "PreprocessSettings":
    """How tables are read for a bundle: as in its training, which the bundle keeps, or as ``config`` says, under --set and --format."""
    given = list(overrides or [])
    if config is None:
        known = bundle.facts.get("preprocess", {})
        if "event_weights" in known:
            raise UserError(
                f"{bundle.path}: is of an earlier version, whose settings of preprocess had event_weights; train it again with "
                "this version (longtail run), or give --config with preprocess.events"
            )
        given.insert(0, f"preprocess={json.dumps(known)}")
    return read_settings(config, given, layout).preprocess


def begin_stage(output: Path) -> None:
    """Check the output; threads before numeric libraries are loaded; a stage's own log lines go to the terminal."""
    check_output(output)
    set_threads()
    logging.getLogger("longtail").setLevel(logging.INFO)
