"""What a contact changes for each user, learnt from a log whose treatment was drawn at random.

What is judged is out of fold: the effects of a fold's users come from models, and from a choice of learner, that never saw them.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.choosing_learner import Learned, learn, levelled
from longtail.campaign.effect_quality import Resampling, describe_policies, describe_treatment
from longtail.campaign.experiment import Experiment, checked, experiment_of
from longtail.campaign.how import UpliftSettings
from longtail.campaign.learners import AT_ONCE, Encoder
from longtail.campaign.randomisation import check_randomised, check_shares
from longtail.contracts.campaign import EffectColumns, LogColumns

Numbers = NDArray[np.float64]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Effects:
    """table: columns of ``EffectColumns``, one row an asked user and treatment, in the order asked.

    quality: by treatment what ``effect_quality`` describes, and the value of policies; randomisation: the imbalance test. Both are
    JSON documents.
    """

    table: pd.DataFrame
    quality: dict[str, Any]
    randomisation: dict[str, Any]


def estimate_effects(
    log: pd.DataFrame,
    features: pd.DataFrame,
    asked: pd.DataFrame,
    settings: UpliftSettings,
    seed: int,
    outcome_value: float = 1.0,
) -> Effects:
    """Effects of every treatment on outcome and value of the users who are asked about.

    Args:
        log: of ``read_log``: one row a user.
        features: [rows of log, features], numbers or texts known before the contact; row i belongs to row i of log.
        asked: user_id and the same features, one row a user; other columns are not read.
        outcome_value: worth of one outcome in the unit of costs, where the log has no values: for the value of policies.

    Raises:
        UserError: the treatment was not random, naming the feature that tells; too few users in an arm; outcomes all alike;
            propensities that are not the arms' shares; features that differ.
    """
    encoder = Encoder(checked(log, features))
    experiment = experiment_of(log, encoder.encoded(features), settings.control, settings.costs)
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
    quality = _quality(experiment, judged, final, settings, seed, outcome_value)
    return Effects(_table(final, encoder, asked, experiment.arms), quality, balance)


def learn_effects(
    log: pd.DataFrame, features: pd.DataFrame, asked: pd.DataFrame, settings: UpliftSettings, seed: int
) -> pd.DataFrame:
    """The table of ``estimate_effects`` alone, neither judged nor checked: quick, for a log that is known to be random."""
    encoder = Encoder(checked(log, features))
    experiment = experiment_of(log, encoder.encoded(features), settings.control, settings.costs)
    return _table(_learn(experiment, np.arange(len(log)), settings, seed), encoder, asked, experiment.arms)


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

    ordered: those on the outcome, every fold's moved to the mean of all.
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
        ordered[test] = levelled(outcome[test])
        learners.append(found.outcome.names)
        _log.info("fold %d of %d: %s", number, settings.folds, ", ".join(found.outcome.names))
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
    experiment: Experiment, judged: Judged, final: Pair, settings: UpliftSettings, seed: int, outcome_value: float
) -> dict[str, Any]:
    resampling = Resampling(settings.samples, settings.confidence, seed)
    treatments = []
    for code, name in enumerate(experiment.arms[1:], 1):
        pair, trial = experiment.trial(code, experiment.outcome)
        found = describe_treatment(judged.ordered[pair, code - 1], trial, resampling)
        learners = {
            "learner": final.outcome.names[code - 1],
            "learners_of_folds": [names[code - 1] for names in judged.learners],
        }
        if final.value is not None:
            learners["learner_of_value"] = final.value.names[code - 1]
        treatments.append({"treatment": name, "cost": float(experiment.costs[code]), **learners, **found})
    worth = judged.outcome * outcome_value if judged.value is None else judged.value
    reward = experiment.outcome * outcome_value if experiment.value is None else experiment.value
    policies = describe_policies(
        worth - experiment.costs[1:],
        experiment.arm,
        reward - experiment.costs[experiment.arm],
        experiment.propensity,
        experiment.arms,
        resampling,
    )
    return {"folds": settings.folds, "confidence": settings.confidence, "treatments": treatments, "policies": policies}
