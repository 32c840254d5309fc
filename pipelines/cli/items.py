"""`longtail compress` and `longtail add-items`: a new bundle from a bundle, without training."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.pipelines.cli.options import (
    Bundle,
    Config,
    Format,
    Items,
    Output,
    Prepared,
    Set,
    read_settings,
)
from longtail.pipelines.outputs import check_output
from longtail.system.preflight import set_threads


def add_to(app: typer.Typer) -> None:
    app.command()(compress)
    app.command("add-items")(add_items)


def compress(
    bundle: Bundle,
    prepared: Prepared,
    output: Output,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Make a bundle smaller by distill.compression.int8_items and the like, and print what that costs on the validation targets."""
    settings = read_settings(config, overrides)
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
    bundle: Bundle,
    items: Items,
    output: Annotated[Path | None, typer.Option(help="Folder to write; the bundle itself where left out.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Items of the catalogue come in anew, too, by their text alone.")
    ] = False,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Add new items to a bundle by their text, without training; a running server must load it again."""
    settings = read_settings(config, overrides, format).preprocess
    if output is not None:
        check_output(output)
    set_threads()
    from longtail.components.preprocess.later_items import read_new_items
    from longtail.neighbours.new_items import add_items as add

    target = output or bundle
    added = add(bundle, read_new_items(items, settings), target, replace)
    known = f", replaced {added.replaced:,}" if replace else f"; {added.unchanged:,} were there already, unchanged"
    typer.echo(f"Added {added.new:,} items{known}. Wrote {target}")
