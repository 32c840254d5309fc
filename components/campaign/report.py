"""The plan of a campaign as one HTML page that opens offline: what is proposed first, then what stands behind it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from longtail.components.campaign.plots import Axes, Line, line_plot
from longtail.components.charts import page_environment
from longtail.contracts.campaign import CONTACT, HELD_OUT, LEFT, NOBODY, STATES, PlanColumns
from longtail.contracts.segments import SEGMENTS

EXAMPLES = 5
NOT_CHOSEN = "not worth a contact within the budget"


def write_report(folder: Path, table: pd.DataFrame, facts: Mapping[str, Any]) -> None:
    """Write ``report.html`` into a campaign's folder. table: ``PlanColumns``; facts: of plan.json."""
    (folder / "report.html").write_text(render_report(table, facts))


def render_report(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """HTML of a plan."""
    page = page_environment(Path(__file__).parent)
    page.filters.update(thousands=lambda count: f"{count:,}", plain=lambda name: name.replace("_", " "))
    return page.get_template("report.html").render(
        proposal=proposal(table),
        about_effect=facts["about_effect"],
        costs=_costs(table, facts),
        brings=_brings(table, facts),
        proof=_proof(table, facts["hold_out"]),
        effects=[_effect(name, quality) for name, quality in facts["effects"].items()],
        budget=_budget(facts),
        sizes=_sizes(table),
        left_out=left_out(table),
        examples=[_example(row) for row in examples(table)],
        settings=json.dumps(facts["settings"], indent=2, sort_keys=True),
    )


def proposal(table: pd.DataFrame) -> str:
    """What is proposed, in one sentence."""
    contacted = table[table[PlanColumns.ARM] == CONTACT]
    if contacted.empty:
        return f"Contact none of {len(table):,} users"
    counts = contacted[PlanColumns.ACTION].value_counts()
    offers = ", ".join(f"{count:,} by {name}" for name, count in counts.items())
    return f"Contact {len(contacted):,} of {len(table):,} users ({offers}) for {contacted[PlanColumns.COST].sum():,.2f}"


def left_out(table: pd.DataFrame) -> dict[str, int]:
    """Why users are not contacted -> how many, the most first."""
    left = table[table[PlanColumns.ARM] == LEFT]
    why = left[PlanColumns.WHY].fillna("").replace("", NOT_CHOSEN).value_counts()
    return {str(reason): int(users) for reason, users in why.items()}


def examples(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Users to be contacted, those with the highest expected worth of every kind (segment and state) in turn."""
    contacted = table[table[PlanColumns.ARM] == CONTACT].sort_values(
        [PlanColumns.EXPECTED, PlanColumns.USER], ascending=[False, True], kind="stable"
    )
    turn = contacted.groupby([PlanColumns.SEGMENT, PlanColumns.STATE]).cumcount()
    rows: list[Mapping[str, Any]] = contacted.assign(turn=turn).sort_values("turn", kind="stable").to_dict("records")
    return rows[:EXAMPLES]


def _costs(table: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    contacted = table[table[PlanColumns.ARM] == CONTACT]
    spent = float(contacted[PlanColumns.COST].sum())
    budget = facts["budget"]
    sentences = [f"Of a budget of {budget:,.2f}." if budget is not None else "There is no limit on the budget."]
    for (action, channel), rows in contacted.groupby([PlanColumns.ACTION, PlanColumns.CHANNEL]):
        cost = rows[PlanColumns.COST].sum()
        sentences.append(f"{action} by {channel}: {len(rows):,} contacts, {cost:,.2f}.")
    return {"spent": f"{spent:,.2f}", "sentences": sentences}


def _brings(table: pd.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
    if not facts["effects"]:
        return {"headline": "Unknown", "sentences": facts["about_effect"][:1]}
    contacted = table[table[PlanColumns.ARM] == CONTACT]
    expected = float(contacted[PlanColumns.EXPECTED].sum())
    return {
        "headline": f"{expected:,.2f}",
        "sentences": ["Expected of the contacts, as the log lets estimate it; the hold-out will say what came of it."],
    }


def _proof(table: pd.DataFrame, hold_out: Mapping[str, Any]) -> dict[str, Any]:
    held = int((table[PlanColumns.ARM] == HELD_OUT).sum())
    return {
        "headline": f"{held:,} held out",
        "sentences": [
            f"{hold_out['share']:.1%} of those who would be contacted, drawn at random, are not.",
            f"An effect of {hold_out['least_effect']:+.1%} points would be seen with a probability of {hold_out['power']:.0%}.",
        ],
    }


def _budget(facts: Mapping[str, Any]) -> dict[str, Any]:
    curve = facts["budget_curve"]
    spent = facts["spent"]
    line = Line("expected worth", [point["budget"] for point in curve], [point["worth"] for point in curve])
    axes = Axes("Expected worth by budget", "budget", "expected worth", (spent, "this plan"))
    sentence = "What the best plan of every budget is expected to be worth, by the same solver."
    return {"sentence": sentence, "plot": line_plot([line], axes)}


def _sizes(table: pd.DataFrame) -> dict[str, Any]:
    """Contacted and all users of every segment and state."""
    contact = table[PlanColumns.ARM] == CONTACT
    every = pd.crosstab(table[PlanColumns.SEGMENT], table[PlanColumns.STATE])
    some = pd.crosstab(table[PlanColumns.SEGMENT][contact], table[PlanColumns.STATE][contact])
    states = [state for state in STATES if state in every]
    rows = {}
    for segment in (name for name in SEGMENTS if name in every.index):
        cells = [
            (int(some[state].get(segment, 0)) if state in some else 0, int(every.loc[segment, state]))
            for state in states
        ]
        rows[segment] = [*cells, (sum(cell[0] for cell in cells), sum(cell[1] for cell in cells))]
    return {"states": states, "rows": rows}


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    expected = row[PlanColumns.EXPECTED]
    reasons: Sequence[str] = row[PlanColumns.REASONS]
    return {
        "user": row[PlanColumns.USER],
        "segment": row[PlanColumns.SEGMENT],
        "state": row[PlanColumns.STATE],
        "action": row[PlanColumns.ACTION],
        "channel": row[PlanColumns.CHANNEL],
        "cost": f"{row[PlanColumns.COST]:,.2f}",
        "expected": "" if pd.isna(expected) else f"{expected:,.2f}",
        "items": list(zip(row[PlanColumns.ITEMS], reasons)),
        "message": row[PlanColumns.MESSAGE] or "",
    }
