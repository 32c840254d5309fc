"""Was the treatment drawn at random? Features known before the contact must not tell who got it."""

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError

PARTS = 5  # of the users
MOST_USERS = 200_000  # that a test looks at, drawn at random
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """One arm beside control.

    auc: of telling the arms apart from features, on users that the classifier had not seen; p_value: that chance gives as much.
    difference: the greatest standardised mean difference of a feature, in standard deviations, and its p-value times the number of
    features (Bonferroni).
    """

    treatment: str
    users: int
    auc: float
    p_value: float
    feature: str
    difference: float
    difference_p_value: float


def check_randomised(
    x: Numbers, columns: list[str], arm: NDArray[np.int64], weight: Numbers, arms: list[str], alpha: float, seed: int
) -> dict[str, Any]:
    """Balance of every arm against control, as a JSON document.

    Args:
        x: [users, columns]; arm: [users], 0 is control; weight: [users], 1 / propensity of the own arm, or 1.
        arms: their names, control first. alpha: of all tests together.

    Raises:
        UserError: an arm can be told from the features beyond chance, naming the feature that does.
    """
    rows = np.arange(len(arm))
    if len(rows) > MOST_USERS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_USERS, replace=False))
    tests = 2 * (len(arms) - 1)
    found = []
    for code in range(1, len(arms)):
        pair = rows[(arm[rows] == 0) | (arm[rows] == code)]
        balance = _balance(x[pair], columns, arm[pair] == code, weight[pair], arms[code], seed)
        found.append(asdict(balance))
        if min(balance.p_value, balance.difference_p_value) * tests < alpha:
            raise UserError(_refusal(balance, arms[0], x[pair], columns, arm[pair] == code, weight[pair], seed))
    return {"random": True, "alpha": alpha, "arms": found}


def _balance(
    x: Numbers, columns: list[str], treated: NDArray[np.bool_], weight: Numbers, name: str, seed: int
) -> Balance:
    auc, p_value = separation(x, treated, weight, seed)
    differences, z = _mean_differences(x, treated, weight)
    worst = int(np.argmax(np.abs(z)))
    varying = max(1, int(np.count_nonzero(np.ptp(x, axis=0) > 0)))
    of_worst = min(1.0, 2 * NormalDist().cdf(-abs(float(z[worst]))) * varying)
    return Balance(name, len(x), auc, p_value, columns[worst], float(differences[worst]), of_worst)


def _refusal(
    balance: Balance,
    control: str,
    x: Numbers,
    columns: list[str],
    treated: NDArray[np.bool_],
    weight: Numbers,
    seed: int,
) -> str:
    feature, by = balance.feature, f"its means differ by {abs(balance.difference):.2f} standard deviations"
    if balance.difference_p_value > balance.p_value:  # means may be alike where spreads are not
        alone = [separation(x[:, [column]], treated, weight, seed)[0] for column in range(x.shape[1])]
        worst = int(np.argmax(alone))
        if alone[worst] > 0.5:
            feature, by = columns[worst], f"alone it tells them with an AUC of {alone[worst]:.3f}"
    return (
        f"treatment {balance.treatment!r} was not drawn at random against {control!r}: features known before tell who got it (AUC "
        f"{balance.auc:.3f} on users not learnt from, p = {balance.p_value:.1g}; {feature!r} most: {by}). A difference of outcomes "
        "would be that of the users, not the contact's effect, so no uplift is given. Use a log whose treatment was drawn, give the "
        "column propensity where the draw's probability differed between users, leave out features that were only known after the "
        "contact, or rank by recoverable value until a hold-out has been measured"
    )


