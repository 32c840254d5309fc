"""Settings of a campaign: offers, budget, who may be contacted when, the hold-out, and how effects are estimated."""

import re
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from longtail.campaign.how import ReturnSettings, StateSettings, UpliftSettings
from longtail.campaign.messages import check_template
from longtail.contracts.campaign import NOBODY
from longtail.contracts.settings_base import Place, Settings

CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


class OfferSettings(Settings):
    """What a user may be offered, by which channel, and what that costs."""

    name: str = Field(min_length=1, description="Name of the offer: the action of the plan.")
    channel: str = Field(min_length=1, description="By which channel it comes; consent is given by channel.")
    cost: float = Field(ge=0, allow_inf_nan=False, description="Cost of one contact, in the unit of the budget.")
    capacity: int | None = Field(None, ge=0, description="Contacts at most; none: no limit.")
    treatment: str | None = Field(
        None,
        description="The treatment of the log whose effect it is expected to have; none: the one of the offer's name.",
    )
    template: str = Field(
        "Hello! We thought of you: $titles.",
        description="Message: $title, $reason and $item of the first item, $titles of all, $offer, $channel, $user; $$ is a dollar.",
    )
    all: tuple[str, ...] = Field((), description="Attributes that each of its items must have; needs a bundle.")
    none: tuple[str, ...] = Field((), description="Attributes that none of its items may have; needs a bundle.")
    ranges: dict[str, tuple[float | None, float | None]] = Field(
        {}, description="Number of the items -> least and greatest value, none: no bound; needs a bundle."
    )

    @property
    def narrows(self) -> bool:
        """Whether its items are others than those of everybody's list."""
        return bool(self.all or self.none or self.ranges)

    @model_validator(mode="after")
    def _usable(self) -> "OfferSettings":
        if self.name == NOBODY:
            raise ValueError(f"an offer cannot be called {NOBODY!r}, which is no contact; give it another name")
        check_template(self.template, self.name)
        return self


class CapSettings(Settings):
    """How often a user is contacted at most, by the log of contacts."""

    contacts: int = Field(1, ge=1, description="Contacts at most, this one included, ...")
    days: float = Field(7.0, gt=0, description="... within so many days up to the moment of this one.")


class QuietSettings(Settings):
    """Hours in which nobody is contacted: what would fall there is sent when they end."""

    start: str = Field("21:00", pattern=CLOCK, description="When they begin, hours and minutes of the user's clock.")
    end: str = Field("08:00", pattern=CLOCK, description="When they end; the same as the start: there are none.")
    time_zone: str = Field(
        "UTC", description="The shop's time zone (Europe/Berlin), of users without one of their own."
    )
    column: str | None = Field(
        None, description="Column of the users table that names their time zones; none: the shop's."
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("is no time zone; give one as Europe/Berlin")
        return name

    @property
    def minutes(self) -> tuple[int, int]:
        """Start and end, minutes of the day."""
        start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (self.start, self.end))
        return start, end


class HoldOutSettings(Settings):
    """Who is not contacted so that the effect can be measured."""

    share: float | None = Field(
        None, gt=0, le=0.5, description="Of those who would be contacted; none: as the power calculation says."
    )
    least_effect: float = Field(
        0.02, gt=0, description="Least increase of the outcome that is to be seen, .02: two points of a rate."
    )
    baseline: float | None = Field(
        None, ge=0, description="Rate (or mean) of the outcome without contact; none: the mean probability to return."
    )
    deviation: float | None = Field(
        None, gt=0, description="Standard deviation of the outcome, where it is an amount; none: it is a rate."
    )
    power: float = Field(0.8, gt=0.5, lt=1, description="Probability to see an effect of that size.")
    significance: float = Field(0.05, gt=0, lt=0.5, description="Of the two-sided test.")
    too_small: Literal["refuse", "say"] = Field(
        "refuse",
        description="A campaign that cannot prove that effect: refuse it, or plan it and say what it can prove.",
    )


