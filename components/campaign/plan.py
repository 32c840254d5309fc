"""Plan a campaign: whom to contact with what, who is held out, and what that can prove."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.how import UpliftSettings
from longtail.campaign.messages import Item, filled, is_markup
from longtail.campaign.rewriting import rewritten
from longtail.campaign.rights import contacted_often, send_times, who_may
from longtail.components.campaign.choosing import Drawn, Market, drawn, proof
from longtail.components.campaign.lists import Lists
from longtail.components.campaign.report import write_report
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import CONTACT_TIME, Everybody, check_known, read_table
from longtail.components.campaign.worths import Worths, states_at, worths
from longtail.components.campaign.writing import pseudonyms, write_plan
from longtail.contracts.artifacts import CAMPAIGN, check_place, finite, write_artifact
from longtail.contracts.campaign import CONTACT, HELD_OUT, LEFT, NOBODY, PlanColumns, StateColumns
from longtail.contracts.columns import DAY, Columns
from longtail.contracts.errors import UserError

FEW_ITEMS = "too few items to offer"
UNRANKED = "nothing is known of what a contact would bring"
NO_OFFER = "no offer is expected to be worth its cost"


def plan(
    everybody: Everybody, lists: Lists, output: str | Path, settings: CampaignSettings, seed: int, at: int | None = None
) -> dict[str, Any]:
    """Write a Campaign artifact; returns the facts of its plan.json.

    at: the decision moment in microseconds; None: just after the last event. What is at or after it is not read.

    Raises:
        UserError: settings or tables cannot be used, nobody can be contacted, or the campaign is too small for its proof.
    """
    check_place(output, CAMPAIGN)
    check_offers(settings)
    named = pseudonyms(settings.pseudonyms_key)
    at = everybody.moment(at)
    users = pd.Index(everybody.users[Columns.USER])
    allowed, why = _rights(users, settings, at)
    zones = _zones(everybody, settings)  # a wrong name is said before the work
    states, returning = states_at(everybody, at, settings, seed)
    found = worths(everybody, states, returning.unknown, settings, seed)
    allowed = _with_items(lists, users, allowed, why, settings)
    worth = found.worth - ([offer.cost for offer in settings.offers] if found.in_money else 0.0)
    _say_why(why, worth, allowed)
    market = Market(worth, allowed & ~np.isnan(worth), settings)
    kinds = (states[StateColumns.SEGMENT].astype(str) + " / " + states[StateColumns.STATE].astype(str)).tolist()
    returns = states[StateColumns.RETURNS].to_numpy(np.float64)
    chosen, items = _chosen(market, lists, states, kinds, returns, why, seed)
    size = proof(chosen, settings.hold_out)
    table = _table(states, chosen, settings, worth if found.is_effect else np.full_like(worth, np.nan), why)
    table[PlanColumns.SEND_AT] = (
        at if settings.quiet is None else send_times(at, zones, settings.quiet.minutes, settings.quiet.time_zone)
    )
    table[PlanColumns.PRE_VALUE] = _pre_value(everybody, users, at, settings.horizon_days)
    said = _put_messages(table, items, settings, [named(user) for user in users])
    table[PlanColumns.USER] = [named(user) for user in users]
    facts = _facts(table, chosen, settings, found, at, seed) | {"rewriting": said}
    facts["hold_out"] |= {"power": size.power, "detectable": finite(size.detectable), "held_out": size.held_out}
    facts["budget_curve"] = market.curve(facts["spent"], chosen.share)
    facts["unknown"] = [] if returning.unknown is None else [returning.unknown]
    facts["returning"] = returning.quality
    with write_artifact(
        output, CAMPAIGN, {key: facts[key] for key in ("name", "at", "seed", "users", "arms", "settings")}
    ) as folder:
        write_plan(folder, table, facts)
        write_report(folder, table, facts, {one.item_id: one.title for its in items.values() for one in its})
    return facts


def check_offers(settings: CampaignSettings) -> None:
    """Refuse settings by which nobody could be contacted.

    Raises:
        UserError: naming the setting.
    """
    if not settings.offers:
        raise UserError("offers: there are none; give at least one, with name, channel and cost")
    cheapest = min(offer.cost for offer in settings.offers)
    if settings.budget is not None and settings.budget < cheapest:
        raise UserError(
            f"budget {settings.budget:g}: is below the cost of one contact ({cheapest:g}); give more, or a cheaper offer"
        )
    if settings.consent is None:
        raise UserError(
            "consent: is missing; give a table user_id, channel of those who agreed to be contacted (--consent)"
        )
    for offer in settings.offers:
        if offer.capacity == 0 or settings.channels.get(offer.channel) == 0:
            raise UserError(f"offer {offer.name!r}: nobody may get it, its capacity is 0; take it out, or give it one")
    if settings.cap is not None and settings.contacts is None:
        raise UserError("cap: needs a log of contacts, user_id and time (--contacts); give it, or leave cap out")
    if settings.uplift != UpliftSettings() and not settings.log:
        raise UserError(
            "uplift: acts where effects are learnt, and no log is given (--log); give one, or leave uplift out"
        )
    if settings.hold_out.deviation is not None and settings.hold_out.baseline is not None:
        raise UserError(
            "hold_out.baseline: does nothing where the outcome is an amount (deviation); leave one of the two out"
        )


def _rights(users: pd.Index, settings: CampaignSettings, at: int) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    consent = read_table(str(settings.consent), {Columns.USER: "id", "channel": "id"})
    check_known(str(settings.consent), consent, users)
    stopped: list[str] = []
    if settings.do_not_contact is not None:  # who is there and not known is not contacted in any case
        stopped = read_table(settings.do_not_contact, {Columns.USER: "id"})[Columns.USER].tolist()
    often = np.zeros(len(users), dtype=bool)
    if settings.cap is not None:
        contacts = read_table(str(settings.contacts), {Columns.USER: "id", CONTACT_TIME: "time"})
        often = contacted_often(users, contacts, at, settings.cap.contacts, settings.cap.days)
    allowed, why = who_may(users, [offer.channel for offer in settings.offers], consent, stopped, often)
    for place, offer in enumerate(settings.offers):
        if not allowed[:, place].any():
            raise UserError(
                f"offer {offer.name!r}: nobody may get it by {offer.channel!r}: no user consented to that channel who is not on the "
                "do-not-contact list and was not contacted often enough; take the offer out, or check the tables' channel names"
            )
    return allowed, why


def _zones(everybody: Everybody, settings: CampaignSettings) -> pd.Series:
    column = settings.quiet.column if settings.quiet else None
    if column is None:
        return pd.Series(None, index=everybody.users.index, dtype=object)
    if column not in everybody.users:
        raise UserError(
            f"quiet.column: {everybody.source} has no column {column!r} of users (--users); give one, or leave it out"
        )
    assert settings.quiet is not None
    send_times(0, everybody.users[column], settings.quiet.minutes, settings.quiet.time_zone)
    return everybody.users[column]


def _with_items(
    lists: Lists, users: pd.Index, allowed: NDArray[np.bool_], why: NDArray[np.object_], settings: CampaignSettings
) -> NDArray[np.bool_]:
    """Without those whose list is known to be too short."""
    count = lists.count(users)
    if count is None or not settings.fewest_items:
        return allowed
    short = (count < settings.fewest_items) & allowed.any(axis=1)
    why[short] = FEW_ITEMS
    if not (allowed & ~short[:, None]).any():
        raise UserError(
            f"lists: hold for none of the users who may be contacted {settings.fewest_items} items; give lists of these users"
        )
    return allowed & ~short[:, None]


def _say_why(why: NDArray[np.object_], worth: NDArray[np.float64], allowed: NDArray[np.bool_]) -> None:
    some = allowed.any(axis=1)
    known = np.where(allowed, worth, np.nan)
    why[some & np.isnan(known).all(axis=1)] = UNRANKED
    why[some & ~np.isnan(known).all(axis=1) & ~(known > 0).any(axis=1)] = NO_OFFER


def _chosen(
    market: Market,
    lists: Lists,
    states: pd.DataFrame,
    kinds: Sequence[str],
    returns: NDArray[np.float64],
    why: NDArray[np.object_],
    seed: int,
) -> tuple[Drawn, dict[int, list[Item]]]:
    """Who is contacted or held out, with the items of each by row. Who has too few items is let go before the draw, whatever the arm."""
    users = states[StateColumns.USER].to_numpy(dtype=object)
    fewest = market.settings.fewest_items
    items: dict[int, list[Item]] = {}
    asked: set[tuple[int, int]] = set()
    while True:
        found = drawn(market, states, kinds, returns, seed)
        short: list[tuple[int, int]] = []
        for number, offer in enumerate(market.settings.offers, 1):
            rows = [int(row) for row in np.flatnonzero(found.actions == number) if (int(row), number) not in asked]
            for row, its in zip(rows, lists.items(users[rows].tolist(), offer, market.settings.items)):
                items[row] = its
                asked.add((row, number))
                if len(its) < fewest:
                    short.append((row, number - 1))
        if not short:
            return found, items
        market.allowed[tuple(np.array(short).T)] = False
        for row, _ in short:
            if not market.allowed[row].any():
                why[row] = FEW_ITEMS


def _table(
    states: pd.DataFrame,
    chosen: Drawn,
    settings: CampaignSettings,
    expected: NDArray[np.float64],
    why: NDArray[np.object_],
) -> pd.DataFrame:
    arm = np.where(chosen.actions == 0, LEFT, np.where(chosen.held_out, HELD_OUT, CONTACT)).astype(object)
    planned = chosen.actions > 0
    offers = settings.offers
    rows = np.arange(len(arm))
    propensity = np.where(chosen.held_out, chosen.share, 1 - chosen.share)
    return pd.DataFrame(
        {
            PlanColumns.USER: states[StateColumns.USER],
            PlanColumns.SEGMENT: states[StateColumns.SEGMENT],
            PlanColumns.STATE: states[StateColumns.STATE],
            PlanColumns.ARM: arm,
            PlanColumns.ACTION: np.array([NOBODY, *(one.name for one in offers)], dtype=object)[chosen.actions],
            PlanColumns.CHANNEL: np.array(["", *(one.channel for one in offers)], dtype=object)[chosen.actions],
            PlanColumns.COST: np.where(
                arm == CONTACT, np.array([0.0, *(one.cost for one in offers)])[chosen.actions], 0.0
            ),
            PlanColumns.EXPECTED: np.where(planned, expected[rows, np.maximum(chosen.actions - 1, 0)], np.nan),
            PlanColumns.WHY: np.where(planned, "", why),
            PlanColumns.STRATUM: chosen.stratum,
            PlanColumns.PROPENSITY: np.where(planned, propensity, 1.0),
        }
    )


def _pre_value(everybody: Everybody, users: pd.Index, at: int, days: float) -> NDArray[np.float64]:
    """Events of each user in the horizon before the moment. ``[users]``"""
    events = everybody.events
    recent = (events[Columns.TIMESTAMP] < at) & (events[Columns.TIMESTAMP] >= at - round(days * DAY))
    counts = events.loc[recent, Columns.USER].value_counts()
    return np.asarray(counts.reindex(users, fill_value=0).to_numpy(np.float64))


def _put_messages(
    table: pd.DataFrame, items: dict[int, list[Item]], settings: CampaignSettings, names: Sequence[str]
) -> dict[str, Any] | None:
    """Add items, reasons and messages; returns what was said of rewriting."""
    offers = {offer.name: offer for offer in settings.offers}
    of_items: list[list[str]] = [[] for _ in range(len(table))]
    reasons: list[list[str]] = [[] for _ in range(len(table))]
    messages: list[str] = [""] * len(table)
    rows = np.flatnonzero(table[PlanColumns.ARM] == CONTACT).tolist()
    actions = table[PlanColumns.ACTION].to_numpy(dtype=object)
    for row in rows:
        offer, its = offers[actions[row]], items[row]
        of_items[row], reasons[row] = [one.item_id for one in its], [one.reason for one in its]
        messages[row] = filled(offer.template, names[row], offer.name, offer.channel, its)
    said = None
    if settings.rewrite is not None:
        of_row = [(offers[actions[row]], names[row], items[row]) for row in rows]
        texts = [
            filled(offer.template, user, offer.name, offer.channel, its, as_text=True) for offer, user, its in of_row
        ]
        better, said = rewritten(texts, [its for *_, its in of_row], settings.rewrite)
        for row, (offer, *_), text in zip(rows, of_row, better):
            if text is not None:
                messages[row] = html.escape(text) if is_markup(offer.channel) else text
    table[PlanColumns.ITEMS], table[PlanColumns.REASONS], table[PlanColumns.MESSAGE] = of_items, reasons, messages
    return said


def _facts(
    table: pd.DataFrame, chosen: Drawn, settings: CampaignSettings, found: Worths, at: int, seed: int
) -> dict[str, Any]:
    arms = table[PlanColumns.ARM]
    contacts = table[arms == CONTACT]
    left = table.loc[(arms == LEFT) & (table[PlanColumns.WHY] != ""), PlanColumns.WHY]
    hold_out = settings.hold_out
    return {
        "name": settings.name,
        "at": at,
        "seed": seed,
        "users": len(table),
        "arms": _counted(arms),
        "budget": settings.budget,
        "spent": float(contacts[PlanColumns.COST].sum()),
        "contacts_by": {
            name: _counted(contacts[name]) for name in (PlanColumns.SEGMENT, PlanColumns.STATE, PlanColumns.ACTION)
        },
        "left_out": _counted(left),
        "about_effect": found.about,
        "effects": found.effects,
        "policies": found.policies,
        "randomisation": found.randomisation,
        "expected": float(contacts[PlanColumns.EXPECTED].sum()) if found.is_effect else None,
        "unit": "value, costs taken off" if found.in_money else "activated users",
        "gap": chosen.gap,
        "hold_out": {"share": chosen.share, "least_effect": hold_out.least_effect, "baseline": chosen.baseline},
        "settings": settings.model_dump(mode="json"),
    }


def _counted(column: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.value_counts().sort_index().items()}