def separation(x: Numbers, treated: NDArray[np.bool_], weight: Numbers, seed: int) -> tuple[float, float]:
    """AUC of telling treated from control users, on users new to the classifier, and the one-sided p-value of its being above one half.

    The classifier learns from the first part and is judged on the second, then learns from both and is judged on the third, and so on;
    the AUC is the parts' mean. Given the parts before it, a part's AUC is one half on average where the draw was random, so the parts'
    variances add up (each by DeLong, DeLong and Clarke-Pearson 1988, weighted). In cross-validation they do not: every pair of folds
    counts twice, and random draws would be refused too often.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    parts = [part for _, part in StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(x, treated)]
    aucs, variance = [], 0.0
    for number in range(1, PARTS):
        train, test = np.sort(np.concatenate(parts[:number])), parts[number]
        model = HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=8, min_samples_leaf=min(50, max(5, len(train) // 20)), random_state=seed
        )
        model.fit(x[train], treated[train], sample_weight=weight[train])
        score = model.predict_proba(x[test])[:, 1]
        auc, of_auc = weighted_auc(score, treated[test], weight[test])
        aucs.append(auc)
        variance += of_auc / (PARTS - 1) ** 2
    mean = float(np.mean(aucs))
    if variance == 0:
        return mean, 1.0 if mean <= 0.5 else 0.0
    return mean, NormalDist().cdf((0.5 - mean) / variance**0.5)


def weighted_auc(score: Numbers, positive: NDArray[np.bool_], weight: Numbers) -> tuple[float, float]:
    """Probability that a positive scores above a negative (half where equal), weighted, and the variance of its estimate."""
    mine, others = (_placements(score, arm, weight) for arm in (positive, ~positive))
    auc = float(np.average(mine, weights=weight[positive]))
    variance = 0.0
    for arm, placed, centre in ((positive, mine, auc), (~positive, others, 1 - auc)):
        share = weight[arm] / weight[arm].sum()
        variance += float(np.square(share * (placed - centre)).sum())
    return auc, variance


def _placements(score: Numbers, arm: NDArray[np.bool_], weight: Numbers) -> Numbers:
    """For each user of the arm the weighted share of the other users that score below, half of those that score the same."""
    order = np.argsort(score[~arm], kind="stable")
    other, of_other = score[~arm][order], np.concatenate([[0.0], np.cumsum(weight[~arm][order])])
    below, up_to = (of_other[np.searchsorted(other, score[arm], side=side)] for side in ("left", "right"))
    return np.asarray((below + up_to) / 2 / of_other[-1])


def _mean_differences(x: Numbers, treated: NDArray[np.bool_], weight: Numbers) -> tuple[Numbers, Numbers]:
    """Weighted mean differences in standard deviations, and in standard errors. Each ``[columns]``, 0 where nothing varies."""
    means, variances, errors = [], [], []
    for arm in (treated, ~treated):
        share = weight[arm] / weight[arm].sum()
        mean = share @ x[arm]
        squares = np.square(x[arm] - mean)
        means.append(mean)
        variances.append(share @ squares)
        errors.append(np.square(share) @ squares)
    difference = means[0] - means[1]
    spread, error = np.sqrt((variances[0] + variances[1]) / 2), np.sqrt(errors[0] + errors[1])
    varies = error > 1e-12
    standard = np.divide(difference, spread, out=np.zeros_like(difference), where=varies)
    return standard, np.divide(difference, error, out=np.zeros_like(difference), where=varies)


def check_shares(arm: NDArray[np.int64], propensity: Numbers, arms: list[str], alpha: float) -> None:
    """Whether the given propensities are those of the arms that were drawn: the sum of 1 / propensity over an arm estimates all users.

    Raises:
        UserError: it is off by more than chance gives.
    """
    for code, name in enumerate(arms):
        own = propensity[arm == code]
        total, error = float((1 / own).sum()), float(np.sqrt(((1 - own) / np.square(own)).sum()))
        off = abs(total - len(arm))
        p_value = 2 * NormalDist().cdf(-off / error) if error else float(off < 0.5)
        if p_value * len(arms) < alpha:
            raise UserError(
                f"column propensity: {len(own)} of {len(arm)} users have the treatment {name!r}, and its propensities (mean "
                f"{own.mean():.3g}) do not give that share (p = {p_value:.1g}); give the probability with which each user got the "
                "treatment that the row names"
            )
