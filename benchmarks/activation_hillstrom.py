"""Uplift on Hillstrom's e-mail experiment: 64,000 customers, a men's and a women's mailing against none, outcome visit.

Kevin Hillstrom, "The MineThatData E-Mail Analytics And Data Mining Challenge", 2008. Read from hillstrom-email/experiment.parquet.
"""

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from longtail.campaign.uplift import UpliftSettings, estimate_effects
from longtail.contracts.campaign import NOBODY, LogColumns
from longtail.contracts.errors import UserError

FEATURES = ["recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel"]
ARMS = {"No E-Mail": NOBODY, "Mens E-Mail": "mens", "Womens E-Mail": "womens"}
SIMPLEST = "s"  # one model of the outcome with the treatment among its features
SEED = 0


def run(datasets: Path) -> tuple[str, dict[str, Any]]:
    file = datasets / "hillstrom-email" / "experiment.parquet"
    if not file.exists():
        raise UserError(f"{file}: no such file; give the folder that holds hillstrom-email with --datasets")
    customers = pd.read_parquet(file)
    users = np.array([f"customer-{row}" for row in range(len(customers))], dtype=object)
    log = pd.DataFrame(
        {
            LogColumns.USER: users,
            LogColumns.TREATMENT: customers["segment"].map(ARMS),
            LogColumns.TIME: 0,  # one mailing; the file has no dates
            LogColumns.OUTCOME: customers["visit"].astype(float),
        }
    )
    features = customers[FEATURES]
    asked = features.assign(**{LogColumns.USER: users}).head(1000)  # judged is the log; the table is not looked at
    document: dict[str, Any] = {"users": len(customers), "seed": SEED}
    for learner in ("auto", SIMPLEST):
        began = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # EconML's about scikit-learn
            found = estimate_effects(log, features, asked, UpliftSettings(learner=learner), SEED)
        seconds = {
            "seconds": round(time.perf_counter() - began[0], 1),
            "seconds_of_processor": round(time.process_time() - began[1], 1),
        }
        document[learner] = found.quality | seconds
        document["randomisation"] = found.randomisation
    return _table(document), document


def _table(document: dict[str, Any]) -> str:
    lines = [
        "| mailing | effect on visit, points | learner | Qini x 1000 | better than random | AUUC x 1000 (random order) | calibration slope |",
        "|---|---|---|---|---|---|---|",
    ]
    for learner in ("auto", SIMPLEST):
        for found in document[learner]["treatments"]:
            effect, qini, auuc, line = (found[key] for key in ("average_effect", "qini", "auuc", "calibration"))
            chosen = f"{learner} ({', '.join(found['learners_of_folds'])})" if learner == "auto" else learner
            lines.append(
                f"| {found['treatment']} | {_interval(effect, 100, 2)} | {chosen} | {_interval(qini, 1000, 2)} | "
                f"{'yes' if found['better_than_random'] else 'not shown'} | {_interval(auuc, 1000, 1)} ({auuc['at_random'] * 1000:.1f}) | "
                f"{line['slope']:.2f} ± {1.96 * line['error']:.2f} |"
            )
    for arm in document["randomisation"]["arms"]:
        lines.append(
            f"\n{arm['treatment']}: arms told apart with an AUC of {arm['auc']:.3f} (p = {arm['p_value']:.2f})"
        )
    lines.append("")
    for learner in ("auto", SIMPLEST):
        wall, cpu = document[learner]["seconds"], document[learner]["seconds_of_processor"]
        lines.append(f"{learner}: {wall} seconds, {cpu} of processor time")
    return "\n".join(lines)


def _interval(found: dict[str, float], times: float, digits: int) -> str:
    estimate, low, high = (found[key] * times for key in ("estimate", "low", "high"))
    return f"{estimate:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
