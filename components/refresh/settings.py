"""Settings of the refresh: what the bundle that is served has learnt from."""

from typing import Literal

from pydantic import Field

from longtail.contracts.settings_base import Settings


class RefreshSettings(Settings):
    """What the bundle that is served learns from the validation and test events, once the gate has passed."""

    mode: Literal["refresh", "retrain", "none"] = Field(
        "refresh",
        description="`refresh`: what counting gives is made again from all events; `retrain`: teacher and student "
        "are trained on all events too, for the epochs that validation chose; `none`: the measured bundle is served.",
    )
