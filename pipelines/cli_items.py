"""`longtail compress` and `longtail add-items`: a new bundle from a bundle, without training."""

import typer

from longtail.contracts.preflight import set_threads
from longtail.pipelines.options import Bundle, Config, Output, Prepared, Set, check_output, read_settings


def add_to(app: typer.Typer) -> None:
    app.command()(compress)


def compress(
    bundle: Bundle,
    prepared: Prepared,
    output: Output,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Make a bundle smaller by distill.int8_items and the like, and print what that costs on the validation targets."""
    settings = read_settings(config, overrides)
    check_output(output)
    set_threads()
    from longtail.contracts.prepared import PreparedDataset
    from longtail.modeling.compression import compress as make_smaller
    from longtail.modeling.compression import table

    loss = make_smaller(bundle, output, settings.distill, PreparedDataset(prepared), settings.seed)
    typer.echo(f"Validation NDCG@10 by items of the history that are shown:\n{table(loss)}")
    before, after = (sum(file.stat().st_size for file in folder.iterdir()) / 1e6 for folder in (bundle, output))
    typer.echo(f"Wrote {output}: {after:.1f} MB instead of {before:.1f} MB")
