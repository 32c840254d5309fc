"""Expected rewards of every round and action, from models that did not see the round: what DM and DR ask for.

One generalised linear model: features of the round, effects of the action and of the position. It is quick, it has no memory of
single rounds where rewards are rare, and DR is right without it being right.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Logged

Numbers = NDArray[np.float64]
MOST_NUMBERS = 200_000_000  # rounds x actions that are held
FOLDS = 5


def cross_fitted(logged: Logged, n_actions: int, folds: int = FOLDS, seed: int = 0, strength: float = 1.0) -> Numbers:
    """Rewards that the models of the other folds expect. ``[rounds, actions]``

    Logistic regression where all rewards are 0 or 1, else ridge regression. Rounds of one user are in one fold.

    Args:
        strength: inverse of the penalty on squared coefficients, C of scikit-learn.

    Raises:
        UserError: there are fewer users, or rounds, than folds, or more numbers than memory is meant to hold.
    """
    rounds = len(logged)
    if (why := hindrance(logged, n_actions, folds)) is not None:
        raise UserError(f"{why}; take ips or snips, or another part of the log")
    features, own = _features(logged, n_actions)
    design = sparse.hstack([features, own], format="csr")
    expected = np.empty((rounds, n_actions))
    split = KFold(folds, shuffle=True, random_state=seed) if logged.user is None else GroupKFold(folds)
    for train, test in split.split(np.zeros(rounds), groups=logged.user):
        expected[test] = _predicted(design[train], logged.reward[train], features[test], n_actions, strength)
    return expected


def hindrance(logged: Logged, n_actions: int, folds: int = FOLDS) -> str | None:
    """Why there can be no reward model, if so."""
    units = len(logged) if logged.user is None else len(np.unique(logged.user))
    if units < folds:
        return f"{units} {'rounds' if logged.user is None else 'users'} cannot be cut into {folds} folds for a reward model"
    if len(logged) * n_actions > MOST_NUMBERS:
        return f"{len(logged):,} rounds x {n_actions:,} actions are too many for a reward model"
    return None


def _features(logged: Logged, n_actions: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Of the round: its context in deviations, and its position; of the action taken. ``[rounds, features], [rounds, actions]``"""
    rows, ones = np.arange(len(logged)), np.ones(len(logged))
    parts = [sparse.csr_matrix((len(logged), 0))]
    if logged.context is not None:
        spread = logged.context.std(axis=0)
        parts.append(
            sparse.csr_matrix((logged.context - logged.context.mean(axis=0)) / np.where(spread > 0, spread, 1))
        )
    if logged.position is not None:
        places, code = np.unique(logged.position, return_inverse=True)
        parts.append(sparse.csr_matrix((ones, (rows, code.reshape(-1))), shape=(len(logged), len(places))))
    own = sparse.csr_matrix((ones, (rows, logged.action)), shape=(len(logged), n_actions))
    return sparse.hstack(parts, format="csr"), own


def _predicted(
    design: sparse.csr_matrix, reward: Numbers, asked: sparse.csr_matrix, n_actions: int, strength: float
) -> Numbers:
    """``[asked rounds, actions]``: the linear part splits into one of the round and one of the action."""
    binary = np.isin(reward, (0.0, 1.0)).all()
    if np.ptp(reward) == 0:
        return np.full((asked.shape[0], n_actions), reward[0])
    model = LogisticRegression(C=strength, max_iter=1000) if binary else Ridge(alpha=1 / strength)
    model.fit(design, reward)
    coefficients, constant = np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])
    n_features = asked.shape[1]
    linear = (asked @ coefficients[:n_features])[:, None] + coefficients[n_features:][None, :] + constant
    return np.asarray(1 / (1 + np.exp(-linear)) if binary else linear, dtype=np.float64)
