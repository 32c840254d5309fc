import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from helpers_decision import NOBODY, refresh, write_decision_of
from helpers_hand_bundle import GOLDEN, write_hand_bundle

from longtail.components.deploy import component
from longtail.components.deploy.deploy import deploy
from longtail.components.deploy.settings import DeploySettings
from longtail.contracts.artifacts import DEPLOYMENT, EVALUATION, manifest_digest, read_artifact, write_artifact
from longtail.contracts.errors import UserError

pytestmark = pytest.mark.slow  # they start the model server

MANIFESTS = ("inferenceservice", "servingruntime")


def write_evaluation(path, golden, passed=True, of=None, compared=None):
    """Of the bundle beside it, or another one."""
    with write_artifact(path, EVALUATION, {}) as folder:
        (folder / "golden.json").write_text(json.dumps(golden))
        write_decision_of(of or path.with_name("bundle"), folder, passed, compared)
    return str(path)


@pytest.fixture
def bundle(tmp_path):
    return str(write_hand_bundle(tmp_path / "bundle"))


def test_a_bundle_that_answers_as_evaluated_is_deployed(bundle, tmp_path):
    evaluation, output = write_evaluation(tmp_path / "evaluation", GOLDEN), tmp_path / "service"
    deploy(bundle, evaluation, str(output), DeploySettings(name="shop", storage_uri="s3://models/shop"))
    artifact = read_artifact(output, DEPLOYMENT)
    manifests = {name: yaml.safe_load(artifact.file(f"{name}.yaml").read_text()) for name in MANIFESTS}
    assert {file.name for file in output.iterdir()} == {
        "manifest.json",
        "smoke.json",
        *(f"{name}.yaml" for name in MANIFESTS),
    }
    assert manifests["inferenceservice"]["metadata"]["name"] == "shop"
    assert manifests["inferenceservice"]["spec"]["predictor"]["model"]["storageUri"] == "s3://models/shop"
    assert manifests["servingruntime"]["metadata"]["name"] == "longtail"
    smoke = json.loads(artifact.file("smoke.json").read_text())
    assert smoke["golden_users"] == 3
    assert set(smoke["greatest_relative_difference"]) == {"v1", "v2"}
    assert all(difference < 1e-6 for difference in smoke["greatest_relative_difference"].values())
    assert [item["item_id"] for item in smoke["answers"][1]["prediction"]["items"]] == ["b", "c", "d"]


def test_a_refreshed_bundle_answers_as_it_does_here(bundle, tmp_path):
    """It learnt from more than what was evaluated, so other answers than the evaluated are right."""
    manifest = tmp_path / "bundle/manifest.json"
    written = json.loads(manifest.read_text())
    written["facts"]["refreshed"] = {"mode": "refresh", "from": "0" * 64, "events": 9, "until": 1}
    manifest.write_text(json.dumps(written))
    evaluated = [one | {"expected": ["d"], "scores": [9.0]} for one in GOLDEN]
    output = tmp_path / "service"
    deploy(bundle, write_evaluation(tmp_path / "evaluation", evaluated), str(output), DeploySettings())
    smoke = json.loads((output / "smoke.json").read_text())
    assert [[item["item_id"] for item in one["prediction"]["items"]] for one in smoke["answers"][:2]] == [
        ["a", "b", "c", "d"],
        ["b", "c", "d"],
    ]


def test_what_does_not_answer_is_not_published(bundle, tmp_path):
    evaluation = write_evaluation(tmp_path / "evaluation", [GOLDEN[1] | {"expected": ["c", "b", "d"]}])
    with pytest.raises(UserError, match="evaluate this bundle again"):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings(registry_uri=str(tmp_path / "models")))
    assert not (tmp_path / "models").exists()


def test_answers_that_differ_from_the_evaluated_leave_nothing(bundle, tmp_path):
    golden = [GOLDEN[0], GOLDEN[1] | {"expected": ["c", "b", "d"]}]
    evaluation = write_evaluation(tmp_path / "evaluation", golden)
    with pytest.raises(
        UserError, match=r"evaluated user 1 \(history \['a'\]\): v1 answered b 1.05.*evaluate this bundle again"
    ):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "evaluation"]


def test_without_a_storage_uri_the_local_folder_is_named(bundle, tmp_path):
    output = tmp_path / "service"
    deploy(bundle, write_evaluation(tmp_path / "evaluation", GOLDEN), str(output), DeploySettings())
    service = yaml.safe_load((output / "inferenceservice.yaml").read_text())
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"file://{tmp_path}/bundle"
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}


def test_only_as_many_users_as_set_are_asked(bundle, tmp_path):
    wrong = GOLDEN[1] | {"scores": [9, 8, 7]}
    evaluation = write_evaluation(tmp_path / "evaluation", [GOLDEN[0], wrong])
    deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings(golden_users=1))
    assert json.loads((tmp_path / "service/smoke.json").read_text())["golden_users"] == 1


def test_a_tampered_bundle_is_refused_before_anything_starts(bundle, tmp_path):
    path = tmp_path / "bundle/attributes.json"
    path.write_text('["gender=M"]')
    evaluation = write_evaluation(tmp_path / "evaluation", GOLDEN)
    with pytest.raises(UserError, match=r"attributes.json: differs from its checksum"):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())
    assert not (tmp_path / "service").exists()