class RewriteSettings(Settings):
    """An OpenAI-compatible endpoint that rewrites messages; what it may not say falls back to the template."""

    url: str = Field(pattern=r"^https?://", description="Address up to /v1: .../chat/completions is asked.")
    model: str = Field(min_length=1, description="Name of the model.")
    token_variable: str | None = Field(
        None, pattern=r"^[A-Z_][A-Z0-9_]*$", description="Environment variable that holds the token; none: no token."
    )
    instruction: str = Field(
        "Rewrite the message so that it is friendly and short. Keep every product name as it is.",
        description="What the model is asked to do.",
    )
    allowed_claims: tuple[str, ...] = Field(
        (), description="Phrases that a message may hold beside titles and prices, such as free returns."
    )
    timeout_seconds: float = Field(20.0, gt=0, le=300, description="For one message.")
    most_characters: int = Field(600, ge=40, le=10_000, description="Of a message; a longer one falls back.")
    stop_after: int = Field(
        20, ge=1, description="Failures of the endpoint in a row after which it is not asked again."
    )


AnyPlace = Annotated[str | None, Place()]


class CampaignSettings(Settings):
    """A campaign."""

    name: str = Field("campaign", min_length=1, description="Name of the campaign.")
    offers: tuple[OfferSettings, ...] = Field((), description="What may be offered; none: no campaign is planned.")
    budget: float | None = Field(None, ge=0, allow_inf_nan=False, description="Spent at most; none: no limit.")
    channels: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {}, description="Channel -> contacts at most over its offers."
    )
    items: int = Field(3, ge=1, le=50, description="Items of a message at most.")
    fewest_items: int = Field(1, ge=0, description="Who has fewer is not contacted; 0: offers without items.")
    horizon_days: float = Field(30.0, gt=0, description="Days after the contact in which the outcome counts.")
    value_of_outcome: float | None = Field(
        None, gt=0, description="Worth of one activated user in the unit of the budget; none: as log and events say."
    )
    cap: CapSettings | None = Field(None, description="How often a user is contacted at most; none: no limit.")
    quiet: QuietSettings | None = Field(None, description="Hours in which nobody is contacted; none: any time.")
    hold_out: HoldOutSettings = Field(HoldOutSettings(), description="The proof.")
    rewrite: RewriteSettings | None = Field(None, description="Who rewrites messages; none: templates as they are.")
    price: str | None = Field(None, description="Number of the items that is their price, for $price; needs a bundle.")
    states: StateSettings = Field(StateSettings(), description="How users are told apart.")
    most_learnt_from: int = Field(
        100_000, ge=1000, description="Users at most from whom the probability to return is learnt."
    )
    uplift: UpliftSettings = Field(UpliftSettings(), description="How effects are learnt from a log.")
    log: tuple[Annotated[str, Place()], ...] = Field(
        (),
        description="Logs of randomised contacts, each judged by itself; none: the effect is unknown, and the plan says so.",
    )
    consent: AnyPlace = Field(
        None, description="Table user_id, channel of who agreed to be contacted; needed for a plan."
    )
    do_not_contact: AnyPlace = Field(None, description="Table user_id of those who are never contacted.")
    contacts: AnyPlace = Field(None, description="Log of contacts, user_id and time, for the cap.")
    pseudonyms_key: AnyPlace = Field(
        None, description="File of a secret key: ids of users are written as its HMAC; none: ids as they are."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "CampaignSettings":
        names = [offer.name for offer in self.offers]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"offers: {twice[0]!r} is there twice; give every offer a name of its own")
        known = {offer.channel for offer in self.offers}
        if unknown := sorted(set(self.channels) - known):
            raise ValueError(f"channels: no offer comes by {unknown[0]!r} (they come by {', '.join(sorted(known))})")
        if self.cap is None and self.contacts is not None:
            raise ValueError("contacts: has no effect without cap; give cap, or leave it out")
        if self.fewest_items > self.items:
            raise ValueError(f"fewest_items ({self.fewest_items}) is above items ({self.items})")
        if self.offers and self.price is None and any(re.search(r"\$\{?price\b", one.template) for one in self.offers):
            raise ValueError("offers: a template says $price, but price names no number of the items")
        return self

    @property
    def asked(self) -> bool:
        """Whether a campaign is to be planned."""
        return bool(self.offers)

    @property
    def returning(self) -> ReturnSettings:
        return ReturnSettings(horizon_days=self.horizon_days, most_users=self.most_learnt_from)
