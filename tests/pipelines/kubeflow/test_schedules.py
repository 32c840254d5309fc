"""Schedules: one of each name, whatever happens."""

import subprocess
import sys
import threading
import time

import pytest

from longtail.contracts.errors import UserError
from longtail.pipelines.cli import main as cli
from longtail.pipelines.kubeflow import schedules
from longtail.pipelines.kubeflow.api import Api
from longtail.pipelines.kubeflow.schedules import schedule, unschedule
from longtail.pipelines.kubeflow.submit import RunRequest
from longtail.pipelines.parameters import arguments
from longtail.pipelines.run_settings import RunSettings

pytestmark = pytest.mark.slow  # they compile pipelines

INPUTS = RunRequest(arguments("s3://shop/log/*.parquet", "s3://shop/items.parquet", None, RunSettings()))


@pytest.fixture
def api(kfp_api):
    return Api(kfp_api.url, "kubeflow")


def test_a_schedule_does_not_overlap_and_does_not_catch_up(kfp_api, api):
    made = schedule(api, "nightly", INPUTS._replace(service_account="longtail-pipeline"), cron="30 3 * * *")
    (job,) = kfp_api.jobs.values()
    assert (made.change, made.enabled, made.id) == ("made", True, job["recurring_run_id"])
    assert job["trigger"] == {"cron_schedule": {"cron": "0 30 3 * * *"}}
    assert (job["max_concurrency"], job["no_catchup"], job["mode"]) == ("1", True, "ENABLE")
    assert job["service_account"] == "longtail-pipeline"
    assert job["runtime_config"]["parameters"]["interactions"] == "s3://shop/log/*.parquet"
    (version,) = kfp_api.versions
    assert job["pipeline_version_reference"]["pipeline_version_id"] == version


def test_the_same_schedule_again_changes_nothing(kfp_api, api):
    first = schedule(api, "nightly", INPUTS, every="12h")
    again = schedule(api, "nightly", INPUTS, every="12h")
    assert again == first._replace(change="unchanged")
    assert list(kfp_api.jobs) == [first.id]


@pytest.mark.parametrize(
    "clock, change",
    [
        ({"every": "6h"}, {}),
        ({"cron": "0 3 * * *"}, {}),
        ({"every": "12h"}, {"arguments": {**INPUTS.arguments, "seed": 9}}),
        ({"every": "12h"}, {"service_account": "other"}),
        ({"every": "12h"}, {"experiment": "other"}),
    ],
)
def test_a_changed_schedule_takes_the_old_one_s_place(kfp_api, api, clock, change):
    request = INPUTS._replace(service_account="longtail-pipeline")
    old = schedule(api, "nightly", request, every="12h")
    schedule(api, "hourly", INPUTS, every="1h")
    new = schedule(api, "nightly", request._replace(**change), **clock)
    assert new.change == "updated"
    assert old.id not in kfp_api.jobs
    assert sorted(job["display_name"] for job in kfp_api.jobs.values()) == ["hourly", "nightly"]


def test_new_code_is_a_changed_schedule(kfp_api, api, monkeypatch):
    schedule(api, "nightly", INPUTS, every="12h")
    monkeypatch.setattr("longtail.pipelines.kubeflow.submit.source_digest", lambda: "other sources")
    assert schedule(api, "nightly", INPUTS, every="12h").change == "updated"
    (job,) = kfp_api.jobs.values()
    assert job["pipeline_version_reference"]["pipeline_version_id"] == list(kfp_api.versions)[-1]


def test_never_are_two_enabled_while_one_takes_the_other_s_place(kfp_api, api):
    schedule(api, "nightly", INPUTS, every="12h")
    seen = []
    kfp_api.before = lambda *_: seen.append([job["mode"] for job in kfp_api.jobs.values()].count("ENABLE"))
    schedule(api, "nightly", INPUTS, every="6h")
    assert max(seen) == 1


def test_an_update_that_is_refused_leaves_the_old_schedule_enabled(kfp_api, api):
    old = schedule(api, "nightly", INPUTS, every="12h")
    with pytest.raises(UserError, match=r"Schedule cron is not a supported format.* \(HTTP 400\)"):
        schedule(api, "nightly", INPUTS, cron="a b c d e")
    assert [(job["recurring_run_id"], job["mode"]) for job in kfp_api.jobs.values()] == [(old.id, "ENABLE")]


