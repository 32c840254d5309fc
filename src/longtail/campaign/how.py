"""Settings of states, returns and effects, without what computes them: a run's settings are read where nothing heavy is imported."""

from typing import Literal

from pydantic import Field, model_validator

from longtail.contracts.campaign import NOBODY
from longtail.contracts.settings_base import Settings

DEFAULTS = {"gaps": (2.0, 4.0), "quantiles": (0.5, 0.8)}


class StateSettings(Settings):
    """How users are told apart at a decision moment."""

    rule: Literal["gaps", "quantiles"] = Field(
        "gaps",
        description="`gaps`: days since the last event in multiples of the usual gap, the user's own from two gaps on, else the "
        "shop's; `quantiles`: rank of the days since the last event among the users with events.",
    )
    at_risk_after: float | None = Field(
        None, gt=0, description="Usual gaps, or share of users, from which on a user is at risk; none: 2 gaps, or .5."
    )
    dormant_after: float | None = Field(
        None, gt=0, description="Usual gaps, or share of users, from which on a user is dormant; none: 4 gaps, or .8."
    )
    new_within_days: float = Field(
        30.0, ge=0, description="Whose first event is at most so many days ago is new; 0: nobody is."
    )
    trend_days: float = Field(
        180.0, gt=0, description="Days before the moment whose later half is compared with the earlier one."
    )
    shop_gap_days: float | None = Field(
        None, gt=0, description="The shop's usual gap in days; none: the median of the users' own."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "StateSettings":
        first, second = self.limits
        if first >= second:
            raise ValueError(f"at_risk_after ({first:g}) must be below dormant_after ({second:g})")
        if self.rule == "quantiles" and second >= 1:
            raise ValueError(f"dormant_after ({second:g}) is a share of users with rule: quantiles; give one below 1")
        if self.rule == "quantiles" and self.shop_gap_days is not None:
            raise ValueError("shop_gap_days has no effect with rule: quantiles; leave it out")
        return self

    @property
    def limits(self) -> tuple[float, float]:
        at_risk, dormant = DEFAULTS[self.rule]
        return (
            at_risk if self.at_risk_after is None else self.at_risk_after,
            dormant if self.dormant_after is None else self.dormant_after,
        )


class ReturnSettings(Settings):
    """How the probability to return is learnt."""

    horizon_days: float = Field(30.0, gt=0, description="Days within which an event counts as a return.")
    most_users: int = Field(
        100_000,
        ge=1000,
        description="Users to learn from, drawn at random where there are more: bounds time and memory.",
    )


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
    samples: int = Field(1000, ge=100, description="Resamplings of users for intervals.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of all intervals.")
    imbalance_alpha: float = Field(
        0.001,
        gt=0,
        lt=0.1,
        description="How rarely a treatment that was drawn at random is refused as one that was not.",
    )
