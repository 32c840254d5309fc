"""What KServe on a cluster can do: its version, its deployment mode, and whether it can split traffic."""

import json
import logging
import re
from dataclasses import dataclass
from typing import Any

from longtail.contracts.errors import UserError
from longtail.rollout.inference_service import DEPLOYMENT_MODE
from longtail.rollout.kubernetes_api import Cluster, Document, find, readable

log = logging.getLogger(__name__)

SCHEMA_PATH = "/openapi/v3/apis/serving.kserve.io/v1beta1"  # readable for everyone who may ask the API server at all
MODES = {"Standard": "Standard", "RawDeployment": "Standard", "Knative": "Knative", "Serverless": "Knative"}
CANARY_SINCE = (0, 20)


@dataclass(frozen=True)
class Kserve:
    """What was found; None is what could not be read. ``canary_field``: the InferenceService has ``spec.canary``."""

    version: str | None
    default_mode: str | None
    gateway_api: bool | None
    canary_field: bool | None


def find_kserve(cluster: Cluster, namespace: str) -> Kserve:
    """Ask the API server's schema, KServe's ConfigMap and its controller. ``namespace`` is KServe's own.

    Raises:
        UserError: there is no KServe.
    """
    schema = find(cluster, SCHEMA_PATH)
    if schema is None:
        raise UserError(f"{cluster.api.configuration.host}: knows no InferenceServices; install KServe there")
    data = (readable(cluster, f"/api/v1/namespaces/{namespace}/configmaps/inferenceservice-config") or {}).get(
        "data", {}
    )
    controller = readable(cluster, f"/apis/apps/v1/namespaces/{namespace}/deployments/kserve-controller-manager")
    ingress, deploy = _json(data, "ingress"), _json(data, "deploy")
    mode = str(deploy.get("defaultDeploymentMode") or "") or None
    found = Kserve(
        version=_version(json.dumps(controller)) or _version(data.get("storageInitializer", "")),
        default_mode=_modern(mode),
        gateway_api=bool(ingress.get("enableGatewayApi")) if data else None,
        canary_field=_has_canary(schema),
    )
    log.info("KServe %s in namespace %s, default mode %s", found.version or "?", namespace, found.default_mode or "?")
    return found


def deployment_mode(wanted: str, service: Document | None, kserve: Kserve) -> str:
    """Standard or Knative: what is wanted, else what the service has, else the cluster's default, else Standard.

    Raises:
        UserError: the service has another mode, which KServe never changes; or one that serves no bundle.
    """
    has = _mode_of(service) if service else None
    if has and wanted not in ("auto", has):
        raise UserError(
            f"deploy.mode {wanted}: the InferenceService {service_name(service)} is in mode {has}, which KServe does not "
            "change; set deploy.mode=auto, deploy under another deploy.name, or delete the service first"
        )
    mode = (wanted if wanted != "auto" else None) or has or kserve.default_mode or "Standard"
    if mode not in MODES.values():
        raise UserError(f"deployment mode {mode}: serves no bundles; set deploy.mode to Standard or Knative")
    return mode


def why_no_canary(mode: str, kserve: Kserve) -> str | None:
    """Why traffic cannot be split between two bundles; None where it can."""
    if mode == "Knative":
        return None
    version = kserve.version or "of an unknown version"
    has_field = kserve.canary_field
    if has_field is None and kserve.version:  # a CRD without details, as minimal installations have them
        has_field = tuple(int(part) for part in kserve.version.split(".")[:2]) >= CANARY_SINCE
    if not has_field:
        return f"KServe {version} has no spec.canary, which Standard mode has since {CANARY_SINCE[0]}.{CANARY_SINCE[1]}"
    if kserve.gateway_api is None:
        return (
            "KServe's ConfigMap inferenceservice-config is not readable here (right to get it, deploy.kserve_namespace)"
        )
    if not kserve.gateway_api:
        return "KServe routes without the Gateway API (enableGatewayApi in its ConfigMap inferenceservice-config)"
    return None


def service_name(service: Document | None) -> str:
    metadata = (service or {}).get("metadata", {})
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _mode_of(service: Document) -> str | None:
    annotations = service["metadata"].get("annotations") or {}
    mode = (service.get("status") or {}).get("deploymentMode") or annotations.get(DEPLOYMENT_MODE)
    return _modern(mode)


def _modern(mode: str | None) -> str | None:
    """Modes had other names before 0.16."""
    return MODES.get(mode, mode) if mode else None


def _version(text: str) -> str | None:
    """The first image tag that is a version, as in ``kserve-controller:v0.20.1``."""
    found = re.search(r":v(\d+\.\d+\.\d+)", text)
    return found[1] if found else None


def _json(data: dict[str, str], key: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(data.get(key) or "{}")
    return document


def _has_canary(schema: Document) -> bool | None:
    """None where the schema leaves the fields of ``spec`` open."""
    for kind in schema["components"]["schemas"].values():
        names = {group_version_kind["kind"] for group_version_kind in kind.get("x-kubernetes-group-version-kind", [])}
        if "InferenceService" in names:
            fields = kind["properties"].get("spec", {}).get("properties")
            return "canary" in fields if fields else None
    return None
