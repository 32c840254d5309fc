"""The KServe InferenceService that serves a bundle. KServe's own types make it, so that no field's name is guessed."""

import hashlib
import json
from typing import Any

from kubernetes import client as k8s

from longtail.contracts.errors import UserError
from longtail.rollout.service_settings import ServiceSettings
from longtail.system.kserve_sdk import kserve

RUNTIME, MODEL_FORMAT = "longtail", "longtail-bundle"  # the ServingRuntime, and what it serves
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"  # Knative: the newest revision has an address of its own
REVISION = "longtail/revision"  # label of the pods, by which they are told from those of another bundle
VERSION = "longtail/version"  # label of the pods: the bundle's version in the registry
CANARY = "candidate"  # name of the second predictor, in Standard mode

Document = dict[str, Any]


def predictor(settings: ServiceSettings, mode: str, storage_uri: str, version: str | None = None) -> Document:
    """``spec.predictor`` for a bundle that lies at ``storage_uri``.

    Raises:
        UserError: zero replicas, to which Standard mode cannot scale.
    """
    if mode == "Standard" and settings.min_replicas == 0:
        raise UserError("deploy.min_replicas 0: Standard mode does not scale to zero; take 1, or deploy.mode Knative")
    resources = {"cpu": settings.cpu, "memory": settings.memory}
    spec = kserve.V1beta1PredictorSpec(
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        service_account_name=settings.service_account,
        automount_service_account_token=False,  # the server asks nothing of Kubernetes
        # Knative refuses it for a pod as a whole; the ServingRuntime's container has it in both modes
        security_context=_restricted() if mode == "Standard" else None,
        model=kserve.V1beta1ModelSpec(
            model_format=kserve.V1beta1ModelFormat(name=MODEL_FORMAT),
            runtime=RUNTIME,
            storage_uri=storage_uri,
            image=settings.image,
            resources=k8s.V1ResourceRequirements(requests=resources, limits=resources),
        ),
    )
    return labelled(_plain(spec), version)


def labelled(stable: Document, version: str | None) -> Document:
    """The predictor with the labels that tell its pods: a digest of all that makes them, and the bundle's version."""
    apart = ("labels", "minReplicas", "maxReplicas", "canaryTrafficPercent")  # what changes no pod
    pods = {key: value for key, value in stable.items() if key not in apart}
    revision = hashlib.sha256(json.dumps(pods, sort_keys=True).encode()).hexdigest()[:16]
    return stable | {"labels": {REVISION: revision} | ({VERSION: version} if version else {})}


def inference_service(
    name: str, namespace: str, mode: str, stable: Document, canary: Document | None = None, percent: int | None = None
) -> Document:
    """The manifest. Standard: ``canary``, a second predictor, gets ``percent`` of the traffic. Knative has one predictor, the
    newest, which gets ``percent`` of it; the rest goes to the one before."""
    if percent is not None and mode == "Knative":
        stable = stable | {"canaryTrafficPercent": percent}
    canaries = [kserve.V1beta1CanarySpec(predictor=_as_canary(canary), traffic_percent=percent)] if canary else None
    return _plain(
        kserve.V1beta1InferenceService(
            api_version=kserve.constants.KSERVE_V1BETA1,
            kind=kserve.constants.KSERVE_KIND_INFERENCESERVICE,
            metadata=k8s.V1ObjectMeta(
                name=name,
                namespace=namespace,
                labels={"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "longtail"},
                # both constant: KServe copies them to the pods, so a change would restart these
                annotations={DEPLOYMENT_MODE: mode} | ({TAG_ROUTING: "true"} if mode == "Knative" else {}),
            ),
            spec=kserve.V1beta1InferenceServiceSpec(predictor=stable, canary=canaries),
        )
    )


def place_of(service: Document, canary: bool) -> Document:
    """The predictor that is the canary, or the stable one; empty where there is none."""
    if not canary:
        predictor: Document = service["spec"]["predictor"]
        return predictor
    return next((entry["predictor"] for entry in service["spec"].get("canary") or []), {})


def asked_share(service: Document) -> int:
    """Percent of the traffic that the InferenceService asks for its newest bundle, beside another; 0 without a canary."""
    canaries = service["spec"].get("canary") or []
    return int(
        canaries[0]["trafficPercent"] if canaries else service["spec"]["predictor"].get("canaryTrafficPercent", 0)
    )


def revision(predictor: Document) -> str | None:
    label: str | None = (predictor.get("labels") or {}).get(REVISION)
    return label


def _as_canary(candidate: Document) -> Document:
    """A canary has a name and a fixed number of pods: KServe refuses limits of autoscaling there."""
    fixed = {key: value for key, value in candidate.items() if key != "maxReplicas"}
    return fixed | {"name": CANARY}


def _restricted() -> k8s.V1PodSecurityContext:
    return k8s.V1PodSecurityContext(run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"))


def _plain(typed: object) -> Document:
    document: Document = k8s.ApiClient().sanitize_for_serialization(typed)
    return document
