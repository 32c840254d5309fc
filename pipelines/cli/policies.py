"""`longtail policy`: what another policy would be worth, from the log of a policy that knew its probabilities."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.contracts.artifacts import finite
from longtail.contracts.errors import UserError
from longtail.pipelines.cli.policy_learning import learn

if TYPE_CHECKING:
    from longtail.metrics.off_policy import Estimate
    from longtail.policies.evaluating import Evaluation
    from longtail.policies.logs import LogTable

app = typer.Typer(
    help="How good another policy would be, from the log of yours.", no_args_is_help=True, rich_markup_mode=None
)

Log = Annotated[
    str,
    typer.Option(
        help="What was shown: item_id, position, click (or reward), propensity_score, one row an item shown; Parquet, CSV(.gz) or JSON Lines."
    ),
]
Policy = Annotated[
    str,
    typer.Option(
        help="The policy: a table of item_id, probability and columns of the log by which it differs; lists (user_id, rank, item_id); or uniform."
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=NAME", help="Name of a column of the log (reward=order_value); may be repeated."),
]
ContextColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="COLUMN",
        help="What was known of a round, for the reward model (user_feature_*); may be repeated.",
    ),
]
Clip = Annotated[
    float | None, typer.Option(min=1.0, help="Cut weights to this; less variance, and a bias that is told.")
]
OfAnswers = Annotated[
    str | None,
    typer.Option(
        "--outcomes",
        help="Of kept answers: what users chose (user_id, item_id, timestamp), instead of a reward beside each item.",
        show_default=False,
    ),
]
Window = Annotated[float, typer.Option(min=0.001, help="In which an outcome counts, after its list was shown.")]
Confidence = Annotated[float, typer.Option(help="Of the intervals, below 1.")]
Seed = Annotated[int, typer.Option(help="Of resamplings and folds.")]
Output = Annotated[Path | None, typer.Option(help="Write JSON there.", show_default=False)]


def evaluate(
    log: Log,
    policy: Policy = "uniform",
    column: Column = None,
    context: ContextColumns = None,
    outcomes: OfAnswers = None,
    window_hours: Window = 24.0,
    clip: Clip = None,
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    output: Output = None,
) -> None:
    """Estimate the value of a policy from a log with propensities: several estimators, with intervals and checks."""
    from longtail.metrics.off_policy import Way
    from longtail.policies.answers import are_answers
    from longtail.policies.asked import UNIFORM, asked_of, read_policy, uniform
    from longtail.policies.evaluating import evaluate as evaluated
    from longtail.policies.logs import read_log
    from longtail.policies.slates import evaluate_slates

    if not 0.5 <= confidence < 1:
        raise UserError(f"--confidence {confidence:g}: must be from 0.5 to below 1; give for example 0.95")
    table = None if policy == UNIFORM else read_policy(policy)
    if are_answers(log):
        if column or context:
            raise UserError("--column and --context do nothing for a log of the server's answers; leave them out")
        read = _kept_answers(log, outcomes, window_hours)
    elif outcomes is not None:
        raise UserError("--outcomes does nothing for a table, which tells rewards; leave it out")
    else:
        read = read_log(log, _named(column or []), context or [], [] if table is None else list(table.keys))
    asked, read = (uniform(read), read) if table is None else asked_of(table, read)
    way = Way(clip=clip, confidence=confidence, seed=seed)
    found = evaluated(read.logged, asked, way) if read.slate is None else evaluate_slates(read, asked, way)
    typer.echo(report(found, "round" if read.slate is None else "list"))
    if output is not None:
        _write(
            output,
            {"log": log, "policy": policy, "columns": read.columns, "confidence": confidence, **as_document(found)},
        )


app.command("evaluate")(evaluate)
app.command("learn")(learn)


def _kept_answers(log: str, outcomes: str | None, window_hours: float) -> "LogTable":
    from longtail.pipelines.cli.policy_learning import rewarded_lists
    from longtail.policies.answers import read_answers, table_of

    if outcomes is None:
        return read_answers(log)
    lists, left_out = rewarded_lists(log, outcomes, window_hours, None, {})
    for why, count in left_out.items():
        typer.echo(f"{count} lists left out: {why}")
    return table_of(log, lists)


def _named(given: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in given]
    for word, (role, sign, name) in zip(given, pairs):
        if not (role and sign and name):
            raise UserError(f"--column {word}: is no ROLE=NAME; give for example reward=order_value")
    return {role: name for role, _, name in pairs}


def report(found: "Evaluation", unit: str = "round") -> str:
    """A table of estimators, and what speaks against them. unit: what a value is of"""
    head = f"{f'reward of a {unit}':<22}{'value':>10}{'interval':>24}{f'effective {unit}s':>18}{'clipped':>9}"
    lines = [head, _line("the log's own policy", found.logged)]
    lines += [_line(estimate.method + _parameter(estimate), estimate) for estimate in found.estimates]
    if found.gain is not None:
        lines.append(_gain(found.gain))
    lines += [f"{name}: left out, {why}" for name, why in found.left_out.items()]
    lines += [f"! {warning}" for warning in found.warnings]
    return "\n".join(lines)


def _gain(gain: "Estimate") -> str:
    verdict = "better" if gain.low > 0 else "worse" if gain.high < 0 else "unclear"
    bounds = f"{gain.low:+.5f} to {gain.high:+.5f}"
    return f"{'gain over the log':<22}{gain.value:>+10.5f}{bounds:>24}  by {gain.method}, paired: {verdict}"


def _line(name: str, estimate: "Estimate") -> str:
    bounds = f"{estimate.low:.5f} to {estimate.high:.5f}"
    return f"{name:<22}{estimate.value:>10.5f}{bounds:>24}{estimate.ess:>18,.0f}{estimate.clipped_share:>9.1%}"


def _parameter(estimate: "Estimate") -> str:
    return "" if estimate.parameter is None else f" ({estimate.parameter:.3g})"


def as_document(found: "Evaluation") -> dict[str, Any]:
    return {
        "logged": asdict(found.logged),
        "estimates": [asdict(estimate) for estimate in found.estimates],
        "gain_over_log": None if found.gain is None else asdict(found.gain),
        "left_out": found.left_out,
        "warnings": found.warnings,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    """Infinite and missing numbers are null: JSON has none."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(json.dumps(finite(document), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"--output {path}: cannot be written ({error.strerror}); give a place that can") from None
