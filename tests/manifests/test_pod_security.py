"""Every pod that the manifests cause meets the pod security standard "restricted", which the namespace enforces."""

import copy

import pytest
import yaml
from helpers_manifests import MANIFESTS, faults, of_kind, one, render

from longtail.rollout.inference_service import predictor
from longtail.rollout.service_settings import ServiceSettings

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod):
    """The rules of the standard (baseline and restricted, Kubernetes 1.32) that a pod spec breaks."""
    context = pod.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    if set(context.get("sysctls", [])):
        found.append("sysctls")
    found += [f"volume {volume['name']}" for volume in pod.get("volumes", []) if not set(volume) - {"name"} <= VOLUMES]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = context | container.get("securityContext", {})
        rules = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "capabilities.add": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": own.get("runAsNonRoot") is True,
            "runAsUser": own.get("runAsUser") != 0,
            "seccompProfile": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "procMount": own.get("procMount", "Default") == "Default",
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
            "others": not {"seLinuxOptions", "appArmorProfile", "windowsOptions"} & set(own),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


def server_pod(documents):
    """The pod as KServe puts it together: the runtime's containers under the service's pod fields."""
    runtime = one(documents, "ServingRuntime", "longtail")["spec"]
    pods = predictor(ServiceSettings(), "Standard", "s3://models/longtail/1")  # as the deploy step makes it
    initializer = yaml.safe_load((MANIFESTS / "kserve/storage-initializer.patch.yaml").read_text())["spec"]["container"]
    return {
        "containers": copy.deepcopy(runtime["containers"]),
        "volumes": copy.deepcopy(runtime["volumes"]),
        "initContainers": [{"name": "storage-initializer", "image": "x"} | initializer],
        "securityContext": copy.deepcopy(pods["securityContext"]),
    }


@pytest.mark.parametrize("folder", ["base", "overlays/kind", "overlays/production", "overlays/workload-identity"])
def test_the_servers_pod_is_restricted(folder):
    documents = render(MANIFESTS / folder)
    pod = server_pod(documents)
    assert violations(pod) == []
    named = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}, "spec": pod}
    assert faults(named) == []
    assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])
    assert {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]} == {"/tmp"}
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"):
        assert not of_kind(documents, kind), "another pod: check it here too"


def test_the_runtime_is_restricted_without_the_services_help():
    """The deploy step may make the service of Knative, which refuses a security context for a pod as a whole."""
    pod = server_pod(render(MANIFESTS / "base"))
    pod["securityContext"] = {}
    assert violations(pod) == []


@pytest.mark.parametrize("key", ["allowPrivilegeEscalation", "runAsNonRoot", "capabilities", "seccompProfile"])
def test_a_missing_part_is_caught(key):
    pod = server_pod(render(MANIFESTS / "base"))
    pod["securityContext"] = {}
    del pod["containers"][0]["securityContext"][key]
    assert [fault.split(".")[0] for fault in violations(pod)] == [f"kserve-container: {key}"]


def test_kserves_initializer_needs_the_patch():
    pod = server_pod(render(MANIFESTS / "base"))
    pod["initContainers"] = [{"name": "storage-initializer", "image": "x"}]
    assert violations(pod) == [
        "storage-initializer: allowPrivilegeEscalation",
        "storage-initializer: capabilities.drop",
    ]


def test_the_namespace_enforces_it():
    labels = one(render(MANIFESTS / "base"), "Namespace", "longtail")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
