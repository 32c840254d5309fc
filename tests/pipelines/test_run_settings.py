import pytest

from longtail.components.distill.settings import DistillSettings
from longtail.components.finetune.settings import FinetuneSettings, TeacherTraining
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json
from longtail.pipelines.run_settings import RunSettings, load_settings


def write(folder, text):
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def test_defaults_without_a_file_and_from_an_empty_one(tmp_path):
    assert load_settings(None) == RunSettings()
    assert load_settings(write(tmp_path, "")) == RunSettings()


@pytest.mark.parametrize("written", ["1e-5", "1E-5", "1.0e-05", "0.00001", "'1e-5'"])
def test_every_way_to_write_a_small_number_is_that_number(tmp_path, written):
    path = write(tmp_path, f"finetune: {{training: {{learning_rate: {written}}}}}")
    assert load_settings(path).finetune.training.learning_rate == 1e-5


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "finetune: {training: {epoch: 3}}",
            r"settings\.yaml: there is no setting 'finetune\.training\.epoch'; known here: .*epochs",
        ),
        ("finetune: {epochs: 3}", r"settings\.yaml: 'finetune\.epochs' is now 'finetune\.training\.epochs'"),
        ("finetune: {adaptation: frozen}", r"'finetune\.adaptation' is now 'finetune\.adaptation\.method'"),
        ("finetune: {adapt_batch: 8}", r"'finetune\.adapt_batch' is now 'finetune\.adaptation\.batch'"),
        ("distill: {int8_items: true}", r"'distill\.int8_items' is now 'distill\.compression\.int8_items'"),
        (
            "fine_tune: {}",
            r"there is no setting 'fine_tune'; known here: campaign, deploy, distill, evaluate, finetune",
        ),
        (
            "finetune: {training: {learning_rate: 1e-5x}}",
            r"finetune\.training\.learning_rate: .*valid number.*\(given: '1e-5x'\)",
        ),
        ("deploy: {min_replicas: 5}", r"min_replicas 5 is above max_replicas 3; raise the latter"),
        (
            "finetune: {training: {epochs: -1}}",
            r"finetune\.training\.epochs: .*greater than or equal to 0 \(given: -1\)",
        ),
        ("finetune: {training: {epochs: 1.5}}", r"finetune\.training\.epochs: .*integer.*\(given: 1\.5\)"),
        ("finetune: {training: {dim: 30, heads: 4}}", r"dim 30 is not a multiple of heads 4; take dim 28"),
        ("preprocess: {event_weights: {view: 1}}", r"'preprocess\.event_weights' is now 'preprocess\.events'"),
        ("preprocess: {rating_scale: user}", r"no setting 'preprocess\.rating_scale' any more: .* by min_rating"),
        ("finetune: 3", r"finetune: .*FinetuneSettings \(given: 3\)"),
        ("- finetune", r"holds a list, but a mapping of settings is needed"),
        ("finetune: {training: {epochs: [", r"is not valid YAML"),
    ],
)
def test_faults_name_file_key_and_value(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load_settings(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "settings.yaml" in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_settings(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_settings(tmp_path)


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path):
    path = write(tmp_path, "finetune: {training: {epochs: 5, dim: 64}}\nseed: 7")
    settings = load_settings(
        path, ["finetune.training.epochs=2", "finetune.training.epochs=3", "distill.training.learning_rate=1e-5"]
    )
    assert (settings.finetune.training.epochs, settings.finetune.training.dim, settings.seed) == (3, 64, 7)
    assert settings.distill.training.learning_rate == 1e-5


def test_overrides_take_lists_and_nested_keys():
    settings = load_settings(None, ["evaluate.cutoffs=[10, 50]", "preprocess.columns.user_id=customer"])
    assert settings.evaluate.cutoffs == (10, 50)
    assert settings.preprocess.columns == {"user_id": "customer"}


@pytest.mark.parametrize(
    "override, message",
    [
        ("finetune.training.epochs", r"--set finetune\.training\.epochs: is not of the form"),
        ("finetune.epoch=3", r"--set: there is no setting 'finetune\.epoch'"),
        ("finetune.training.epochs=[", r"the value is not valid YAML"),
        ("finetune=3", r"--set: finetune: "),
        ("deploy.target=cluster", r"--set: deploy: .*set deploy\.registry_uri"),
    ],
)
def test_faulty_overrides(override, message):
    with pytest.raises(UserError, match=message):
        load_settings(None, [override])


def test_slice_survives_its_way_through_json():
    settings = FinetuneSettings(max_tokens=12, training=TeacherTraining(learning_rate=1e-5))
    assert from_json(FinetuneSettings, settings.canonical()) == settings
    assert from_json(DistillSettings, "") == DistillSettings()


def test_equal_settings_have_equal_text_however_they_were_written(tmp_path):
    first = load_settings(write(tmp_path, "finetune: {training: {epochs: 3, dim: 64}}"))
    second = load_settings(None, ["finetune.training.dim=64", "finetune.training.epochs=3"])
    assert first.finetune.canonical() == second.finetune.canonical()


def test_slice_that_is_no_json():
    with pytest.raises(UserError, match="settings of FinetuneSettings: are not JSON"):
        from_json(FinetuneSettings, "{")
