"""The names of columns in what campaigns read and write, and of what they tell apart.

Ids are the user's own strings. Times are int64 microseconds since 1970, as in the Prepared data set.
"""

NOBODY = "none"  # the action, and the treatment in a log, of who is not contacted


class ListColumns:
    """Lists for everybody: one row a user and item, and one row a user."""

    USER = "user_id"
    ITEM = "item_id"
    RANK = "rank"  # int32, from 1
    TITLE = "title"
    SCORE = "score"  # float32
    REASON = "reason"
    SOURCE = "source"
    ABOUT = "about"
    # one row a user
    SEGMENT = "segment"
    EVENTS = "events"  # int32, events of the history
    GIVEN = "given"  # int32, items of the list
    FEWER = "fewer_than_k"  # why, where there are fewer than asked for
    DEGRADED = "degraded"
    # one row an item and an item like it, and one row an item and a user whom it would reach
    LIKE = "similar_to"  # the item whose page it is
    PLACE = "place"  # int32, from 1: of the item in the user's list


class LogColumns:
    """A log of contacts whose treatment was drawn at random, one row a contact, or a user who was drawn to get none."""

    USER = "user_id"
    TREATMENT = "treatment"
    TIME = "time"  # of the contact
    OUTCOME = "outcome"  # float: 1 where the user did what the campaign is for, or how much of it
    VALUE = "value"  # optional, float: what that was worth
    COST = "cost"  # optional, float: of the contact
    PROPENSITY = "propensity"  # optional, float: probability that the user got this treatment
    OUTCOME_TIME = "outcome_time"  # optional: when the outcome came; missing where none did


class StateColumns:
    """The state of every user at a moment, one row a user."""

    USER = "user_id"
    SEGMENT = "segment"
    EVENTS = "events"  # int64
    DAYS_SINCE_FIRST = "days_since_first"  # float; missing without events
    DAYS_SINCE_LAST = "days_since_last"  # float; missing without events
    USUAL_GAP_DAYS = "usual_gap_days"  # float; missing with fewer than two days that had events
    EXPECTED_GAP_DAYS = (
        "expected_gap_days"  # float: the user's own with two gaps or more, else the shop's; missing where unknown
    )
    TREND = "trend"  # float: events of the later half of the time looked at less those of the earlier half, over all
    STATE = "state"  # one of STATES
    RETURNS = "return_probability"  # float, of an event within the horizon
    USUAL_VALUE = "usual_value"  # float, mean value of an event; missing without


STATES = ("never", "new", "active", "at_risk", "dormant")


class EffectColumns:
    """What a contact changes, one row a user and treatment."""

    USER = "user_id"
    TREATMENT = "treatment"
    EFFECT = "effect"  # float, on the outcome
    EFFECT_ON_VALUE = "effect_on_value"  # float; missing where the log holds no values


class PlanColumns:
    """A campaign's plan, one row a user."""

    USER = "user_id"
    SEGMENT = "segment"
    STATE = "state"
    ARM = "arm"  # one of ARMS
    ACTION = "action"  # name of the offer, NOBODY without
    CHANNEL = "channel"
    COST = "cost"  # float, 0 without contact
    EXPECTED = "expected"  # float, worth of the contact as the ranking expects it; missing where unknown
    WHY = "why"  # why the user is not contacted, where nobody chose that
    STRATUM = "stratum"
    PROPENSITY = "propensity"  # float, probability of the arm
    SEND_AT = "send_at"  # int64 microseconds
    ITEMS = "items"  # list[str]
    REASONS = "reasons"  # list[str]
    MESSAGE = "message"
    PRE_VALUE = (
        "pre_value"  # float, events in the horizon before the plan, which makes the measured effect more precise
    )


CONTACT, HELD_OUT, LEFT = "contact", "hold-out", "left"
ARMS = (CONTACT, HELD_OUT, LEFT)
