"""`longtail tune` on a tiny data set: what it searches, what it must not read, and that a killed study goes on."""

import signal
import subprocess
import sys

import optuna
import pytest
import yaml
from helpers_command import is_one_message, refused
from helpers_prepared import leave_last_out, write_tiny_prepared

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.pipelines.cli import main as cli
from longtail.pipelines.run_settings import load_settings
from longtail.pipelines.tuning import search_space
from longtail.pipelines.tuning import tune as module
from longtail.pipelines.tuning.tune import Tuning, tune

SPACE = "distill.training.learning_rate: {low: 1e-4, high: 1e-1, log: true}\ndistill.soft_label_weight: {choices: [0.0, 1.0]}\n"
USERS = [
    leave_last_out([(user * 7 + step * (1 + user % 3)) % 30 for step in range(3 + user % 6)]) for user in range(160)
]


@pytest.fixture
def tuning(tmp_path, tiny_encoder):
    """``tuning(space, trials, base)``: a study on the tiny data set, in a folder of its own."""
    small = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 1}
    config = tmp_path / "base.yaml"
    finetune = {"language_model": str(tiny_encoder), "adaptation": {"method": "frozen"}, "training": small}
    config.write_text(yaml.safe_dump({"seed": 3, "finetune": finetune, "distill": {"training": small}}))

    def make(space=SPACE, trials=2, name="study", prepared=None):
        prepared = prepared or tmp_path / "prepared"
        if not prepared.exists():
            write_tiny_prepared(prepared, USERS)
        (tmp_path / "space.yaml").write_text(space)
        files = (tmp_path / f"{name}.sqlite", tmp_path / f"{name}.yaml")
        return Tuning(prepared, tmp_path / "space.yaml", trials, *files, load_settings(config))

    return make


def trials_of(tuning):
    """Values that were tried, and their scores, killed trials left out."""
    study = optuna.load_study(storage=f"sqlite:///{tuning.study}", study_name=module.STUDY)
    return [(trial.params, trial.value) for trial in study.trials if trial.value is not None]


@pytest.mark.parametrize(
    "space, parts",
    [
        (
            "distill.training.learning_rat: {low: 0.1, high: 1}",
            ("distill.training.learning_rat'", "distill.training.learning_rate?"),
        ),
        ("evaluate.confidence: {low: 0.6, high: 0.9}", ("evaluate.confidence", "cannot be searched")),
        ("seed: {choices: [1, 2]}", ("'seed' cannot be searched",)),
        ("finetune.training.dropout: {low: 0, high: 1.5}", ("finetune.training.dropout", "1.5")),
        ("finetune.training.blocks: {low: 0, high: 2}", ("finetune.training.blocks", "0 is not allowed")),
        ("finetune.pooling: {choices: [mean, max]}", ("finetune.pooling", "'max'")),
        ("finetune.pooling: {low: 1, high: 2}", ("finetune.pooling", "choices")),
        ("finetune.training.blocks: {low: 3, high: 2}", ("low <= high",)),
        ("finetune.training.dropout: {low: 0, high: 0.5, log: true}", ("finetune.training.dropout", "log")),
        ("finetune.training.dropout: {low: 0, hihg: 0.5}", ("hihg",)),
        ("finetune.training.blocks: {choices: []}", ("finetune.training.blocks", "choices")),
        ("finetune.training.dropout: 0.5", ("finetune.training.dropout", "mapping")),
        ("", ("no setting to search",)),
    ],
)
def test_a_faulty_space_is_one_message_before_any_trial(tuning, capfd, space, parts):
    given = tuning(space)
    code, error = refused(capfd, *command(given))
    assert code == 2
    assert is_one_message(error, "space.yaml", *parts)
    assert not given.study.exists() and not given.output.exists()


def command(tuning, *more):
    names = {"prepared": tuning.prepared, "space": tuning.space, "study": tuning.study, "output": tuning.output}
    options = [str(part) for name, value in names.items() for part in (f"--{name}", value)]
    return [
        "tune",
        *options,
        "--config",
        str(tuning.space.with_name("base.yaml")),
        "--trials",
        str(tuning.trials),
        *more,
    ]


def test_distributions_follow_the_settings_types(tuning):
    space = "distill.training.dim: {low: 8, high: 16, step: 4}\ndistill.training.dropout: {low: 0, high: 1e-1}\ndistill.training.epochs: {low: 1, high: 8, log: true}"
    given = tuning(space)
    found = search_space.read_space(given.space, given.base)
    assert found["distill.training.dim"] == optuna.distributions.IntDistribution(8, 16, step=4)
    assert found["distill.training.dropout"] == optuna.distributions.FloatDistribution(0.0, 0.1)
    assert found["distill.training.epochs"] == optuna.distributions.IntDistribution(1, 8, log=True)


