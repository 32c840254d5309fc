"""What the pipeline is handed, and what it may not be handed."""

import pytest

from longtail.contracts.errors import UserError
from longtail.pipelines.local.run import RunInputs, run_local
from longtail.pipelines.parameters import arguments
from longtail.pipelines.run_settings import RunSettings


def test_what_is_absent_is_an_empty_text():
    given = arguments("log.csv", "items.csv", None, RunSettings(seed=3))
    assert (given["users"], given["champion"], given["checkpoints"], given["seed"]) == ("", "", "", 3)


@pytest.mark.parametrize("name", ["interactions", "items", "users", "champion"])
def test_a_placeholder_of_kfp_is_refused(name: str):
    given = {
        "interactions": "l.csv",
        "items": "i.csv",
        "users": None,
        "settings": RunSettings(),
        name: "/d/{{$.x}}/t.csv",
    }
    with pytest.raises(UserError, match=rf"^{name}: '/d/{{{{\$\.x}}}}/t\.csv' holds '{{{{\$', .* rename the folder"):
        arguments(**given)


def test_a_placeholder_in_a_setting_is_refused():
    settings = RunSettings.model_validate({"preprocess": {"columns": {"title": "{{$.name}}"}}})
    with pytest.raises(UserError, match=r"^preprocess_settings: .*placeholder"):
        arguments("log.csv", "items.csv", None, settings)


def test_a_placeholder_in_the_folder_of_the_results_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^--out: .*placeholder"):
        run_local(RunInputs("l.csv", "i.csv", None, RunSettings(), tmp_path / "{{$.x}}"))
    assert not list(tmp_path.iterdir())
