"""Deploy: prove on the real server that a bundle answers as it does here, to the evaluated users, write its manifests, and roll it out."""

import json
from pathlib import Path
from typing import Any

import yaml

from longtail.components.deploy.serving_runtime import DEFAULT_IMAGE, serving_runtime
from longtail.components.deploy.settings import DeploySettings
from longtail.components.deploy.smoke import local_smoke_test
from longtail.contracts.artifacts import BUNDLE, DEPLOYMENT, EVALUATION, check_place, read_artifact, write_artifact
from longtail.contracts.decision import DECISION, check_passed
from longtail.contracts.errors import UserError
from longtail.registry.interface import Version
from longtail.registry.opening import open_registry
from longtail.rollout.inference_service import inference_service, predictor
from longtail.rollout.kubernetes_api import connect
from longtail.rollout.roll_out import roll_out
from longtail.scoring.asked import Asked
from longtail.scoring.expected import expected_answers
from longtail.scoring.recommender import Recommender


def deploy(bundle: str, evaluation: str, output: str, settings: DeploySettings, override: str | None = None) -> None:
    """Write a DEPLOYMENT artifact: the manifests, ``smoke.json`` with what the server answered here and, where the target is a
    cluster, ``rollout.json`` with what was done there.

    override: why the bundle may be served though no Decision says so; the registry's history keeps it.

    Raises:
        UserError: a Decision that did not pass, is about another bundle or was made against another champion; a damaged bundle,
            settings that cannot be deployed, served answers that differ from the evaluated, or a rollout that failed.
        RuntimeError: the server ended by itself.
    """
    check_place(output, DEPLOYMENT)
    refreshed = "refreshed" in read_artifact(bundle, BUNDLE).facts
    mode = "Standard" if settings.mode == "auto" else settings.mode
    _manifests(bundle, None, mode, settings)  # settings that KServe would ignore are refused before any work
    golden = _golden(evaluation)[: settings.golden_users]
    if override is None:
        check_passed(evaluation, bundle)
    if refreshed:  # it has learnt from later events than what was evaluated, and answers otherwise
        golden = expected_answers(
            Recommender.load(bundle), [Asked(of["history"], of["attributes"], context=of["context"]) for of in golden]
        )
    decision = Path(evaluation) / DECISION
    facts = {"settings": settings.model_dump(mode="json"), "override": override}
    with write_artifact(output, DEPLOYMENT, facts) as folder:
        written: dict[str, Any] = {"smoke.json": local_smoke_test(bundle, golden, settings)}
        registry = open_registry(settings.registry_uri) if settings.registry_uri else None
        told = decision if decision.is_file() else None
        version = registry.publish(Path(bundle), told, golden) if registry else None
        if settings.target == "cluster":
            assert registry and version  # the settings are valid
            report = roll_out(connect(settings.namespace), registry, version, golden, settings, override)
            written["rollout.json"], mode = report, report["mode"]
        for name, document in written.items():
            (folder / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        for name, manifest in _manifests(bundle, version, mode, settings).items():
            (folder / name).write_text(yaml.safe_dump(manifest, sort_keys=False))


def _manifests(bundle: str, version: Version | None, mode: str, settings: DeploySettings) -> dict[str, dict[str, Any]]:
    """Without a place that the cluster reads, the InferenceService names the local folder, which serves to look at."""
    uri = version.uri if version else settings.storage_uri or Path(bundle).resolve().as_uri()
    stable = predictor(settings, mode, uri, version.id if version else None)
    return {
        "servingruntime.yaml": serving_runtime(settings.image or DEFAULT_IMAGE, settings.namespace),
        "inferenceservice.yaml": inference_service(settings.name, settings.namespace, mode, stable),
    }


def _golden(evaluation: str) -> list[dict[str, Any]]:
    """Evaluated users: ``history``, ``attributes``, ``context``, ``expected`` items and their ``scores``, best first."""
    path = read_artifact(evaluation, EVALUATION).file("golden.json")
    if not path.is_file():
        raise UserError(f"{path}: is missing; evaluate the bundle again")
    golden: list[dict[str, Any]] = json.loads(path.read_text())
    if not golden:
        raise UserError(
            f"{path}: holds no evaluated users, so nothing can be compared; evaluate on data with test users"
        )
    return golden
