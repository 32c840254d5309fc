"""The plan of a campaign as one HTML page that opens offline: what is proposed first, then what stands behind it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from longtail.campaign.choosing_learner import CONSTANT
from longtail.components.campaign.plots import budget_plot, calibration_plot, qini_plot
from longtail.components.charts import page_environment
from longtail.contracts.campaign import CONTACT, HELD_OUT, LEFT, STATES, PlanColumns
from longtail.contracts.segments import SEGMENTS

EXAMPLES = 5
NOT_CHOSEN = "others are worth more within budget and capacities"


def write_report(folder: Path, table: pd.DataFrame, facts: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Write ``report.html`` into a campaign's folder.

    table: ``PlanColumns``, one row a user. facts: of plan.json. titles: of the items offered, by id; who has none is shown by id.
    """
    (folder / "report.html").write_text(render_report(table, facts, titles), encoding="utf-8")


def render_report(table: pd.DataFrame, facts: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """The page of ``write_report``."""
    page = page_environment(Path(__file__).parent)
    page.filters.update(thousands=lambda count: f"{count:,}", plain=lambda name: name.replace("_", " "))
    return page.get_template("report.html").render(
        name=facts["name"],
        proposal=proposal(table),
        about_effect=[_sentence(text) for text in [*facts["about_effect"], *facts["unknown"]]],
        costs=_costs(table, facts),
        brings=_brings(facts),
        proof=_proof(facts),
        effects=[_effect(name, quality) for name, quality in facts["effects"].items()],
        returning=_returning(facts["returning"]),
        budget=_budget(facts),
        sizes=_sizes(table),
        left_out=left_out(table),
        users=len(table),
        examples=[_example(row, titles) for row in examples(table)],
        settings=json.dumps(facts["settings"], indent=2, sort_keys=True),
    )


def proposal(table: pd.DataFrame) -> str:
    """What is proposed, in one sentence."""
    contacts = table[table[PlanColumns.ARM] == CONTACT]
    held = int((table[PlanColumns.ARM] == HELD_OUT).sum())
    return (
        f"Contact {len(contacts):,} of {len(table):,} users for {contacts[PlanColumns.COST].sum():,.2f}, and hold out "
        f"{held:,} more to measure what it brings"
    )


def left_out(table: pd.DataFrame) -> dict[str, int]:
    """Why users are neither contacted nor held out -> how many, the most first."""
    left = table[table[PlanColumns.ARM] == LEFT]
    why = left[PlanColumns.WHY].replace("", NOT_CHOSEN).value_counts()
    return {str(reason): int(users) for reason, users in why.items()}


def examples(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Users to be contacted, of every segment and state in turn; of those the one with the highest expected worth first."""
    contacts = table[table[PlanColumns.ARM] == CONTACT].sort_values(
        [PlanColumns.EXPECTED, PlanColumns.USER], ascending=[False, True], kind="stable"
    )
    turn = contacts.groupby([PlanColumns.SEGMENT, PlanColumns.STATE]).cumcount()
    rows = contacts.assign(turn=turn).sort_values("turn", kind="stable").head(EXAMPLES)
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _costs(table: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    contacts = table[table[PlanColumns.ARM] == CONTACT]
    budget = facts["budget"]
    sentences = ["The budget has no limit." if budget is None else f"Of a budget of {budget:,.2f}."]
    for (action, channel), rows in contacts.groupby([PlanColumns.ACTION, PlanColumns.CHANNEL]):
        sentences.append(f"{action} ({channel}): {len(rows):,} contacts for {rows[PlanColumns.COST].sum():,.2f}.")
    return {"spent": f"{facts['spent']:,.2f}", "sentences": sentences}


def _brings(facts: Mapping[str, Any]) -> dict[str, Any]:
    if facts["expected"] is None:
        sentences = [
            "There is no log of random contacts, so nobody knows what a contact changes. Users are ordered by what could be "
            "recovered from them, which is not what a contact recovers.",
            "The hold-out of this campaign will say it.",
        ]
        return {"headline": "unknown", "sentences": sentences}
    sentences = [
        f"Expected of all contacts together ({facts['unit']}), by effects learnt from random contacts. The users with the highest "
        "estimates are chosen, so what comes of it is likely less; the hold-out will say it."
    ]
    return {"headline": f"{facts['expected']:+,.1f}", "sentences": sentences}


def _proof(facts: Mapping[str, Any]) -> dict[str, Any]:
    hold_out = facts["hold_out"]
    detectable = hold_out["detectable"]
    sentences = [
        f"{hold_out['share']:.1%} of those who would be contacted are not; they are drawn at random within segment, state and offer.",
        f"An effect of {hold_out['least_effect']:+g} on a baseline of {hold_out['baseline']:.3g} would be seen with a probability of "
        f"{hold_out['power']:.0%}.",
    ]
    if detectable is not None:
        sentences.append(f"The least effect that would be seen as surely as asked for: {detectable:.3g}.")
    return {"headline": f"{hold_out['held_out']:,} held out", "sentences": sentences}


def _returning(quality: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How well it is known who comes back; None where it was not learnt."""
    if quality is None:
        return None
    return {
        "sentence": f"Learnt from {quality['users']:,} users one horizon earlier, of whom {quality['base_rate']:.1%} came back. Skill on users "
        f"whom no model had seen: {quality['skill']:.2f} (Brier; 0 knows no more than that share, 1 knows it all).",
        "plot": calibration_plot("the probability to return", quality["reliability"], "share"),
    }


def _effect(name: str, quality: Mapping[str, Any]) -> dict[str, Any]:
    average, qini, slope = quality["average_effect"], quality["qini"], quality["calibration"]
    sentences = [
        f"On average {name} changes the outcome by {_between(average)}: {quality['treated']:,} of {quality['users']:,} users of the "
        "log had it, drawn at random.",
        f"{_sentence(quality['said'])} Qini coefficient {_between(qini)}; learner: {quality['learner']}.",
    ]
    if quality["learner"] == CONSTANT:
        sentences.append(
            "Learnt from the whole log, no difference between users was sure enough to act on: this plan takes the average for everybody."
        )
    predicted = slope["slope"]
    if predicted == predicted:
        sentences.append(
            f"Users whose predicted effects differ by one really differ by {predicted:.2f} (standard error {slope['error']:.2f}); 1 is right."
        )
    return {
        "treatment": name,
        "sentences": sentences,
        "qini": qini_plot(name, quality["curve"], quality["average_effect"]["estimate"]),
        "calibration": calibration_plot(name, quality["deciles"]),
    }


def _between(found: Mapping[str, float]) -> str:
    return f"{found['estimate']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f})"


def _budget(facts: Mapping[str, Any]) -> dict[str, Any]:
    unit = facts["unit"] if facts["expected"] is not None else "recoverable, not what a contact brings"
    return {
        "sentence": f"What the best plan of each budget is worth, as the same solver finds it ({unit}).",
        "plot": budget_plot(facts["budget_curve"], facts["spent"], unit) if facts["budget_curve"] else "",
    }


def _sizes(table: pd.DataFrame) -> dict[str, Any]:
    """Contacted and all users of every segment and state, and of the whole segment."""
    contact = table[PlanColumns.ARM] == CONTACT
    every, some = (
        pd.crosstab(rows[PlanColumns.SEGMENT], rows[PlanColumns.STATE])
        .reindex(index=SEGMENTS, columns=STATES, fill_value=0)
        .to_numpy(np.int64)
        for rows in (table, table[contact])
    )  # [segments, states] each
    states = np.flatnonzero(every.sum(axis=0))
    rows = {
        segment: [
            *zip(some[place, states].tolist(), every[place, states].tolist()),
            (int(some[place].sum()), int(every[place].sum())),
        ]
        for place, segment in enumerate(SEGMENTS)
        if every[place].sum()
    }
    return {"states": [STATES[place] for place in states], "rows": rows}


def _example(row: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    expected = row[PlanColumns.EXPECTED]
    names = [titles.get(item, item) for item in row[PlanColumns.ITEMS]]
    return {
        "user": row[PlanColumns.USER],
        "segment": row[PlanColumns.SEGMENT],
        "state": row[PlanColumns.STATE],
        "action": row[PlanColumns.ACTION],
        "channel": row[PlanColumns.CHANNEL],
        "cost": f"{row[PlanColumns.COST]:,.2f}",
        "expected": "" if pd.isna(expected) else f"{expected:,.3f}",
        "items": list(zip(names, row[PlanColumns.REASONS])),
        "message": row[PlanColumns.MESSAGE],
    }
