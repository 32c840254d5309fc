"""A small plan, and the facts of its plan.json, as what shows plans reads them."""

import numpy as np
import pandas as pd

from longtail.contracts.campaign import CONTACT, HELD_OUT, LEFT


def plan(expected: bool = True) -> pd.DataFrame:
    """Eight users: four contacted, one held out, three left."""
    rows = [
        ("u1", "tail", "at_risk", CONTACT, 0.5, 3.0, "", ["i1", "i2"]),
        ("u2", "tail", "at_risk", CONTACT, 0.5, 9.0, "", ["i2"]),
        ("u3", "head", "active", CONTACT, 0.5, 1.0, "", ["i3"]),
        ("u4", "tail", "dormant", CONTACT, 0.5, 2.0, "", ["i1"]),
        ("u5", "tail", "at_risk", HELD_OUT, 0.0, 4.0, "", []),
        ("u6", "cold", "never", LEFT, 0.0, np.nan, "no consent", []),
        ("u7", "cold", "never", LEFT, 0.0, np.nan, "no consent", []),
        ("u8", "head", "active", LEFT, 0.0, np.nan, "", []),
    ]
    names = ["user_id", "segment", "state", "arm", "cost", "expected", "why", "items"]
    table = pd.DataFrame(rows, columns=names)
    table["action"] = np.where(table.arm == LEFT, "none", "greeting")
    table["channel"] = np.where(table.arm == LEFT, "", "mail")
    table["reasons"] = [[f"because of {item}" for item in items] for items in table["items"]]
    table["message"] = [f"Hello, <{user}>" if items else "" for user, items in zip(table.user_id, table["items"])]
    if not expected:
        table["expected"] = np.nan
    return table


def facts(**changes: object) -> dict[str, object]:
    return {
        "name": "spring",
        "about_effect": ["nobody knows"],
        "unknown": [],
        "returning": None,
        "budget": 2.5,
        "spent": 2.0,
        "expected": None,
        "unit": "value, costs taken off",
        "effects": {},
        "hold_out": {
            "share": 0.2,
            "least_effect": 0.05,
            "baseline": 0.1,
            "power": 0.81,
            "detectable": 0.049,
            "held_out": 1,
        },
        "budget_curve": [{"budget": 0.0, "worth": 0.0}, {"budget": 2.0, "worth": 15.0}, {"budget": 4.0, "worth": 20.0}],
        "settings": {"budget": 2.5},
    } | changes
