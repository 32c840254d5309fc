"""Every setting of deploy changes the manifests, the rollout, the smoke test here, or is refused: none is there for nothing."""

import json
import tempfile
import time
import types
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers_decision import write_decision_of
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from helpers_rollout import make_stage

from longtail.components.deploy import deploy as stage
from longtail.components.deploy import smoke
from longtail.components.deploy.settings import DeploySettings
from longtail.contracts.artifacts import EVALUATION, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import leaves, parse
from longtail.rollout import placing, traffic

OF_THE_MANIFESTS: dict[str, Any] = {  # setting -> its changed value
    "name": "shop",
    "namespace": "elsewhere",
    "image": "models/server:abc",
    "service_account": None,
    "mode": "Knative",
    "min_replicas": 2,
    "max_replicas": 5,
    "cpu": "2",
    "memory": "3Gi",
    "storage_uri": "s3://models/shop",
}
OF_THE_ROLLOUT: dict[
    str, tuple[str, dict[str, Any], Any]
] = {  # -> what goes wrong, the others beside it, its changed value
    "rollout": ("nothing", {}, "rolling"),
    "traffic_steps": ("nothing", {}, (20,)),
    "step_seconds": ("nothing", {}, 8.0),
    "step_requests": ("nothing", {}, 3),
    "drain_seconds": ("nothing", {}, 7.0),
    "promote": ("nothing", {}, False),
    "kserve_namespace": ("nothing", {}, "elsewhere"),  # where nothing says that a canary can be had
    "gateway_url": ("nothing", {}, "the cluster's"),
    "max_p95_ms": ("nothing", {}, 1e-6),
    "max_error_share": ("half of the answers", {}, 1.0),
    "ready_seconds": ("never ready", {"rollout": "rolling", "ready_seconds": 1}, 2),
    "take_over": ("another tool's field", {}, True),
}
OF_THE_SMOKE_TEST = {"golden_users": 1, "startup_seconds": 77}
ELSEWHERE = {"registry_uri", "target"}  # tests below


def test_no_setting_is_forgotten() -> None:
    assert {*OF_THE_MANIFESTS, *OF_THE_ROLLOUT, *OF_THE_SMOKE_TEST, *ELSEWHERE} == set(leaves(DeploySettings))


class Case:
    """A bundle with its evaluation, and deploy without a real server: ``asked`` is what the smoke test got."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.asked = folder, list[Any]()
        self.bundle = write_hand_bundle(folder / "bundle")
        with write_artifact(folder / "evaluation", EVALUATION, {}) as evaluation:
            (evaluation / "golden.json").write_text(json.dumps(GOLDEN))
            write_decision_of(self.bundle, evaluation)

        @contextmanager
        def server(bundle: str, name: str, seconds: float, log_path: Path) -> Any:
            self.asked.append(seconds)
            yield types.SimpleNamespace(url="http://127.0.0.1:1")

        monkeypatch.setattr(smoke, "running_server", server)
        monkeypatch.setattr(smoke, "compare_answers", lambda post, name, golden: self.asked.append(len(golden)) or {})

    def deploy(self, **settings: Any) -> dict[str, str]:
        """The manifests."""
        output = self.folder / f"out{len(self.asked)}"
        stage.deploy(str(self.bundle), str(self.folder / "evaluation"), str(output), DeploySettings(**settings))
        return {path.name: path.read_text() for path in output.glob("*.yaml")}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


@pytest.mark.parametrize("setting", OF_THE_MANIFESTS)
def test_a_changed_setting_changes_the_manifests(case: Case, setting: str) -> None:
    assert case.deploy() != case.deploy(**{setting: OF_THE_MANIFESTS[setting]})


@pytest.mark.parametrize("setting", OF_THE_SMOKE_TEST)
def test_a_changed_setting_changes_the_smoke_test(case: Case, setting: str) -> None:
    case.deploy(**{setting: OF_THE_SMOKE_TEST[setting]})
    assert OF_THE_SMOKE_TEST[setting] in case.asked
    case.asked.clear()
    case.deploy()
    assert case.asked == [DeploySettings().startup_seconds, len(GOLDEN)]


def test_a_bundle_is_published_where_a_registry_is_named(case: Case) -> None:
    case.deploy()
    assert not (case.folder / "models").exists()
    case.deploy(registry_uri=str(case.folder / "models"))
    assert (case.folder / "models").is_dir()


def test_the_cluster_is_asked_where_it_is_the_target(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"set deploy\.registry_uri"):
        parse(DeploySettings, {"target": "cluster"}, "run.yaml")
    monkeypatch.setattr(stage, "connect", lambda namespace: pytest.fail(f"connected to {namespace}"))
    case.deploy(registry_uri=str(case.folder / "models"))
    with pytest.raises(pytest.fail.Exception, match="connected to longtail"):
        case.deploy(registry_uri=str(case.folder / "models"), target="cluster")


def half_of_the_answers(rollout: Any) -> None:
    def fail_from_half(service: Any) -> None:
        half = "canary" in service["spec"] and service["spec"]["canary"][0]["trafficPercent"] == 50
        rollout.cluster.failing = {rollout.new.uri} if half else set()

    rollout.cluster.on_apply = fail_from_half


def never_ready(rollout: Any) -> None:
    rollout.cluster.controller.broken[rollout.new.uri] = "never"


def another_tools_field(rollout: Any) -> None:
    rollout.cluster.owned_by_others = [".spec.predictor.minReplicas"]


WRONG: dict[str, Callable[[Any], None]] = {
    "nothing": lambda rollout: None,
    "half of the answers": half_of_the_answers,
    "never ready": never_ready,
    "another tool's field": another_tools_field,
}


Done = Callable[..., list[Any]]


@pytest.fixture
def done(tmp_path: Path, model_server: str, bundles: Any, monkeypatch: pytest.MonkeyPatch) -> Done:
    """All that a second bundle's rollout with these settings does, in a cluster of its own where ``wrong`` goes wrong."""
    slept: list[float] = []
    clock = types.SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    for module in (placing, traffic):
        monkeypatch.setattr(module, "time", clock)

    def roll_out(wrong: str, **settings: Any) -> list[Any]:
        rollout = make_stage(Path(tempfile.mkdtemp(dir=tmp_path)), model_server, bundles)
        try:
            rollout.deploy(rollout.old)
            slept.clear()
            WRONG[wrong](rollout)
            if settings.get("gateway_url"):
                settings["gateway_url"] = rollout.cluster.url
            came_to: list[Any] = []
            try:
                report = rollout.deploy(rollout.new, **settings)
                came_to = [report["strategy"], report["promoted"], [step["requests"] for step in report["steps"]]]
            except UserError as error:
                came_to = [str(error)]
            return [*came_to, rollout.percents(), slept.copy(), bool(rollout.cluster.hosts), rollout.champion]
        finally:
            rollout.cluster.stop()

    return roll_out


@pytest.mark.slow
def test_the_same_settings_do_the_same(done: Done) -> None:
    assert done("nothing") == done("nothing")


@pytest.mark.slow
@pytest.mark.parametrize("setting", OF_THE_ROLLOUT)
def test_a_changed_setting_changes_the_rollout(done: Done, setting: str) -> None:
    wrong, beside, value = OF_THE_ROLLOUT[setting]
    assert done(wrong, **beside) != done(wrong, **(beside | {setting: value}))