def test_a_disabled_schedule_is_enabled_by_setting_it_again(kfp_api, api):
    schedule(api, "nightly", INPUTS, every="12h")
    unschedule(api, "nightly", disable=True)
    assert [one.enabled for one in schedules.schedules(api)] == [False]
    schedule(api, "nightly", INPUTS, every="12h")
    assert [one.enabled for one in schedules.schedules(api)] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1])
def test_two_writers_at_once_leave_one_schedule(kfp_api, api, before):
    """Both processes have looked before either makes; one schedule stays, and the other's writer is told."""
    for _ in range(before):
        schedule(api, "nightly", INPUTS, every="1h")
    together, makers = threading.Barrier(2), threading.Semaphore(2)
    past, both_made = threading.Event(), threading.Event()

    def before_request(method, path):
        if (method, path) == ("POST", "/apis/v2beta1/recurringruns") and makers.acquire(blocking=False):
            together.wait(180)
            past.set()
        elif past.is_set() and not both_made.is_set():  # nor does either go on before both have made theirs
            while len(kfp_api.jobs) < before + 2:
                time.sleep(0.01)
            both_made.set()

    kfp_api.before = before_request
    command = [
        sys.executable,
        "-c",
        "from longtail.pipelines.cli.main import main; main()",
        "schedule",
        "--host",
        kfp_api.url,
        "--name",
        "nightly",
    ]
    command += ["--interactions", "s3://shop/log", "--items", "s3://shop/items", "--every"]
    writers = {
        every: subprocess.Popen([*command, every], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for every in ("6h", "12h")
    }
    results = {every: (*writer.communicate(), writer.returncode) for every, writer in writers.items()}
    (job,) = kfp_api.jobs.values()
    assert job["mode"] == "ENABLE"
    left = job["trigger"]["periodic_schedule"]["interval_second"]
    winner, loser = ("6h", "12h") if left == str(6 * 3600) else ("12h", "6h")
    assert (results[winner][2], results[loser][2]) == (0, 2), results
    assert f"every {left} s" in results[winner][0]
    assert "somebody else set this schedule just now" in results[loser][1]


def test_list_goes_over_all_pages_and_knows_other_pipelines_apart(kfp_api, api, monkeypatch):
    made = schedule(api, "a", INPUTS, every="1h")
    for number in range(150):
        kfp_api.jobs[str(number)] = kfp_api.jobs[made.id] | {
            "recurring_run_id": str(number),
            "display_name": f"b{number}",
        }
    kfp_api.jobs["0"] = kfp_api.jobs["0"] | {"pipeline_version_reference": {"pipeline_id": "another's"}}
    assert len(schedules.schedules(api)) == 150


def test_deleting_what_is_not_there_names_what_is(kfp_api, api):
    with pytest.raises(
        UserError, match=r"--name nightly: no such schedule in namespace kubeflow; known: there is none"
    ):
        unschedule(api, "nightly")
    schedule(api, "hourly", INPUTS, every="1h")
    with pytest.raises(UserError, match="known: hourly"):
        unschedule(api, "nightly")
    unschedule(api, "hourly")
    assert kfp_api.jobs == {}


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        ({}, "--cron or --every: give one of the two"),
        ({"cron": "0 3 * * *", "every": "1h"}, "--cron or --every: give one of the two"),
        ({"cron": "daily"}, r"--cron 'daily': has 1 fields; give minute, hour"),
        ({"every": "soon"}, "--every soon: is no interval; give a number and m, h or d"),
    ],
)
def test_a_clock_that_cannot_be_read(kfp_api, api, clock, message):
    with pytest.raises(UserError, match=message):
        schedule(api, "nightly", INPUTS, **clock)
    assert kfp_api.asked == []


def test_commands_make_list_disable_and_delete(kfp_api, capfd):
    inputs = ("--interactions", "s3://shop/log", "--items", "s3://shop/items")

    def printed(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--host", kfp_api.url])
        assert ended.value.code == 0
        return capfd.readouterr().out

    assert printed("schedules") == "No schedule in namespace kubeflow.\n"
    made = printed("schedule", "--name", "nightly", "--cron", "0 3 * * *", *inputs)
    assert made.startswith(f"Schedule nightly made: cron 0 0 3 * * *\n{kfp_api.url}/#/recurringrun/details/")
    assert "nightly              cron 0 0 3 * * *         enabled " in printed("schedules")
    assert printed("unschedule", "--name", "nightly", "--disable") == "Schedule nightly disabled\n"
    assert " disabled " in printed("schedules")
    assert printed("unschedule", "--name", "nightly") == "Schedule nightly deleted\n"
    assert kfp_api.jobs == {}
