"""Submitting, with kfp's own client, to a server that answers as the pipelines API does."""

import http.server
import threading

import pytest
from helpers_command import is_one_message, refused
from helpers_kfp_api import KfpApi

from longtail.contracts.errors import UserError
from longtail.pipelines.cli import main as cli
from longtail.pipelines.kubeflow import submit as cluster
from longtail.pipelines.kubeflow.api import Api
from longtail.pipelines.kubeflow.submit import RunRequest, submit
from longtail.pipelines.parameters import arguments
from longtail.pipelines.resources import Resources, TrainingResources
from longtail.pipelines.run_settings import RunSettings
from longtail.system.machine import free_ports

INPUTS = RunRequest(arguments("s3://shop/log.parquet", "s3://shop/items.parquet", None, RunSettings(seed=3)))
CLAIM = Resources(finetune=TrainingResources(checkpoint_claim="c"))
SUBMIT = ("submit", "--interactions", "s3://shop/log.parquet", "--items", "s3://shop/items.parquet")


def test_first_submit_makes_pipeline_version_experiment_and_run(kfp_api):
    request = INPUTS._replace(experiment="spring", service_account="longtail-pipeline")
    started = submit(Api(kfp_api.url, "kubeflow"), request)
    (pipeline,), (version,) = kfp_api.pipelines.values(), kfp_api.versions.values()
    (experiment,), (run,) = kfp_api.experiments.values(), kfp_api.runs.values()
    assert started.link == f"{kfp_api.url}/#/runs/details/{run['run_id']}"
    assert pipeline["display_name"] == "longtail-activation"
    assert version["display_name"] == started.version.name
    assert version["pipeline_spec"]["pipelineInfo"]["name"] == "longtail-activation"
    assert experiment["display_name"] == "spring"
    assert run["experiment_id"] == experiment["experiment_id"]
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert run["service_account"] == "longtail-pipeline"
    assert run["runtime_config"]["parameters"] == {
        name: value for name, value in INPUTS.arguments.items() if value != ""
    }
    assert run["runtime_config"]["parameters"]["seed"] == 3


def test_the_same_code_is_uploaded_once_and_run_twice(kfp_api):
    first, second = (submit(Api(kfp_api.url, "kubeflow"), INPUTS) for _ in range(2))
    assert (first.version.new, second.version.new) == (True, False)
    assert first.version.version_id == second.version.version_id
    assert (len(kfp_api.pipelines), len(kfp_api.versions), len(kfp_api.experiments), len(kfp_api.runs)) == (1, 1, 1, 2)


def test_changed_code_and_changed_resources_are_new_versions_of_the_same_pipeline(kfp_api, monkeypatch):
    api = Api(kfp_api.url, "kubeflow")
    names = [submit(api, INPUTS).version.name]
    names += [submit(api, INPUTS._replace(resources=CLAIM)).version.name]
    monkeypatch.setattr(cluster, "source_digest", lambda: "other sources")
    names += [submit(api, INPUTS).version.name]
    assert len(set(names)) == 3
    assert {version["display_name"] for version in kfp_api.versions.values()} == set(names)
    assert len(kfp_api.pipelines) == 1


def test_the_checkpoints_default_of_the_compiled_pipeline_is_left_to_it(kfp_api):
    submit(Api(kfp_api.url, "kubeflow"), INPUTS._replace(resources=CLAIM))
    (run,) = kfp_api.runs.values()
    assert "checkpoints" not in run["runtime_config"]["parameters"]


def test_somebody_else_uploads_the_same_version_at_the_same_moment(kfp_api):
    """Their upload falls between our look and our upload: KFP answers 409, and theirs is taken."""
    other = threading.Event()

    def before(method, path):
        if path.endswith("upload_version") and not other.is_set():
            other.set()
            submit(Api(kfp_api.url, "kubeflow"), INPUTS)

    kfp_api.before = before
    assert not submit(Api(kfp_api.url, "kubeflow"), INPUTS).version.new
    assert (len(kfp_api.versions), len(kfp_api.runs)) == (1, 2)


def test_token_is_asked_for_and_sent(kfp_api):
    kfp_api.token = "secret"
    with pytest.raises(
        UserError, match=rf"^{kfp_api.url}: .*no user identity header\. \(HTTP 401\); sign in: .*KFP_TOKEN"
    ):
        submit(Api(kfp_api.url, "kubeflow"), INPUTS)
    assert kfp_api.pipelines == {}
    assert submit(Api(kfp_api.url, "kubeflow", "secret"), INPUTS).run_id in kfp_api.runs


def test_a_namespace_that_is_not_there_or_not_yours(kfp_api):
    kfp_api.multi_user = True
    with pytest.raises(UserError, match=r"not authorized \(Namespace: ghosts\) \(HTTP 403\); check --namespace"):
        submit(Api(kfp_api.url, "ghosts"), INPUTS)
    with pytest.raises(
        UserError, match=r"a namespace cannot be empty in multi-user mode \(HTTP 400\); check --host, --nam"
    ):
        submit(Api(kfp_api.url, ""), INPUTS)
    assert kfp_api.runs == {}


def test_host_that_nobody_listens_on(home):
    host = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UserError, match=rf"^{host}/apis/.*no answer .*refused.*port-forward"):
        submit(Api(host, "kubeflow"), INPUTS)


def test_host_where_something_else_answers(home):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with pytest.raises(UserError, match=r"/apis/v2beta1/healthz: File not found \(HTTP 404\); check --host"):
            submit(Api(f"http://127.0.0.1:{server.server_port}", "kubeflow"), INPUTS)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("silent", ["/runs", "/experiments"])  # asked by kfp's generated part, by its own client
