"""The compiled pipeline's structure, not its bytes."""

import pytest
import yaml

from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json
from longtail.pipelines.activation import compile_pipeline, local_pipeline
from longtail.pipelines.parameters import NEVER_CACHED, STAGES, arguments
from longtail.pipelines.resources import load_resources
from longtail.pipelines.run_settings import load_settings


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    path = tmp_path_factory.mktemp("default") / "activation.yaml"
    compile_pipeline(path)
    return next(yaml.safe_load_all(path.read_text()))


def tasks_of(pipeline, dag=None):
    """All tasks, those under conditions included."""
    tasks = dict((dag or pipeline["root"])["dag"]["tasks"])
    inner = [
        pipeline["components"][task["componentRef"]["name"]] for name, task in tasks.items() if "condition" in name
    ]
    for dag in inner:
        tasks |= tasks_of(pipeline, dag)
    return tasks


def producers(task):
    inputs = task["inputs"]
    return {
        given["taskOutputArtifact"]["producerTask"]
        for given in inputs.get("artifacts", {}).values()
        if "taskOutputArtifact" in given
    } | {
        given["taskOutputParameter"]["producerTask"]
        for given in inputs.get("parameters", {}).values()
        if "taskOutputParameter" in given
    }


def test_stages_feed_each_other_in_order(pipeline):
    tasks = tasks_of(pipeline)
    assert set(STAGES) <= set(tasks)
    assert producers(tasks["preprocess"]) == {"fingerprint"}
    assert producers(tasks["finetune"]) == {"preprocess"}
    assert producers(tasks["distill"]) == {"preprocess", "finetune"}
    assert producers(tasks["evaluate"]) == {"fingerprint", "preprocess", "finetune", "distill"}
    assert producers(tasks["refresh"]) == {"preprocess", "finetune", "distill", "evaluate"}


def test_deploy_runs_only_where_the_gate_says_true(pipeline):
    tasks = pipeline["root"]["dag"]["tasks"]
    assert "deploy" not in tasks
    gate = next(task for name, task in tasks.items() if name.startswith("condition"))
    assert gate["triggerPolicy"]["condition"] == "inputs.parameter_values['pipelinechannel--evaluate-Output'] == true"
    assert producers(gate) == {"preprocess", "refresh", "evaluate"}


def test_a_campaign_runs_only_after_the_gate_and_where_it_is_asked_for(pipeline):
    gate = pipeline["components"]["comp-condition-1"]["dag"]["tasks"]
    assert set(gate) == {"deploy", "condition-2"}
    condition = gate["condition-2"]["triggerPolicy"]["condition"]
    assert condition == "inputs.parameter_values['pipelinechannel--campaign_asked'] == true"
    assert set(pipeline["components"]["comp-condition-2"]["dag"]["tasks"]) == {"campaign"}
    assert pipeline["root"]["inputDefinitions"]["parameters"]["campaign_asked"]["defaultValue"] is False
    asked = load_settings(None, ["campaign.offers=[{name: reminder, channel: mail, cost: 0.1}]"])
    assert arguments("log", "items", None, asked)["campaign_asked"] is True


def test_everything_but_what_is_of_its_day_or_acts_outside_is_cached(pipeline):
    cached = {
        name: task.get("cachingOptions", {}).get("enableCache", False) for name, task in tasks_of(pipeline).items()
    }
    assert {name for name in STAGES if not cached[name]} == {"fingerprint", "campaign", "deploy"} == set(NEVER_CACHED)


def test_preprocess_is_keyed_by_the_digest(pipeline):
    digest = pipeline["root"]["dag"]["tasks"]["preprocess"]["inputs"]["parameters"]["digest"]
    assert digest == {"taskOutputParameter": {"outputParameterKey": "digest", "producerTask": "fingerprint"}}


def test_evaluate_is_keyed_by_the_champion_of_today(pipeline):
    champion = pipeline["root"]["dag"]["tasks"]["evaluate"]["inputs"]["parameters"]["champion"]
    assert champion == {"taskOutputParameter": {"outputParameterKey": "bundle", "producerTask": "fingerprint"}}


def test_each_stage_is_handed_its_own_slice_only(pipeline):
    for stage in set(STAGES[1:]) - {"campaign", "deploy"}:
        parameters = pipeline["root"]["dag"]["tasks"][stage]["inputs"]["parameters"]
        assert parameters["settings"] == {"componentInputParameter": f"{stage}_settings"}


def test_components_have_at_most_twelve_parameters_and_install_nothing(pipeline):
    for name, component in pipeline["components"].items():
        if "executorLabel" in component:
            assert len(component.get("inputDefinitions", {}).get("parameters", {})) <= 12, name
    for executor in pipeline["deploymentSpec"]["executors"].values():
        assert "pip install" not in str(executor["container"]["command"])


def test_parameters_are_those_that_the_command_gives(pipeline):
    declared = pipeline["root"]["inputDefinitions"]["parameters"]
    given = arguments("s3://b/log", "s3://b/items", None, load_settings(None, ["finetune.training.epochs=3"]))
    assert set(given) == set(declared)
    assert {name for name, facts in declared.items() if not facts.get("isOptional")} == {"interactions", "items"}
    assert from_json(FinetuneSettings, given["finetune_settings"]).training.epochs == 3
    assert from_json(FinetuneSettings, declared["finetune_settings"]["defaultValue"]) == FinetuneSettings()


def test_a_local_run_names_the_image_of_every_task():
    """kfp's cache keys hold it, so a name that stands for the code keeps other code's results apart."""
    executors = local_pipeline("longtail-train:c0ffee").pipeline_spec.deployment_spec["executors"]
    assert {name: executor["container"]["image"] for name, executor in executors.items()} == {
        f"exec-{stage}": "longtail-train:c0ffee" for stage in STAGES
    }


def test_resources_file(tmp_path):
    path = tmp_path / "resources.yaml"
    path.write_text("finetune: {accelerator: nvidia.com/gpu, accelerator_count: 2, memory: 32Gi}")
    assert load_resources(path).finetune.accelerator_count == 2
    path.write_text("finetune: {memory: lots}")
    with pytest.raises(UserError, match=r"resources\.yaml: finetune\.memory: .*\(given: 'lots'\)"):
        load_resources(path)
    path.write_text("finetune: {accelerator: nvidia.com/gpu}")
    with pytest.raises(UserError, match="accelerator and accelerator_count go together"):
        load_resources(path)
    path.write_text("train: {cpu: 4}")
    with pytest.raises(
        UserError, match="there is no setting 'train'; known here: campaign, claims, deploy, distill, evaluate"
    ):
        load_resources(path)
