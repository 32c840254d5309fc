"""Each stage has a test that walks over all of its settings, and changing the seed changes a result."""

from pathlib import Path

import pytest
from helpers_prepared import write_tiny_prepared

from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.settings_base import Settings
from longtail.pipelines.run_settings import RunSettings

TESTS = Path(__file__).parents[1]
OF_ONE_SETTING = {"refresh": ("mode", "components/refresh/test_refresh.py")}


def test_every_stage_has_its_walk() -> None:
    stages = {name for name, field in RunSettings.model_fields.items() if issubclass(field.annotation, Settings)}
    assert set(RunSettings.model_fields) - stages == {"seed"}
    assert set(RefreshSettings.model_fields) == {OF_ONE_SETTING["refresh"][0]}
    for stage in stages - set(OF_ONE_SETTING):
        walk = TESTS / "components" / stage / f"test_every_{stage}_setting.py"
        assert "test_no_setting_is_forgotten" in walk.read_text()


@pytest.mark.slow
def test_another_seed_trains_another_teacher(tiny_encoder: Path, tmp_path: Path) -> None:
    write_tiny_prepared(tmp_path / "prepared")
    small = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 1}
    settings = FinetuneSettings.model_validate(
        {"language_model": str(tiny_encoder), "adaptation": {"method": "frozen"}, "training": small}
    )
    for seed in (0, 0, 1):
        finetune(tmp_path / "prepared", tmp_path / f"teacher{len(list(tmp_path.glob('teacher?')))}", settings, seed)
    first, again, other = (tmp_path / f"teacher{number}/model.safetensors" for number in range(3))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