def test_an_api_that_takes_the_question_and_says_nothing(kfp_api, monkeypatch, silent):
    monkeypatch.setattr("longtail.pipelines.kubeflow.api.ANSWER_SECONDS", 0.2)
    end = threading.Event()
    kfp_api.before = lambda method, path: end.wait(60) if path.endswith(silent) else None
    try:
        with pytest.raises(UserError, match=r"the pipelines API stopped answering \(.*timed out.*\); try again$"):
            submit(Api(kfp_api.url, "kubeflow"), INPUTS)
    finally:
        end.set()


def test_local_paths_are_refused_before_anything_is_sent(kfp_api):
    local = arguments("log.parquet", "s3://shop/items.parquet", None, RunSettings())
    with pytest.raises(UserError, match=r"--interactions log\.parquet: is a path on this machine"):
        submit(Api(kfp_api.url, "kubeflow"), RunRequest(local))
    claim = arguments("pvc://data/log.parquet", "s3://shop/items.parquet", None, RunSettings())
    with pytest.raises(UserError, match="interactions: names pvc://data"):
        submit(Api(kfp_api.url, "kubeflow"), RunRequest(claim))
    assert kfp_api.asked == []


def test_an_image_must_be_named_before_anything_is_made(kfp_api, monkeypatch):
    monkeypatch.delenv("LONGTAIL_TRAIN_IMAGE")
    with pytest.raises(UserError, match="LONGTAIL_TRAIN_IMAGE: is not set"):
        submit(Api(kfp_api.url, "kubeflow"), INPUTS)
    assert kfp_api.pipelines == {}


def test_command_prints_the_link_alone(kfp_api, capfd):
    with pytest.raises(SystemExit) as ended:
        cli.main([*SUBMIT, "--host", kfp_api.url])
    (run,) = kfp_api.runs.values()
    printed = capfd.readouterr()
    assert ended.value.code == 0
    assert printed.out == f"{kfp_api.url}/#/runs/details/{run['run_id']}\n"
    assert ": uploaded" in printed.err and "brings nothing into service" in printed.err
    assert run["service_account"] == "longtail-pipeline"


def test_command_says_nothing_of_the_target_where_it_is_a_cluster(kfp_api, capfd):
    with pytest.raises(SystemExit):
        cli.main(
            [*SUBMIT, "--host", kfp_api.url, "--set", "deploy.target=cluster", "--set", "deploy.registry_uri=s3://b/m"]
        )
    assert len(kfp_api.runs) == 1 and "deploy.target" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "options, champion",
    [
        (("--set", "deploy.registry_uri=s3://b/m"), "registry:s3://b/m"),
        (("--set", "deploy.registry_uri=s3://b/m", "--champion", "s3://b/other"), "s3://b/other"),
        ((), None),
    ],
)
def test_the_champion_is_that_of_the_registry_unless_another_is_named(kfp_api, options, champion):
    with pytest.raises(SystemExit):
        cli.main([*SUBMIT, "--host", kfp_api.url, *options])
    (run,) = kfp_api.runs.values()
    assert run["runtime_config"]["parameters"].get("champion") == champion


def test_a_registry_that_no_pod_reads_is_refused(kfp_api, capfd):
    code, error = refused(capfd, *SUBMIT, "--host", kfp_api.url, "--set", "deploy.registry_uri=models")
    assert code == 2
    assert is_one_message(error, "deploy.registry_uri models: is a path on this machine")
    assert kfp_api.runs == {}


def test_a_cluster_without_a_registry_is_refused_before_anything_is_made(kfp_api, capfd):
    with pytest.raises(SystemExit) as ended:
        cli.main([*SUBMIT, "--host", kfp_api.url, "--set", "deploy.target=cluster"])
    assert ended.value.code == 2 and "set deploy.registry_uri" in capfd.readouterr().err
    assert kfp_api.pipelines == {} and kfp_api.runs == {}


def test_command_leaves_the_account_to_the_installation(kfp_api):
    with pytest.raises(SystemExit):
        cli.main([*SUBMIT, "--host", kfp_api.url, "--service-account", ""])
    (run,) = kfp_api.runs.values()
    assert run["service_account"] == "pipeline-runner"  # what the API takes where none is named


def test_command_tells_a_refusal_in_one_message_without_the_token(kfp_api, capfd):
    kfp_api.multi_user = True
    kfp_api.token = "secret"
    code, error = refused(capfd, *SUBMIT, "--host", kfp_api.url, "--namespace", "ghosts", "--token", "secret")
    assert code == 2
    assert is_one_message(error, "ghosts", "HTTP 403")
    assert "secret" not in error


def test_the_stand_in_refuses_what_the_api_would_refuse():
    """The other tests say something only if this server is strict."""
    import kfp
    import kfp_server_api

    api = KfpApi()
    try:
        client = kfp.Client(host=api.url, namespace="kubeflow")
        for call in (
            lambda: client.get_run("ghost"),
            lambda: client.pipelines.pipeline_service_get_pipeline("ghost"),  # a path that no command uses
            lambda: client.runs.run_service_create_run({"display_name": "x", "colour": "blue"}),
            lambda: client.runs.run_service_create_run({"display_name": 1}),
            lambda: client.pipeline_uploads.upload_pipeline_version(__file__, name="x", pipelineid="ghost"),
        ):
            with pytest.raises(kfp_server_api.ApiException):
                call()
    finally:
        api.stop()
