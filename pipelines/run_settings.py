"""Settings of a whole run: what one YAML file holds, the settings of every stage."""

import os
from collections.abc import Sequence

from pydantic import Field, model_validator

from longtail.components.campaign.settings import CampaignSettings
from longtail.components.deploy.settings import DeploySettings
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.settings_base import Settings, parse, read_document


class RunSettings(Settings):
    """All stages' settings: what one YAML file holds."""

    seed: int = Field(
        0, ge=0, description="Seed of everything random; same seed, same machine, same threads: same result."
    )
    preprocess: PreprocessSettings = PreprocessSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    distill: DistillSettings = DistillSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    refresh: RefreshSettings = RefreshSettings()
    campaign: CampaignSettings = CampaignSettings()
    deploy: DeploySettings = DeploySettings()

    @model_validator(mode="after")
    def _one_teacher_is_retrained(self) -> "RunSettings":
        if self.refresh.mode == "retrain" and self.distill.extra_teachers:
            raise ValueError(
                "refresh.mode retrain trains one teacher, and distill.extra_teachers names more; take refresh.mode refresh"
            )
        return self


def load_settings(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> RunSettings:
    """Read a YAML settings file; without one, the defaults. ``overrides``: ``stage.key=value``, the value in YAML.

    Raises:
        UserError: naming file, key and remedy.
    """
    return parse(RunSettings, *read_document(path, overrides))
