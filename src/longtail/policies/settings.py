"""Settings of learning a policy from a log."""

from typing import Literal

from pydantic import Field

from longtail.contracts.settings_base import Settings

Method = Literal["thompson", "linucb", "policy-gradient"]


class LearningSettings(Settings):
    """How a policy is learnt from a log, and when it is kept."""

    candidates: int = Field(
        1000, ge=2, description="The student's best items that a list is taken to be drawn from; more take longer."
    )
    window_hours: float = Field(
        24.0, gt=0, description="Hours in which a choice counts for the list that showed the item."
    )
    folds: int = Field(5, ge=2, le=20, description="Parts of the users, each judged by what the others taught.")
    least_effective_lists: float = Field(
        200.0, ge=1, description="A policy whose value rests on fewer lists, by their weights, is not kept."
    )


class GradientSettings(Settings):
    """Of policy-gradient alone."""

    top_k: int | None = Field(
        None, ge=1, description="K of the top-K correction; none takes the length of the log's lists."
    )
    cap: float = Field(10.0, gt=1, description="Greatest importance weight; a lesser one is steadier, and more biased.")
    steps: int = Field(60, ge=1, description="Steps up the gradient.")
    penalty: float = Field(
        0.3, ge=0, description="What holds the student's ranking: of squared changes of its weights."
    )
