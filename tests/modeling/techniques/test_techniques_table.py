"""The table of techniques names every file, and settings that there are."""

import re
from pathlib import Path

import longtail.modeling.techniques
from longtail.components.distill.settings import DistillSettings
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.settings_base import leaves

FOLDER = Path(longtail.modeling.techniques.__file__).parent
TABLE = (FOLDER / "README.md").read_text()


def test_every_file_has_a_line() -> None:
    files = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}
    assert len(files) > 15
    assert {name for name in files if f"`{name}`" not in TABLE} == set()


def test_every_setting_that_is_named_exists_and_is_off() -> None:
    known = {f"finetune.{key}": field for key, field in leaves(FinetuneSettings).items()}
    known |= {f"distill.{key}": field for key, field in leaves(DistillSettings).items()}
    named = re.findall(r"`((?:finetune|distill|\*)\.[a-z_0-9.]+)", TABLE)
    assert len(named) > 20
    for name in named:
        for key in [name.replace("*", stage) for stage in ("finetune", "distill")]:
            assert known[key].default in (0, 1, False, None, (), "lora", "adamw"), key
