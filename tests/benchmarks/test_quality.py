"""The quality benchmark: its figures against hand-computed ones, and the whole of it on a tiny shop."""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers_prepared import write_bundle_for, write_tiny_prepared, write_tiny_teacher
from helpers_shop import write_shop

from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.pipelines.run_settings import RunSettings, load_settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """The benchmark's modules, importable as they are for the script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


TIMES = 40


def save(path, segments, **systems):
    """Forty times each user, so that intervals mean something."""
    arrays = {f"{name}|{column}|ndcg@10": np.tile(v, TIMES) for name, by in systems.items() for column, v in by.items()}
    np.savez(path, segments=np.tile(segments, TIMES), **arrays)
    return path


@pytest.fixture
def values(module, tmp_path):
    """Two seeds of a student and its teacher, and two floors, of three kinds of users: two tail, one head."""
    segments = ["tail", "tail", "head"]
    seeds = [
        save(tmp_path / f"{seed}.npz", segments, student={"whole": s, "0": s}, teacher={"whole": t, "0": t})
        for seed, s, t in ((0, [0.2, 0.4, 0.6], [0.4, 0.4, 0.4]), (1, [0.4, 0.8, 0.6], [0.6, 0.6, 0.6]))
    ]
    popular, mixed = {"whole": [0.0, 0.0, 0.3], "0": [0.5, 0.5, 0.5]}, {"whole": [0.1, 0.1, 0.1], "0": [0.0, 0.0, 0.0]}
    floor = save(tmp_path / "floor.npz", segments, popularity=popular, cf_tfidf_text=mixed)
    return module("quality_tables").read_values({"full": seeds, "": [floor]}, "ndcg@10")


def test_means_and_deviations_are_over_seeds(module, values):
    found = module("quality_tables").figures(values, samples=200)
    student = found["full: student"]
    assert list(student) == ["all", "tail", "head", "k=0"]
    assert student["all"]["seeds"] == pytest.approx([0.4, 0.6])
    assert student["all"]["mean"] == pytest.approx(0.5)
    assert student["all"]["sd"] == pytest.approx(np.sqrt(0.02))
    assert student["tail"]["mean"] == pytest.approx(0.45) and student["tail"]["users"] == 2 * TIMES
    assert found["popularity"]["all"]["sd"] is None


def test_comparisons_are_paired_and_popularity_is_the_rival_at_k_0(module, values):
    found = module("quality_tables").figures(values, samples=200)
    student = found["full: student"]
    mean, low, high = student["all"]["minus"]["cf_tfidf_text"]
    half = 1.98 * np.std(np.tile([0.2, 0.5, 0.5], TIMES), ddof=1) / np.sqrt(3 * TIMES)  # Student's t of 119 degrees
    assert [mean, low, high] == pytest.approx([0.4, 0.4 - half, 0.4 + half], abs=0.006)  # 200 resamplings
    assert "popularity" not in student["all"]["minus"]
    assert student["k=0"]["minus"]["popularity"][0] == pytest.approx(0.0)
    assert found["full: teacher"]["all"]["minus"]["full: student"][0] == pytest.approx(0.0)
    assert student["head"]["of_teacher"][0] == pytest.approx(1.2)
    ratio, low, high = student["tail"]["of_teacher"]  # of .3 and .6 to .5: residuals of -.15 and .15
    half = 1.99 * 0.15 / np.sqrt(2 * TIMES) / 0.5
    assert [ratio, low, high] == pytest.approx([0.9, 0.9 - half, 0.9 + half], abs=0.01)
    assert "of_teacher" not in found["popularity"]["all"]


def test_tables_hold_the_figures(module, values):
    tables = module("quality_tables")
    found = tables.figures(values, samples=200)
    text = tables.markdown(found, found, found)
    assert "| full: student | .5000 ± .1414 | .4500 ± .2121 | .6000 ± .0000 | .5000 ± .1414 |" in text
    assert "| full: student | +.4000 (+.3" in text
    assert "| full: student | 100.0% " in text and "| users | 120 | 80 | 40 |" in text


def test_the_summary_compares_with_the_strongest_other_system(module, values):
    tables = module("quality_tables")
    text = tables.summary({"one": tables.figures(values, samples=200), "two": tables.figures(values, samples=200)})
    rows = [line.split(" | ") for line in text.splitlines()[2:]]
    assert [row[1] for row in rows] == ["all", "tail", "head", "k=0"] * 2
    assert rows[1][:5] == ["| one", "tail", "80", ".4500 ± .2121", "cf_tfidf_text .1000"]
    assert rows[1][5].startswith("+.3500 (+.3") and rows[1][6] == "better |"
    assert rows[2][4] == "popularity .3000"
    assert rows[3][4] == "popularity .5000" and rows[3][6] == "unclear |"


def test_what_the_data_sets_need_are_settings_that_there_are(module):
    for name, needed in module("quality_datasets").SETTINGS.items():
        assert load_settings(None, needed), name


def test_configurations_drop_what_they_leave_without_effect(module):
    configurations = module("quality_configurations")
    base = load_settings(
        None, ["finetune.adaptation.lora_rank=64", "finetune.training.dim=120", "distill.soft_label_temperature=2"]
    )
    bare = configurations.settings_of("without_language_model", base)
    assert (bare.finetune.adaptation.method, bare.finetune.training.dim) == ("none", 120)
    assert bare.finetune.adaptation.lora_rank == RunSettings().finetune.adaptation.lora_rank
    alone = configurations.settings_of("without_distillation", base).distill
    assert (alone.soft_label_weight, alone.start_from_teacher, alone.soft_label_temperature) == (0.0, False, 1.0)
    assert configurations.settings_of("full", base) == base


def test_the_gpu_profile_is_one_of_valid_settings():
    settings = load_settings(BENCHMARKS / "profiles" / "gpu.yaml")
    assert settings.finetune.device == "cuda" and settings.finetune.training.dim == settings.distill.training.dim


def test_what_is_missing_is_named(module, tmp_path, capsys):
    quality = module("quality")
    (tmp_path / "interactions.parquet").touch()
    assert quality.main(["--dataset", str(tmp_path), "--work", str(tmp_path / "work")]) == 2
    assert "holds no items.parquet" in capsys.readouterr().err


def test_a_failed_stage_is_named_with_its_last_word_and_is_not_done(module, tmp_path):
    stages = module("quality_stages")
    failing = [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"]
    working = [sys.executable, "-c", "print('fine')"]
    with stages.open_stages(tmp_path) as opened:
        with pytest.raises(UserError, match="work ended with code 3: no luck"):
            opened.run("work", {"a": 1}, lambda config, out: failing)
        again = opened.run("work", {"a": 1}, lambda config, out: working)
        assert again.measured["resumed"] and again.measured["peak_gb"] > 0
        assert opened.run("work", {"a": 1}, lambda config, out: failing) == again
        assert opened.run("work", {"a": 2}, lambda config, out: working).key != again.key
        with pytest.raises(UserError, match="another benchmark"), stages.open_stages(tmp_path):
            pass


@pytest.fixture
def untrained(module, tmp_path, monkeypatch):
    """The benchmark over a tiny data set with random teachers and students, and its arguments.

    The scoring is real, but in this process; those of its own are the killed benchmark's.
    """
    quality, stages = module("quality"), module("quality_stages")
    data = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    measured = {"wall_s": 1.0, "peak_gb": 0.5, "resumed": False}

    def train(_, prepared, settings, seed):
        taught = 10 + seed if settings.finetune.adaptation.method == "lora" else 20 + seed
        teacher, student = tmp_path / f"teacher{taught}", tmp_path / f"student{taught}"
        if not teacher.exists():
            write_tiny_teacher(teacher, tmp_path / "prepared", taught)
            write_bundle_for(student, data, taught + 100)
        return stages.Done(teacher.name, teacher, measured), stages.Done(student.name, student, measured)

    def score(self, command, log, kind):
        assert command[2].endswith("quality_scores.py"), command
        module("quality_scores").main(*command[3:])
        return measured

    monkeypatch.setattr(stages.Stages, "_measure", score)
    monkeypatch.setattr(quality, "train", train)
    prepared = stages.Done("prepared", tmp_path / "prepared", measured)
    monkeypatch.setattr(quality, "prepare", lambda *_: prepared)
    (tmp_path / "interactions.parquet").touch()
    (tmp_path / "items.parquet").touch()
    where = {"dataset": tmp_path, "work": tmp_path / "work", "output": tmp_path / "out.json"}
    return quality, [str(part) for name, path in where.items() for part in (f"--{name}", path)]


@pytest.mark.slow
def test_figures_agree_with_a_plain_evaluation(untrained, tmp_path):
    """Every system's figures are those of evaluate; the derived students are what their names say."""
    quality, where = untrained
    assert quality.main([*where, "--seeds", "2", "--only", "full", "without_finetuning", "without_distillation"]) == 0
    (report,) = json.loads((tmp_path / "out.json").read_text())
    found = report["figures"]["test"]["ndcg@10"]
    assert set(found) == {
        *(f"full: {name}" for name in ("student", "teacher", *quality.DERIVED)),
        *("without_finetuning: student", "without_finetuning: teacher", "without_distillation: student"),
        *("popularity", "naive_bayes", "item_cf", "next_item", "tfidf", "frozen_text"),
        *("cf_tfidf", "cf_tfidf_text", "ease"),
    }
    for seed in (0, 1):
        folders = (tmp_path / name for name in ("prepared", f"teacher{10 + seed}", f"student{10 + seed}"))
        evaluate(*folders, tmp_path / "evaluation", EvaluateSettings(bootstrap_samples=100))
        plain = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
        for system in ("student", "teacher", *(("popularity", "cf_tfidf_text") if seed == 0 else ())):
            name = f"full: {system}" if system in ("student", "teacher") else system
            columns = {"all": plain["systems"][system]["all"], "cold": plain["systems"][system]["cold"]}
            columns |= {f"k={k}": plain["revealed"][str(k)][system] for k in range(5)}
            for column, entry in columns.items():
                assert found[name][column]["seeds"][seed] == pytest.approx(entry["ndcg@10"]), (name, column)
                assert found[name][column]["users"] == entry["users"]
    sparse, dense, alone = (
        {k: v["mean"] for k, v in found[f"full: {name}"].items()} for name in list(quality.DERIVED)[:3]
    )
    full = {column: entry["mean"] for column, entry in found["full: student"].items()}
    assert sparse["k=0"] == full["k=0"] and sparse["k=4"] != full["k=4"]
    assert dense["k=0"] != full["k=0"] and dense["k=4"] != sparse["k=4"]
    assert alone["k=0"] == 0 < alone["k=4"] != full["k=4"]
    assert found["full: student, int8"]["all"]["mean"] == pytest.approx(full["all"], rel=0.05)


