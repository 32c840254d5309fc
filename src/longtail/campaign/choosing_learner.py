"""One learner of effects, or the choice among several by users whom none of them had seen."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from longtail.campaign.learners import LEARNERS, Predict, fit_learner
from longtail.metrics.uplift import Ranked, Trial, calibration

CONSTANT = "none"
FOLLOWS = "outcome"  # an effect on value that is the one on the outcome times the value that an added outcome brought
INNER_FOLDS = 3
# Standard errors of the calibration's slope above 0 from which effects are taken to differ: 1.645 (one-sided 95 %) times the root of 2,
# as folds that learn from each other count every chance pattern twice.
PROOF = 2.33
KNOWN = 1.96  # standard errors of the average effect from which its ratio to another is taken
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """Effects of every treatment: average + slope x (what its learner says - the learner's mean). All lists by treatment.

    names: the learners, ``none`` where the effect is the average for everybody.
    """

    names: list[str]
    average: Numbers
    error: Numbers  # standard error of the average
    slope: Numbers
    centre: Numbers
    models: dict[str, Predict]
    ratio: Numbers | None = None  # of the average effect on value to that on the outcome, where it is followed

    def effects(self, x: Numbers, of_outcome: Numbers | None = None) -> Numbers:
        """``[rows, treatments]``; of_outcome: effects on the outcome, for what follows them."""
        said = {name: model(x) for name, model in self.models.items()}
        found = np.tile(self.average, (len(x), 1))
        for treatment, name in enumerate(self.names):
            if name in said:
                found[:, treatment] += self.slope[treatment] * (said[name][:, treatment] - self.centre[treatment])
            elif name == FOLLOWS and of_outcome is not None and self.ratio is not None:
                found[:, treatment] = of_outcome[:, treatment] * self.ratio[treatment]
        return found

    def following(self, outcome: "Learned") -> "Learned":
        """These effects, on value, following those on the outcome where they differ between users and these do not.

        Values vary more than outcomes, so their own differences are rarely proven.
        """
        names = list(self.names)
        ratio = np.divide(self.average, outcome.average, out=np.zeros_like(self.average), where=outcome.average != 0)
        for treatment, name in enumerate(names):
            known = abs(outcome.average[treatment]) > KNOWN * outcome.error[treatment]
            if name == CONSTANT and outcome.names[treatment] != CONSTANT and known:
                names[treatment] = FOLLOWS
        return replace(self, names=names, ratio=ratio)


def learn(
    result: Numbers,
    x: Numbers,
    arm: NDArray[np.int64],
    weight: Numbers,
    propensity_varies: bool,
    learner: str,
    seed: int,
) -> Learned:
    """Learn effects on ``result``.

    Args:
        result, arm, weight: [users]; arm 0 is control; weight is 1 / propensity. x: [users, columns].
        learner: a learner as it is; ``none``; or ``auto``, which chooses for each treatment and shrinks.
    """
    treatments = int(arm.max())
    averages = [_trial(result, arm, weight, code)[1].average() for code in range(1, treatments + 1)]
    names, slope = [learner] * treatments, np.ones(treatments)
    if learner == "auto":
        names, slope = _choose(result, x, arm, weight, propensity_varies, seed)
    models = {
        name: fit_learner(name, x, result, arm, propensity_varies, seed) for name in sorted({*names} - {CONSTANT})
    }
    average, centre = np.array([mean for mean, _ in averages]), np.zeros(treatments)
    for treatment, name in enumerate(names):
        if name in models:
            centre[treatment] = float(models[name](x)[:, treatment].mean())
            if learner != "auto":
                average[treatment] = centre[treatment]  # as the library says it
    return Learned(names, average, np.array([error for _, error in averages]), slope, centre, models)


def _choose(
    result: Numbers, x: Numbers, arm: NDArray[np.int64], weight: Numbers, propensity_varies: bool, seed: int
) -> tuple[list[str], Numbers]:
    """For each treatment the learner with the highest Qini coefficient out of fold, and the slope of its calibration, at most 1."""
    from sklearn.model_selection import StratifiedKFold

    treatments = int(arm.max())
    said = {name: np.empty((len(x), treatments)) for name in LEARNERS}
    for train, test in StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(x, arm):
        for name in LEARNERS:
            model = fit_learner(name, x[train], result[train], arm[train], propensity_varies, seed)
            said[name][test] = levelled(model(x[test]))
    names, slopes = [], np.zeros(treatments)
    for treatment in range(treatments):
        pair, trial = _trial(result, arm, weight, treatment + 1)
        of_pair = {name: effects[pair, treatment] for name, effects in said.items()}
        best = max(of_pair, key=lambda name: Ranked(of_pair[name], trial).qini())
        line = calibration(of_pair[best], trial)
        proven = line.slope > PROOF * line.error  # also false where a slope is nan
        names.append(best if proven else CONSTANT)
        slopes[treatment] = min(line.slope, 1.0) if proven else 0.0
    return names, slopes


def levelled(effects: Numbers) -> Numbers:
    """A fold's effects less their mean, [users, treatments]; exactly 0 where they are all alike.

    Where a fold has good luck, the models of the others have bad luck: left in, that turns the order of users of several folds round.
    """
    return np.where(np.ptp(effects, axis=0) == 0, 0.0, effects - effects.mean(axis=0))


def _trial(result: Numbers, arm: NDArray[np.int64], weight: Numbers, code: int) -> tuple[NDArray[np.bool_], Trial]:
    pair = (arm == 0) | (arm == code)
    return pair, Trial.of(result[pair], arm[pair] == code, weight[pair])
