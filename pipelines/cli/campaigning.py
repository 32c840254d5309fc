"""`longtail campaign plan | measure | simulate`: whom to contact with what, and what that changed."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longtail.contracts.errors import GATE_EXIT_CODE, UserError
from longtail.pipelines.cli.options import MaybeInteractions, Output, Users, at_hand, begin_stage
from longtail.pipelines.cli.simulating import simulate

if TYPE_CHECKING:
    from longtail.components.campaign.lists import Lists
    from longtail.components.campaign.settings import CampaignSettings
    from longtail.components.campaign.tables import Everybody

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="Plan campaigns with a proof, and measure what they changed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _table(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


def _folder(help: str) -> Any:
    return typer.Option(parser=str, callback=at_hand, metavar="FOLDER|ADDRESS", help=help, show_default=False)


Settings = Annotated[Path, typer.Option(help="YAML file of the campaign: offers, budget, hold_out and more.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One setting, over the file's; may be repeated.", show_default=False
    ),
]
AnyLists = Annotated[Path | None, _folder("Lists of longtail recommend-all, from which each user's items come.")]
Bundle = Annotated[Path | None, _folder("A Student bundle instead, asked for the chosen users alone.")]
Prepared = Annotated[Path | None, _folder("What preprocess wrote: users and events, instead of the tables.")]
Log = Annotated[
    list[str] | None,
    _table("Log of randomised contacts, user_id, treatment, time, outcome (value, cost, propensity); may be repeated."),
]
Consent = Annotated[str | None, _table("Table user_id, channel of those who agreed; who is missing is not contacted.")]
Stopped = Annotated[str | None, _table("Table user_id of those who are never contacted.")]
Contacts = Annotated[str | None, _table("Log of all contacts, user_id and time, for the setting cap.")]
Key = Annotated[
    str | None, _table("File of a secret key: users are written as pseudonyms, the HMAC of their id under it.")
]
At = Annotated[
    str | None,
    _table("The moment of the plan, 2026-11-28T09:00 (UTC); nothing later is read. Else: after the last event."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the hold-out and of everything else that is random.")]
Campaign = Annotated[
    Path, typer.Option(parser=str, callback=at_hand, metavar="FOLDER|ADDRESS", help="What plan wrote.")
]
Outcomes = Annotated[
    str,
    typer.Option(
        help="Table user_id of what users did since, contacted or held out; with outcome, value, time, where known."
    ),
]
Sent = Annotated[
    str | None, _table("Table user_id, time of who was contacted in truth, to be checked against the plan.")
]


@app.command()
def plan(
    settings: Settings,
    output: Output,
    lists: AnyLists = None,
    bundle: Bundle = None,
    prepared: Prepared = None,
    interactions: MaybeInteractions = None,
    users: Users = None,
    log: Log = None,
    consent: Consent = None,
    do_not_contact: Stopped = None,
    contacts: Contacts = None,
    pseudonyms_key: Key = None,
    at: At = None,
    seed: Seed = 0,
    overrides: Overrides = None,
) -> None:
    """Plan whom to contact with what within a budget, and whom to hold out so that the effect can be measured.

    Writes the plan of every user, contacts.csv for the tool that sends, and what the campaign can prove.
    """
    begin_stage(output)
    from longtail.components.campaign.plan import check_offers
    from longtail.components.campaign.plan import plan as stage

    files = {"log": log, "consent": consent, "do_not_contact": do_not_contact, "contacts": contacts}
    wanted = _settings(settings, overrides, {**files, "pseudonyms_key": pseudonyms_key})
    check_offers(wanted)
    moment = None if at is None else _moment(at)
    everybody = _everybody(prepared, interactions, users)
    facts = stage(everybody, _lists(lists, bundle, everybody, moment, wanted), output, wanted, seed, moment)
    typer.echo(plan_told(output, facts))


@app.command()
def measure(
    campaign: Campaign, outcomes: Outcomes, output: Output, sent: Sent = None, pseudonyms_key: Key = None
) -> None:
    """Measure what a campaign changed, by its hold-out; write the log that the next plan learns from.

    Ends with 3 where the sample ratio says that no verdict may be given.
    """
    begin_stage(output)
    from longtail.components.campaign.measure import measure as stage

    report = stage(campaign, outcomes, output, sent, pseudonyms_key)
    _tell_measured(output, report)
    if report["verdict"] is None:
        raise SystemExit(GATE_EXIT_CODE)


app.command()(simulate)


def _settings(file: Path, overrides: list[str] | None, given: dict[str, Any]) -> "CampaignSettings":
    from longtail.components.campaign.settings import CampaignSettings
    from longtail.contracts.settings_base import parse, read_document

    document, source = read_document(file, overrides or ())
    if not isinstance(document, dict):
        raise UserError(f"{source}: holds a {type(document).__name__}, but a mapping of settings is needed")
    return parse(CampaignSettings, document | {name: value for name, value in given.items() if value}, source)


def _moment(text: str) -> int:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--at {text}: is no time; give one as 2026-11-28T09:00") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def _everybody(prepared: Path | None, interactions: str | None, users: str | None) -> "Everybody":
    from longtail.components.campaign.tables import of_prepared, of_tables
    from longtail.contracts.prepared import PreparedDataset

    if prepared is None:
        return of_tables(interactions, users)
    if interactions is not None or users is not None:
        raise UserError("--prepared holds users and events already; give it without --interactions and --users")
    return of_prepared(PreparedDataset(prepared))


def _lists(
    lists: Path | None, bundle: Path | None, everybody: "Everybody", at: int | None, settings: "CampaignSettings"
) -> "Lists":
    from longtail.components.campaign.lists import AskedLists, WrittenLists, check_everybodys
    from longtail.scoring.recommender import Recommender

    if (lists is None) == (bundle is None):
        raise UserError("give --lists or --bundle, one of the two: where the items of each user come from")
    if bundle is not None:
        return AskedLists(Recommender.load(bundle), everybody, everybody.moment(at), settings.price)
    if settings.price is not None:
        raise UserError("price: lists hold no prices; give --bundle, or leave it out")
    for offer in settings.offers:
        check_everybodys(offer)
    assert lists is not None
    return WrittenLists(lists)


def plan_told(output: Path, facts: dict[str, Any]) -> str:
    """What a plan is, in lines. facts: of its plan.json."""
    arms, hold_out = facts["arms"], facts["hold_out"]
    budget = "without a limit" if facts["budget"] is None else f"of a budget of {facts['budget']:,.2f}"
    lines = [
        f"Wrote the plan of {facts['users']:,} users to {output}: {arms.get('contact', 0):,} to contact, {hold_out['held_out']:,} held "
        f"out, {arms.get('left', 0):,} left alone; costs {facts['spent']:,.2f} {budget}",
        *(f"  {text}" for text in facts["about_effect"]),
        f"  the hold-out sees an effect of {hold_out['least_effect']:g} with a probability of {hold_out['power']:.0%}"
        f" (baseline {hold_out['baseline']:.4f})",
    ]
    if facts["expected"] is not None:
        lines.append(f"  expected of the contacts: {facts['expected']:,.2f} ({facts['unit']})")
    lines += [f"  {count:,} by {name}" for name, count in facts["contacts_by"]["action"].items()]
    lines += [f"  left out, {why}: {count:,}" for why, count in facts["left_out"].items()]
    if said := facts["rewriting"]:
        lines.append(f"  messages rewritten: {said['rewritten']:,}")
        lines += [f"  template kept, {why}: {count:,}" for why, count in said["kept_template"].items()]
    return "\n".join(lines)


def _tell_measured(output: Path, report: dict[str, Any]) -> None:
    ratio = report["sample_ratio"]
    lines = [
        f"Wrote the measurement of {ratio['contacted']:,} contacted and {ratio['held_out']:,} held out users to {output}"
    ]
    if report["verdict"] is None:
        typer.echo("\n".join([*lines, f"  no verdict: {report['why_no_verdict']}"]))
        return
    effect, activated = report["effect"], report["activated"]
    lines.append(f"  effect on the outcome: {_interval(effect, 'effect', '+.4f')}: {report['verdict']}")
    lines.append(f"  users activated: {_interval(activated, 'users', ',.0f')}")
    lines.append(
        f"  cost of one: {_interval(report['per_activated_user'], 'cost', ',.2f')}, spent {report['spent']:,.2f}"
    )
    if value := report.get("incremental_value"):
        lines.append(f"  incremental value: {_interval(value, 'value', ',.2f')}")
    for row in report["groups"]:
        if row.get("low") is not None:
            lines.append(
                f"  {row['group']} {row['name']}: {_interval(row, 'effect', '+.4f')}, corrected p {row['p_holm']:.3f}"
            )
    typer.echo("\n".join(lines))


def _interval(found: dict[str, Any], name: str, form: str) -> str:
    def shown(value: float | None) -> str:
        return "no bound" if value is None else format(value, form)

    return f"{shown(found[name])} ({shown(found['low'])} to {shown(found['high'])})"
