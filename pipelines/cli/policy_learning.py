"""`longtail policy learn`: a policy from a log of shown lists, written only where the log shows that it is better."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.contracts.errors import GATE_EXIT_CODE, UserError, about
from longtail.pipelines.cli.options import Bundle, begin_stage
from longtail.policies.settings import GradientSettings, LearningSettings, Method

if TYPE_CHECKING:
    from longtail.policies.shown_lists import Outcomes
    from longtail.scoring.asked import Asked
    from longtail.scoring.bundle import Bundle as LoadedBundle


def learn(
    bundle: Bundle,
    log: Annotated[
        str,
        typer.Option(
            "--log",
            help="JSON Lines of shown lists: user_id, timestamp, instance and prediction, as the server had them.",
        ),
    ],
    outcomes: Annotated[
        str, typer.Option(help="What users chose: user_id, item_id, timestamp; a table as --interactions of run.")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder of the new bundle; written only where the policy is shown to be better.")
    ],
    method: Annotated[Method, typer.Option(help="What learns.")] = "thompson",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of learning (docs/policies-learning.md); may be repeated."
        ),
    ] = None,
) -> None:
    """Learn a policy from lists that were shown with explore.

    It is judged on users that it did not learn from. Ends with 3, and writes nothing, where it is not shown to be better than the
    log's.
    """
    general, of_gradient = _settings(method, settings or [])
    begin_stage(output)
    from longtail.policies.learning import learn_policy, report, write_policy
    from longtail.policies.shown_lists import read_lists, with_rewards
    from longtail.scoring.bundle import load_bundle

    loaded = load_bundle(bundle)
    lists, left_out = read_lists(log, _question)
    with about("--outcomes"):
        rewarded, too_new = with_rewards(lists, _outcomes(loaded, outcomes), general.window_hours)
    judged, learned = learn_policy(loaded, rewarded, method, general, of_gradient)
    if judged.kept:
        used = general.model_dump() | (of_gradient.model_dump() if method == "policy-gradient" else {})
        write_policy(loaded, judged, learned, output, used)
    typer.echo(report(judged, left_out + too_new, output))
    if not judged.kept:
        raise typer.Exit(GATE_EXIT_CODE)


def _settings(method: Method, given: list[str]) -> tuple[LearningSettings, GradientSettings]:
    from longtail.contracts.settings_base import parse

    values: dict[str, Any] = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign:
            raise UserError(f"--set {one}: give KEY=VALUE")
        values[key] = _value(value)
    own = {key: value for key, value in values.items() if key in GradientSettings.model_fields}
    if own and method != "policy-gradient":
        raise UserError(
            f"--set {next(iter(own))}: acts with --method policy-gradient alone, and it is {method}; take it out"
        )
    others = {key: value for key, value in values.items() if key not in own}
    return parse(LearningSettings, others, "--set"), parse(GradientSettings, own, "--set")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _question(instance: Mapping[str, Any]) -> "Asked":
    from pydantic import ValidationError

    from longtail.components.predict.request import Instance, explain

    try:
        return Instance.model_validate(instance).asked()
    except ValidationError as error:
        raise ValueError(explain("instance", error.errors()[0]).removeprefix("instance").lstrip(". ")) from None


def _outcomes(bundle: "LoadedBundle", uri: str) -> "Outcomes":
    """Read with the settings of the training, which the bundle keeps; every choice counts, not only the first of an item."""
    from longtail.components.preprocess.later_events import read_events
    from longtail.components.preprocess.settings import PreprocessSettings
    from longtail.contracts.settings_base import parse
    from longtail.policies.shown_lists import Outcomes

    known = parse(PreprocessSettings, bundle.facts.get("preprocess", {}), f"settings of preprocess in {bundle.path}")
    here = {"repeats": "keep", "latest_timestamp": None, "min_item_count": 0, "exposures": None}
    settings = known.model_copy(update=here)
    with tempfile.TemporaryDirectory(prefix="longtail-outcomes-") as folder:
        data = read_events(uri, bundle.item_ids, settings, Path(folder))
        users = [data.user_ids[user] for user in data.user_codes]
        items = [data.item_ids[item] for item in data.item_codes]
    return Outcomes(users, items, data.timestamps)
