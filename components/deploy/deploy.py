"""Deploy: write the manifests of a bundle, and prove on the real server that it answers as it was evaluated."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import yaml

from longtail.components.deploy.inference_service import inference_service, predictor
from longtail.components.deploy.local_server import ServerHandle, running_server
from longtail.components.deploy.serving_runtime import DEFAULT_IMAGE, serving_runtime
from longtail.components.deploy.smoke import ask_v1, ask_v2, greatest_difference
from longtail.contracts.artifacts import BUNDLE, DEPLOYMENT, EVALUATION, read_artifact, write_artifact
from longtail.contracts.deploy_settings import DeploySettings
from longtail.contracts.errors import UserError

log = logging.getLogger(__name__)


def deploy(bundle: str, evaluation: str, output: str, settings: DeploySettings) -> None:
    """Write a DEPLOYMENT artifact: the manifests, and ``smoke.json`` with what the server answered.

    Raises:
        UserError: a damaged bundle, settings that cannot be deployed, or served answers that differ from the evaluated.
        RuntimeError: the server ended by itself.
    """
    read_artifact(bundle, BUNDLE)
    manifests = _manifests(bundle, settings)
    golden = _golden(evaluation)[: settings.golden_users]
    with write_artifact(output, DEPLOYMENT, {"settings": settings.model_dump(mode="json")}) as folder:
        smoke = _smoke_test(bundle, golden, settings)
        for name, manifest in manifests.items():
            (folder / name).write_text(yaml.safe_dump(manifest, sort_keys=False))
        (folder / "smoke.json").write_text(json.dumps(smoke, indent=1, ensure_ascii=False) + "\n")


def _manifests(bundle: str, settings: DeploySettings) -> dict[str, dict[str, Any]]:
    """Without a place that the cluster reads, the InferenceService names the local folder, which serves to look at."""
    mode = "Standard" if settings.mode == "auto" else settings.mode
    stable = predictor(settings, mode, settings.storage_uri or Path(bundle).resolve().as_uri())
    return {
        "servingruntime.yaml": serving_runtime(settings.image or DEFAULT_IMAGE, settings.namespace),
        "inferenceservice.yaml": inference_service(settings.name, settings.namespace, mode, stable),
    }


def _golden(evaluation: str) -> list[dict[str, Any]]:
    """Evaluated users: ``history``, ``attributes``, ``expected`` items and their ``scores``, best first."""
    path = read_artifact(evaluation, EVALUATION).file("golden.json")
    if not path.is_file():
        raise UserError(f"{path}: is missing; evaluate the bundle again")
    golden: list[dict[str, Any]] = json.loads(path.read_text())
    if not golden:
        raise UserError(
            f"{path}: holds no evaluated users, so nothing can be compared; evaluate on data with test users"
        )
    return golden


def _smoke_test(bundle: str, golden: list[dict[str, Any]], settings: DeploySettings) -> dict[str, Any]:
    instances = [
        {"history": user["history"], "attributes": user["attributes"], "k": len(user["expected"])} for user in golden
    ]
    with tempfile.TemporaryDirectory(prefix="longtail-deploy-") as folder:
        log_path = Path(folder) / "server.log"
        try:
            with running_server(bundle, settings.name, settings.startup_seconds, log_path) as server:
                log.info("the model server is ready on %s", server.url)
                answers = _ask_both(server, settings.name, instances)
        except Exception:
            if log_path.exists():
                log.error("log of the model server:\n%s", log_path.read_text(errors="replace"))
            raise
    differences = {
        protocol: greatest_difference(protocol, golden, predictions) for protocol, predictions in answers.items()
    }
    log.info("%d evaluated users were answered as evaluated, over %s", len(golden), " and ".join(answers))
    return {
        "golden_users": len(golden),
        "greatest_relative_difference": differences,
        "answers": [
            {"request": instance, "prediction": prediction} for instance, prediction in zip(instances, answers["v1"])
        ],
    }


def _ask_both(server: ServerHandle, name: str, instances: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each user in a request of its own, as clients ask."""
    return {
        protocol: [ask(server.url, name, [instance])[0] for instance in instances]
        for protocol, ask in (("v1", ask_v1), ("v2", ask_v2))
    }