def test_a_missing_optuna_names_the_command_that_installs_it(tuning, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, error = refused(capfd, *command(tuning()))
    assert code == 2
    assert is_one_message(error, "pip install 'longtail[tune]'")


def test_both_or_neither_source_of_data_is_refused(tuning, capfd):
    given = tuning()
    for more in (["--interactions", "a.csv", "--items", "b.csv"], ["--users", "c.csv"]):
        code, error = refused(capfd, *command(given, *more))
        assert code == 2 and is_one_message(error, "--prepared")


def test_a_foreign_file_is_not_taken_for_a_study(tuning):
    given = tuning()
    given.study.write_text("my notes")
    with pytest.raises(UserError, match="no study"):
        tune(given)
    assert given.study.read_text() == "my notes"


@pytest.fixture
def scored(monkeypatch):
    """Scores that follow from the settings alone; returns the settings that were tried."""
    tried = []

    def score(settings, tuning, data):
        tried.append(settings)
        if settings.distill.training.blocks == 3:
            raise RuntimeError("out of\nluck")
        return 1 / (1 + abs(settings.distill.training.learning_rate - 0.01))

    monkeypatch.setattr(module, "_score", score)
    return tried


def test_the_first_trial_is_the_base_and_the_best_is_written(tuning, scored, capfd):
    given = tuning(trials=8)
    best = tune(given)
    assert scored[0].distill.training.learning_rate == given.base.distill.training.learning_rate
    assert best == max(scored, key=lambda settings: 1 / (1 + abs(settings.distill.training.learning_rate - 0.01)))
    assert load_settings(given.output) == best
    written = yaml.safe_load(given.output.read_text())
    changed = {"dim", "heads", "epochs", "batch_positions", "epoch_steps", "learning_rate"}
    assert (
        set(written["distill"]) <= {"training", "soft_label_weight"} and set(written["distill"]["training"]) <= changed
    )
    assert "preprocess" not in written and written["seed"] == 3
    lines = capfd.readouterr().out.splitlines()
    assert sum("*" in line for line in lines[-8:]) == 1
    assert lines[0].startswith("trial 1 of 8: distill.training.learning_rate=")


def test_a_failed_trial_is_shown_and_the_study_goes_on(tuning, scored, capfd):
    given = tuning(
        "distill.training.blocks: {choices: [1, 3]}\ndistill.training.learning_rate: {low: 0.001, high: 0.1}", trials=10
    )
    tune(given)
    out = capfd.readouterr().out
    assert "failed: RuntimeError: out of luck" in out
    assert len(trials_of(given)) == 10 - sum(settings.distill.training.blocks == 3 for settings in scored) < 10


def test_values_that_do_not_go_together_fail_their_trial_and_where_all_fail_it_is_an_error(tuning):
    given = tuning("distill.training.dim: {choices: [17]}", trials=3)
    with pytest.raises(UserError, match=r"all 3 trials failed.*multiple of heads"):
        tune(given)
    assert not given.output.exists()


def test_a_longer_study_goes_on_and_equals_one_without_a_stop(tuning, scored):
    tune(tuning(trials=9, name="whole"))
    tune(tuning(trials=4, name="parts"))
    tune(tuning(trials=9, name="parts"))
    assert trials_of(tuning(name="parts")) == trials_of(tuning(name="whole"))


def test_equal_trials_are_not_trained_twice(tuning, scored):
    tune(tuning("distill.training.blocks: {choices: [1, 2]}", trials=6))
    assert len(scored) == 2


def test_trials_of_other_settings_or_data_are_not_mixed(tuning, scored, tmp_path):
    tune(tuning())
    with pytest.raises(UserError, match="other space"):
        tune(tuning("distill.training.blocks: {choices: [1, 2]}"))
    other = write_tiny_prepared(tmp_path / "other", seed=4)
    with pytest.raises(UserError, match="other data"):
        tune(tuning(prepared=other))


@pytest.mark.slow
def test_test_targets_are_not_read_and_the_teacher_is_trained_once(tuning, tmp_path, monkeypatch):
    """The same study on data whose test targets are others, and with a reader that fails where they are asked for."""
    trained = []
    finetune, targets = module.finetune, PreparedDataset.targets

    def counted(*arguments):
        trained.append(arguments[1])
        finetune(*arguments)

    def guarded(self, split):
        assert split != Split.TEST
        return targets(self, split)

    monkeypatch.setattr(module, "finetune", counted)
    monkeypatch.setattr(PreparedDataset, "targets", guarded)
    tune(tuning(trials=3, name="one"))
    assert len(trained) == 1
    spoilt = [[(29 if split == Split.TEST else item, time, split) for item, time, split in user] for user in USERS]
    other = write_tiny_prepared(tmp_path / "spoilt", spoilt)
    tune(tuning(trials=3, name="other", prepared=other))
    assert trials_of(tuning(name="one")) == trials_of(tuning(name="other"))
    assert len({value for _, value in trials_of(tuning(name="one"))}) > 1


@pytest.mark.slow
def test_a_killed_study_goes_on(tuning):
    """kill -9 within the second trial: the first is kept, and the rest is what an unharmed study finds."""
    given = tuning(trials=3, name="killed")
    program = [sys.executable, "-c", "import sys; from longtail.pipelines.cli.main import main; main(sys.argv[1:])"]
    with subprocess.Popen([*program, *command(given)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("trial 2 of 3"):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    first = trials_of(given)
    assert len(first) == 1 and given.output.is_file()
    cli.app(command(given), standalone_mode=False)
    tune(tuning(trials=3, name="unharmed"))
    assert trials_of(given)[:1] == first
    assert trials_of(given) == trials_of(tuning(name="unharmed"))
