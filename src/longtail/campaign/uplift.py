"""What a contact changes for each user, learnt from a log whose treatment was drawn at random.

What is judged is out of fold: the effects of a fold's users come from models, and from a choice of learner, that never saw them.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from longtail.campaign.choosing_learner import Learned, learn
from longtail.campaign.effect_quality import describe_policies, describe_treatment
from longtail.campaign.learners import AT_ONCE, Encoder
from longtail.campaign.randomisation import check_randomised, check_shares
from longtail.contracts.campaign import NOBODY, EffectColumns, LogColumns
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings
from longtail.metrics.uplift import Trial

LEAST_USERS = 100  # of an arm
Numbers = NDArray[np.float64]

log_to = logging.getLogger(__name__)


class UpliftSettings(Settings):
    """How effects are learnt and judged."""

    control: str = Field(NOBODY, description="The treatment that is no contact, as the log names it.")
    learner: Literal["auto", "s", "t", "x", "dr", "none"] = Field(
        "auto",
        description="S, T, X or DR learner; `none`: the average effect for everybody; `auto`: for each treatment the one with the "
        "highest Qini coefficient on users it had not seen, shrunk to the size that they confirm, or `none` where they confirm nothing.",
    )
    folds: int = Field(5, ge=2, le=20, description="Parts of the log, each judged by models of the others.")
    costs: dict[str, float] = Field(
        {},
        description="Cost of one contact by treatment, in the unit of values; of one not named here the log's mean cost, or 0.",
    )
    outcome_value: float = Field(
        1.0, ge=0, description="Worth of one outcome in the unit of costs, where the log has no values."
    )
    samples: int = Field(1000, ge=100, description="Resamplings of users for intervals.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of all intervals.")
    imbalance_alpha: float = Field(
        0.001, gt=0, lt=0.1, description="How rarely a treatment that was drawn at random is refused as one that was not."
    )


@dataclass(frozen=True)
class Effects:
    """table: columns of ``EffectColumns``, one row an asked user and treatment, in the order asked.

    quality: by treatment what ``effect_quality`` describes, and the value of policies; randomisation: the imbalance test. Both are
    JSON documents.
    """

    table: pd.DataFrame
    quality: dict[str, Any]
    randomisation: dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """A log as arrays. x [users, columns]; outcome, weight, propensity [users]; value [users] or None; arm [users] codes of ``arms``."""

    x: Numbers
    arm: NDArray[np.int64]
    outcome: Numbers
    value: Numbers | None
    propensity: Numbers
    propensity_varies: bool
    arms: list[str]
    costs: Numbers  # [arms]

    def trial(self, code: int, result: Numbers) -> tuple[NDArray[np.bool_], Trial]:
        """Users of an arm and of control, and their trial."""
        pair = (self.arm == 0) | (self.arm == code)
        return pair, Trial.of(result[pair], self.arm[pair] == code, 1 / self.propensity[pair])


def estimate_effects(
    log: pd.DataFrame, features: pd.DataFrame, asked: pd.DataFrame, settings: UpliftSettings, seed: int
) -> Effects:
    """Effects of every treatment on outcome and value of the users who are asked about.

    Args:
        log: of ``read_log``: one row a user.
        features: [rows of log, features], numbers or texts known before the contact; row i belongs to row i of log.
        asked: user_id and the same features, one row a user; other columns are not read.

    Raises:
        UserError: the treatment was not random, naming the feature that tells; too few users in an arm; outcomes all alike;
            propensities that are not the arms' shares; features that differ.
    """
    encoder = Encoder(_checked(log, features))
    experiment = _experiment(log, encoder.encoded(features), settings)
    if LogColumns.PROPENSITY in log:
        check_shares(experiment.arm, experiment.propensity, experiment.arms, settings.imbalance_alpha)
    balance = check_randomised(
        experiment.x,
        encoder.columns,
        experiment.arm,
        1 / experiment.propensity,
        experiment.arms,
        settings.imbalance_alpha,
        seed,
    )
    judged = _out_of_fold(experiment, settings, seed)
    final = _learn(experiment, np.arange(len(log)), settings, seed)
    return Effects(_table(final, encoder, asked, experiment.arms), _quality(experiment, judged, final, settings, seed), balance)


def learn_effects(
    log: pd.DataFrame, features: pd.DataFrame, asked: pd.DataFrame, settings: UpliftSettings, seed: int
) -> pd.DataFrame:
    """The table of ``estimate_effects`` alone: neither judged nor checked, for a log that is known to be random. Takes a fraction of the time."""
    encoder = Encoder(_checked(log, features))
    experiment = _experiment(log, encoder.encoded(features), settings)
    return _table(_learn(experiment, np.arange(len(log)), settings, seed), encoder, asked, experiment.arms)


def _checked(log: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    if len(log) != len(features):
        raise UserError(f"the log has {len(log)} rows and its features {len(features)}; give one row of features a row of the log")
    known_after = [name for name in (LogColumns.OUTCOME, LogColumns.VALUE, LogColumns.COST, LogColumns.TREATMENT) if name in features]
    if known_after:
        raise UserError(f"the features hold the log's column {known_after[0]!r}, which is not known before the contact; leave it out")
    return features


def _experiment(log: pd.DataFrame, x: Numbers, settings: UpliftSettings) -> Experiment:
    counts = log[LogColumns.TREATMENT].value_counts()
    arms = [settings.control, *sorted(set(counts.index) - {settings.control})]
    for name in arms:
        if counts.get(name, 0) < LEAST_USERS:
            raise UserError(
                f"treatment {name!r} was drawn for {counts.get(name, 0)} users of the log; {LEAST_USERS} are needed to learn what it "
                "changes. Give a log with more, or leave its rows out"
            )
    if len(arms) == 1:
        raise UserError(f"everybody in the log has the treatment {arms[0]!r}; keep rows of users who were contacted")
    unknown = sorted(set(settings.costs) - set(arms[1:]))
    if unknown:
        raise UserError(f"costs: there is no treatment {unknown[0]!r} in the log; known are {', '.join(arms[1:])}")
    outcome = log[LogColumns.OUTCOME].to_numpy(np.float64)
    if np.ptp(outcome) == 0:
        raise UserError(f"the outcome is {outcome[0]:g} in every row of the log, so nothing can be learnt; give those after the contact")
    arm = pd.Index(arms).get_indexer(log[LogColumns.TREATMENT]).astype(np.int64)
    shares = np.bincount(arm) / len(arm)
    propensity, varies = shares[arm], False
    if LogColumns.PROPENSITY in log:
        propensity = log[LogColumns.PROPENSITY].to_numpy(np.float64)
        varies = any(np.ptp(propensity[arm == code]) > 1e-9 for code in range(len(arms)))
    value = log[LogColumns.VALUE].to_numpy(np.float64) if LogColumns.VALUE in log else None
    paid = log.groupby(LogColumns.TREATMENT)[LogColumns.COST].mean() if LogColumns.COST in log else {}
    costs = [0.0, *(settings.costs.get(name, float(paid.get(name, 0.0))) for name in arms[1:])]
    return Experiment(x, arm, outcome, value, propensity, varies, arms, np.array(costs))


@dataclass(frozen=True)
class Pair:
    """What was learnt of outcomes, and of values where there are any."""

    outcome: Learned
    value: Learned | None

    def effects(self, x: Numbers) -> tuple[Numbers, Numbers | None]:
        """``[rows, treatments]`` each."""
        outcome = self.outcome.effects(x)
        return outcome, None if self.value is None else self.value.effects(x, outcome)


def _learn(experiment: Experiment, rows: NDArray[np.int64], settings: UpliftSettings, seed: int) -> Pair:
    arrays = (experiment.x[rows], experiment.arm[rows], 1 / experiment.propensity[rows], experiment.propensity_varies)
    outcome = learn(experiment.outcome[rows], *arrays, settings.learner, seed)
    if experiment.value is None:
        return Pair(outcome, None)
    value = learn(experiment.value[rows], *arrays, settings.learner, seed)
    return Pair(outcome, value.following(outcome) if settings.learner == "auto" else value)


@dataclass(frozen=True)
class Judged:
    """Effects of users by what never saw them, [users, treatments] each, and the learners of every fold.

    ordered: those on the outcome, every fold's moved to the mean of all. Where a fold has good luck, models of the others have bad luck:
    left in, that would turn the order of users round.
    """

    outcome: Numbers
    value: Numbers | None
    learners: list[list[str]]
    ordered: Numbers


def _out_of_fold(experiment: Experiment, settings: UpliftSettings, seed: int) -> Judged:
    from sklearn.model_selection import StratifiedKFold

    shape = (len(experiment.arm), len(experiment.arms) - 1)
    outcome, value = np.empty(shape), None if experiment.value is None else np.empty(shape)
    ordered, learners = np.empty(shape), []
    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(folds.split(experiment.x, experiment.arm), 1):
        found = _learn(experiment, train, settings, seed + number)
        outcome[test], of_value = found.effects(experiment.x[test])
        if value is not None:
            value[test] = of_value
        ordered[test] = outcome[test] - outcome[test].mean(axis=0)
        learners.append(found.outcome.names)
        log_to.info("fold %d of %d: %s", number, settings.folds, ", ".join(found.outcome.names))
    return Judged(outcome, value, learners, ordered + outcome.mean(axis=0))


def _table(final: Pair, encoder: Encoder, asked: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    treatments = len(arms) - 1
    outcome = np.empty((len(asked), treatments))
    value = np.full((len(asked), treatments), np.nan)
    for begin in range(0, len(asked), AT_ONCE):
        rows = slice(begin, begin + AT_ONCE)
        outcome[rows], of_value = final.effects(encoder.encoded(asked.iloc[rows]))
        if of_value is not None:
            value[rows] = of_value
    return pd.DataFrame(
        {
            EffectColumns.USER: np.repeat(asked[EffectColumns.USER].to_numpy(dtype=object), treatments),
            EffectColumns.TREATMENT: np.tile(np.array(arms[1:], dtype=object), len(asked)),
            EffectColumns.EFFECT: outcome.ravel(),
            EffectColumns.EFFECT_ON_VALUE: value.ravel(),
        }
    )


def _quality(
    experiment: Experiment, judged: Judged, final: Pair, settings: UpliftSettings, seed: int
) -> dict[str, Any]:
    treatments = []
    for code, name in enumerate(experiment.arms[1:], 1):
        pair, trial = experiment.trial(code, experiment.outcome)
        found = describe_treatment(judged.ordered[pair, code - 1], trial, settings.samples, settings.confidence, seed)
        learners = {"learner": final.outcome.names[code - 1], "learners_of_folds": [names[code - 1] for names in judged.learners]}
        if final.value is not None:
            learners["learner_of_value"] = final.value.names[code - 1]
        treatments.append({"treatment": name, "cost": float(experiment.costs[code]), **learners, **found})
    worth = judged.outcome * settings.outcome_value if judged.value is None else judged.value
    reward = experiment.outcome * settings.outcome_value if experiment.value is None else experiment.value
    policies = describe_policies(
        worth - experiment.costs[1:],
        experiment.arm,
        reward - experiment.costs[experiment.arm],
        experiment.propensity,
        experiment.arms,
        settings.samples,
        settings.confidence,
        seed,
    )
    return {"folds": settings.folds, "confidence": settings.confidence, "treatments": treatments, "policies": policies}
