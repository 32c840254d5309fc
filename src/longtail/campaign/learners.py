"""S, T, X and DR learners: EconML's, with scikit-learn's boosted trees below, on features as one matrix of numbers.

EconML (MIT, PyWhy) is the one library of the three that has all four learners, supports Python 3.11 to 3.13 and is kept up with
scikit-learn; scikit-uplift has no X and DR learner, and CausalML brings XGBoost, NVIDIA's NCCL and a code formatter along.
It is imported when a learner is fitted, not before.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.contracts.errors import UserError

LEARNERS: tuple[Literal["s"], Literal["t"], Literal["x"], Literal["dr"]] = ("s", "t", "x", "dr")
MOST_LEVELS = 20  # of a text; rarer ones are one level together
AT_ONCE = 100_000  # rows predicted at a time
LEAST_PROPENSITY = 0.01  # a DR learner divides by no less

Numbers = NDArray[np.float64]
Predict = Callable[[Numbers], Numbers]  # [rows, columns] -> effects [rows, treatments]


class Encoder:
    """Features as numbers: a number as it is, its median where it is missing and a column that says so; a text as one column a level."""

    def __init__(self, features: pd.DataFrame) -> None:
        """Learn levels and medians.

        Raises:
            UserError: there is no feature, or one that is neither numbers nor texts.
        """
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        if not len(features.columns):
            raise UserError(
                "there are no features, so no effect can differ between users; give columns known before the contact"
            )
        self.numbers = [name for name in features if _is_number(features[name])]
        self.texts = [name for name in features if name not in self.numbers]
        self._transform = ColumnTransformer(
            [
                (
                    "number",
                    SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                    self.numbers,
                ),
                (
                    "text",
                    OneHotEncoder(
                        handle_unknown="infrequent_if_exist", max_categories=MOST_LEVELS, sparse_output=False
                    ),
                    self.texts,
                ),
            ],
            verbose_feature_names_out=False,
        )
        self._transform.fit(self._prepared(features))
        self.columns = [str(name) for name in self._transform.get_feature_names_out()]

    def encoded(self, features: pd.DataFrame) -> Numbers:
        """``[rows, columns]``

        Raises:
            UserError: a feature of the log is missing, or holds text instead of numbers.
        """
        missing = [name for name in (*self.numbers, *self.texts) if name not in features]
        if missing:
            raise UserError(
                f"the users asked about have no column {', '.join(map(str, missing))}, which the log's features have; add it"
            )
        wrong = [name for name in self.numbers if not _is_number(features[name])]
        if wrong:
            raise UserError(
                f"feature {wrong[0]!r} holds numbers in the log and text for the users asked about; give numbers"
            )
        return np.asarray(self._transform.transform(self._prepared(features)), dtype=np.float64)

    def _prepared(self, features: pd.DataFrame) -> pd.DataFrame:
        numbers = features[self.numbers].astype(np.float64).replace([np.inf, -np.inf], np.nan)
        return pd.concat([numbers, features[self.texts].astype(object).fillna("").astype(str)], axis=1)


def fit_learner(
    name: str, x: Numbers, outcome: Numbers, arm: NDArray[np.int64], propensity_varies: bool, seed: int
) -> Predict:
    """Fit one learner.

    Args:
        name: one of ``LEARNERS``.
        x: [users, columns]; outcome: [users]; arm: [users], 0 is control, then 1, 2, ... without a gap.
        propensity_varies: the arms' probabilities follow from features, not the same for all.
    """
    from econml.dr import DRLearner
    from econml.metalearners import SLearner, TLearner, XLearner
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    propensity: Any = DummyClassifier(strategy="prior")  # a random draw: the arm's share
    if propensity_varies:
        propensity = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    made: dict[str, Callable[[], Any]] = {
        "s": lambda: SLearner(overall_model=_trees(seed)),
        "t": lambda: TLearner(models=_trees(seed)),
        "x": lambda: XLearner(models=_trees(seed), propensity_model=propensity),
        "dr": lambda: DRLearner(
            model_propensity=propensity,
            model_regression=_trees(seed),
            model_final=_trees(seed),
            min_propensity=LEAST_PROPENSITY,
            cv=2,
            random_state=seed,
        ),
    }
    learner = made[name]()
    learner.fit(outcome, arm, X=x)

    def predict(rows: Numbers) -> Numbers:
        parts = [rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE)]
        return np.concatenate([np.asarray(learner.const_marginal_effect(part), np.float64) for part in parts])

    return predict


def _trees(seed: int) -> Any:
    """Small trees, strongly held back: effects are small beside the outcomes' noise."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=40, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=50, l2_regularization=1.0, random_state=seed
    )


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column)