def test_an_evaluation_without_users_proves_nothing(bundle, tmp_path):
    evaluation = write_evaluation(tmp_path / "evaluation", [])
    with pytest.raises(UserError, match="holds no evaluated users"):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())


@dataclass
class Stored:
    path: str


def run_component(tmp_path, bundle, settings):
    evaluation = write_evaluation(tmp_path / "evaluation", GOLDEN)
    output = Stored(str(tmp_path / "outputs/service"))
    component.deploy.python_func(Stored(bundle), Stored(evaluation), settings, output)
    return Path(output.path)


def test_the_component_deploys(bundle, tmp_path):
    output = run_component(tmp_path, bundle, DeploySettings(name="shop").canonical())
    assert yaml.safe_load((output / "inferenceservice.yaml").read_text())["metadata"]["name"] == "shop"


def test_the_component_reports_what_a_user_got_wrong(bundle, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_component(tmp_path, bundle, '{"nam": "shop"}')
    assert exit_.value.code == 2
    assert "there is no setting 'nam'" in capsys.readouterr().err


def test_a_bundle_is_rolled_out_on_a_cluster(bundle, tmp_path, stage, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(stage.cluster.kubeconfig(tmp_path)))
    evaluation, output = write_evaluation(tmp_path / "evaluation", GOLDEN), tmp_path / "service"
    settings = DeploySettings(name="shop", target="cluster", registry_uri=stage.registry.uri)
    deploy(bundle, evaluation, str(output), settings)
    rollout = json.loads((output / "rollout.json").read_text())
    assert (rollout["version"], rollout["strategy"], rollout["promoted"]) == (stage.champion, "first", True)
    manifest = yaml.safe_load((output / "inferenceservice.yaml").read_text())
    assert manifest["spec"]["predictor"] == stage.cluster.service["spec"]["predictor"]
    assert manifest["spec"]["predictor"]["model"]["storageUri"] == rollout["uri"]


def test_a_local_deployment_only_publishes(bundle, tmp_path, stage):
    evaluation, output = write_evaluation(tmp_path / "evaluation", GOLDEN), tmp_path / "service"
    deploy(bundle, evaluation, str(output), DeploySettings(registry_uri=stage.registry.uri))
    manifest = yaml.safe_load((output / "inferenceservice.yaml").read_text())
    version = manifest["spec"]["predictor"]["labels"]["longtail/version"]
    assert manifest["spec"]["predictor"]["model"]["storageUri"] == stage.registry.version(version).uri
    assert stage.registry.golden(stage.registry.version(version)) == GOLDEN
    assert (stage.champion, stage.cluster.service) == (None, None)
    assert not (output / "rollout.json").exists()


def test_a_gate_that_did_not_pass_needs_a_reason_which_is_kept(bundle, tmp_path):
    evaluation, output = write_evaluation(tmp_path / "evaluation", GOLDEN, passed=False), tmp_path / "service"
    settings = DeploySettings(registry_uri=str(tmp_path / "models"))
    with pytest.raises(UserError, match=r"the gate did not pass, so .*bundle may not be served.*worse than item CF"):
        deploy(bundle, evaluation, str(output), settings)
    assert not output.exists() and not (tmp_path / "models").exists()
    deploy(bundle, evaluation, str(output), settings, override="a trial")
    assert read_artifact(output, DEPLOYMENT).facts["override"] == "a trial"


def test_an_evaluation_of_another_bundle_is_refused(bundle, tmp_path):
    other = write_hand_bundle(tmp_path / "other", titles=("Lamp", "Lamp", None, "Lamp"))
    evaluation = write_evaluation(tmp_path / "evaluation", GOLDEN, of=other)
    with pytest.raises(UserError, match="decides about another bundle than"):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())


def test_a_bundle_that_was_refreshed_since_goes_by_the_decision_of_the_measured_one(bundle, tmp_path):
    evaluation = write_evaluation(tmp_path / "evaluation", GOLDEN)
    refresh(tmp_path / "bundle", manifest_digest(bundle))
    deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())
    refresh(tmp_path / "bundle", "d" * 64)
    with pytest.raises(UserError, match="decides about another bundle than"):
        deploy(bundle, evaluation, str(tmp_path / "service"), DeploySettings())


def test_a_champion_that_was_not_compared_is_not_replaced(bundle, tmp_path, stage, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(stage.cluster.kubeconfig(tmp_path)))
    stage.registry.promote(stage.new, None, "the first")
    evaluation, output = write_evaluation(tmp_path / "evaluation", GOLDEN, compared=NOBODY), tmp_path / "service"
    settings = DeploySettings(name="shop", target="cluster", registry_uri=stage.registry.uri)
    told = rf"the champion is {stage.new.id} now, and version \w+ was compared with {NOBODY}; evaluate it again"
    with pytest.raises(UserError, match=told):
        deploy(bundle, evaluation, str(output), settings)
    assert (stage.champion, stage.cluster.service) == (stage.new.id, None)
    deploy(bundle, evaluation, str(output), settings, override="the old one is broken")
    assert stage.registry.promotions()[-1].override == "the old one is broken"
    assert stage.champion == json.loads((output / "rollout.json").read_text())["version"]