@pytest.mark.slow
def test_validation_comes_before_test_and_is_of_other_targets(untrained, tmp_path, capfd):
    quality, where = untrained
    assert quality.main([*where, "--seeds", "1", "--only", "full"]) == 0
    lines = [line.split()[1] for line in capfd.readouterr().out.splitlines() if line.endswith("…")]
    assert lines == ["validation", "validation", "test", "test"]
    (report,) = json.loads((tmp_path / "out.json").read_text())
    validation, test = (report["figures"][split]["ndcg@10"]["full: student"]["all"] for split in quality.SPLITS)
    assert validation["users"] != test["users"] and validation["mean"] != test["mean"]
    text = (tmp_path / "out.md").read_text()
    assert "history excluded" in text and "validation, all" in text and "| full: finetune | 1 | 0.5 |" in text
    assert report["machine"]["cores"] >= 1 and report["test"]["ease_l2"] in (10.0, 50.0, 200.0, 1000.0)


@pytest.mark.slow
def test_several_data_sets_are_one_page_each_below_a_summary(untrained, tmp_path):
    quality, where = untrained
    again = [*where[:2], where[1], *where[2:]]
    assert quality.main([*again, "--seeds", "1", "--only", "full"]) == 0
    one, other = json.loads((tmp_path / "out.json").read_text())
    assert one["figures"] == other["figures"]
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("### NDCG@10 of the student, and of the strongest other system")
    assert text.count("### Stages, each seed") == 2


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_and_a_finished_one_trains_nothing(module, tiny_encoder, tmp_path, monkeypatch):
    shop = write_shop(tmp_path / "shop")
    small = ["dim=16", "heads=2", "epochs=1", "batch_positions=64", "epoch_steps=1"]
    settings = [f"{stage}.training.{one}" for stage in ("finetune", "distill") for one in small]
    settings += [f"finetune.language_model={tiny_encoder}", "finetune.adaptation.method=frozen"]
    where = ["--dataset", str(shop), "--work", str(tmp_path / "work"), "--output", str(tmp_path / "out.json")]
    given = [*where, "--seeds", "1", "--only", "full", "--set", *settings]
    command = [sys.executable, str(BENCHMARKS / "quality.py"), *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        for line in process.stdout:
            if " distill " in line:
                os.killpg(process.pid, signal.SIGKILL)
                break
    with contextlib.suppress(ProcessLookupError):
        while True:  # a stage that is still dying holds the lock
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*/*/done.json")}
    assert {path.parts[-3] for path in done} == {"preprocess", "finetune"}

    quality = module("quality")
    assert quality.main(given) == 0
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
    (report,) = json.loads((tmp_path / "out.json").read_text())
    found = report["figures"]["test"]["ndcg@10"]
    assert {"full: student", "full: teacher", "popularity"} <= set(found)
    assert [run["resumed"] for run in report["stages"]["full: distill"]] == [True]

    def nothing(*_):
        raise AssertionError("a finished benchmark started a stage")

    monkeypatch.setattr(module("quality_stages").Stages, "_measure", nothing)
    assert quality.main(given) == 0
    assert json.loads((tmp_path / "out.json").read_text())[0]["figures"] == report["figures"]
