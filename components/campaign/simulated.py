"""What simulated campaigns brought, per 1,000 messages, with intervals over the simulated shops."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from longtail.components.campaign.targeting import TARGETINGS
from longtail.contracts.errors import UserError

CONFIDENCE = 0.95
THOUSAND = 1000.0
MEASURES = ("activated", "activated_drawn", "value", "value_drawn")  # of the rows of ``simulate``


class Estimate(NamedTuple):
    """A mean over shops, and the bounds of its interval."""

    mean: float
    low: float
    high: float


class Figures(NamedTuple):
    """Of one targeting and measure, per 1,000 messages."""

    brought: Estimate
    above_random: Estimate  # over the same shops, paired


def figures(rows: pd.DataFrame, measure: str) -> dict[str, Figures]:
    """Targeting -> what it brought. rows: of ``simulate``; measure: one of ``MEASURES``.

    Raises:
        UserError: fewer than two shops, which show no spread.
    """
    if rows["seed"].nunique() < 2:
        raise UserError("simulation: one shop shows no spread, so there is no interval; ask for two or more (--shops)")
    rates = (THOUSAND * rows[measure] / rows["messages"].clip(lower=1)).to_numpy()
    wide = rows.assign(rate=rates).pivot(index="seed", columns="targeting", values="rate")  # [shops, targetings]
    return {
        name: Figures(_estimate(wide[name].to_numpy()), _estimate((wide[name] - wide["random"]).to_numpy()))
        for name in TARGETINGS
        if name in wide
    }


def table(rows: pd.DataFrame) -> str:
    """Lines for a terminal: activated users and value of every targeting, and what is above random."""
    users, value = figures(rows, "activated"), figures(rows, "value")
    head = ("targeting", "activated users", "above random", "value", "above random")
    lines = [head] + [
        (
            name,
            _shown(users[name].brought),
            "" if name == "random" else _shown(users[name].above_random, "+"),
            _shown(value[name].brought),
            "" if name == "random" else _shown(value[name].above_random, "+"),
        )
        for name in users
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def _shown(found: Estimate, sign: str = "") -> str:
    digits = 1 if abs(found.mean) < THOUSAND else 0
    mean, low, high = (
        format(round(number, digits) + 0.0, f"{sign},.{digits}f") for number in found
    )  # no minus before a zero
    return f"{mean} ({low} to {high})"


def _estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean with the interval of Student's t over shops, which are independent. values: [shops]"""
    mean = float(values.mean())
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)
