"""The KServe ServingRuntime: how a pod serves bundles. An administrator installs it once a namespace."""

from typing import Any

from kubernetes import client as k8s

from longtail import __version__
from longtail.rollout.inference_service import MODEL_FORMAT, RUNTIME
from longtail.system.kserve_sdk import kserve

MODEL_FORMAT_VERSION = "1"
DEFAULT_IMAGE = f"longtail-predict:{__version__}"
HTTP_PORT, GRPC_PORT = 8080, 8081
MOUNT = "/mnt/models"  # where KServe puts the bundle that storageUri names


def serving_runtime(image: str = DEFAULT_IMAGE, namespace: str | None = None) -> dict[str, Any]:
    """The manifest. KServe puts the InferenceService's name in place of ``{{.Name}}``."""
    runtime = kserve.V1alpha1ServingRuntime(
        api_version=kserve.constants.KSERVE_V1ALPHA1,
        kind="ServingRuntime",
        metadata=k8s.V1ObjectMeta(name=RUNTIME, namespace=namespace, labels={"app.kubernetes.io/part-of": "longtail"}),
        spec=kserve.V1alpha1ServingRuntimeSpec(
            annotations={"prometheus.kserve.io/path": "/metrics", "prometheus.kserve.io/port": str(HTTP_PORT)},
            supported_model_formats=[
                kserve.V1alpha1SupportedModelFormat(name=MODEL_FORMAT, version=MODEL_FORMAT_VERSION, auto_select=True)
            ],
            protocol_versions=["v1", "v2"],
            containers=[_container(image)],
            volumes=[k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource())],
        ),
    )
    document: dict[str, Any] = k8s.ApiClient().sanitize_for_serialization(runtime)
    return document


def _container(image: str) -> k8s.V1Container:
    resources = {"cpu": "1", "memory": "1Gi"}  # the InferenceService's own go before
    return k8s.V1Container(
        name="kserve-container",  # KServe finds the predictor by this name
        image=image,
        command=["python", "-m", "longtail.components.predict.server"],
        args=[f"--bundle={MOUNT}", "--name={{.Name}}", f"--http-port={HTTP_PORT}", f"--grpc-port={GRPC_PORT}"],
        ports=[k8s.V1ContainerPort(container_port=HTTP_PORT, protocol="TCP")],
        resources=k8s.V1ResourceRequirements(requests=resources, limits=resources),
        # not /v2/health/ready, which answers 200 without any model
        readiness_probe=k8s.V1Probe(
            http_get=k8s.V1HTTPGetAction(path="/v2/models/{{.Name}}/ready", port=HTTP_PORT),
            period_seconds=5,
            failure_threshold=3,
        ),
        security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        volume_mounts=[k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],  # noqa: S108  (the one place it may write)
    )
