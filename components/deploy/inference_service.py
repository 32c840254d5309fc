"""The KServe InferenceService that serves a bundle, as YAML text."""

from pathlib import Path

import yaml
from kserve import V1beta1InferenceService, V1beta1InferenceServiceSpec, V1beta1PredictorSpec, constants
from kubernetes import client as k8s

from longtail.contracts.errors import UserError
from longtail.contracts.settings import DeploySettings

HTTP_PORT = 8080
GRPC_PORT = 8081
MOUNT = "/mnt/models"  # where KServe's storage initializer puts what STORAGE_URI names
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"


def inference_service(bundle: str, settings: DeploySettings) -> str:
    """The manifest's YAML.

    Args:
        bundle: local folder; what the cluster reads where ``settings.storage_uri`` names no place.

    Raises:
        UserError: replica counts that KServe would refuse or ignore.
    """
    _check_replicas(settings)
    storage_uri = settings.storage_uri or Path(bundle).resolve().as_uri()
    service = V1beta1InferenceService(
        api_version=constants.KSERVE_V1BETA1,
        kind=constants.KSERVE_KIND_INFERENCESERVICE,
        metadata=k8s.V1ObjectMeta(
            name=settings.name,
            namespace=settings.namespace,
            labels={"app.kubernetes.io/name": settings.name, "app.kubernetes.io/part-of": "longtail"},
            annotations={DEPLOYMENT_MODE: settings.mode},
        ),
        spec=V1beta1InferenceServiceSpec(
            predictor=V1beta1PredictorSpec(
                min_replicas=settings.min_replicas,
                max_replicas=settings.max_replicas,
                security_context=k8s.V1PodSecurityContext(
                    run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
                ),
                containers=[_container(storage_uri, settings)],
            )
        ),
    )
    return yaml.safe_dump(k8s.ApiClient().sanitize_for_serialization(service), sort_keys=False)


def _container(storage_uri: str, settings: DeploySettings) -> k8s.V1Container:
    resources = {"cpu": settings.cpu, "memory": settings.memory}
    return k8s.V1Container(
        name="kserve-container",  # KServe finds the predictor by this name
        image=settings.image,
        command=["python", "-m", "longtail.components.predict.server"],
        args=[f"--bundle={MOUNT}", f"--name={settings.name}", f"--http-port={HTTP_PORT}", f"--grpc-port={GRPC_PORT}"],
        env=[k8s.V1EnvVar(name="STORAGE_URI", value=storage_uri)],
        ports=[k8s.V1ContainerPort(container_port=HTTP_PORT, protocol="TCP")],
        resources=k8s.V1ResourceRequirements(requests=resources, limits=resources),
        # not /v2/health/ready, which answers 200 without any model
        readiness_probe=k8s.V1Probe(
            http_get=k8s.V1HTTPGetAction(path=f"/v2/models/{settings.name}/ready", port=HTTP_PORT),
            period_seconds=5,
            failure_threshold=3,
        ),
        security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            run_as_non_root=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
    )


def _check_replicas(settings: DeploySettings) -> None:
    if settings.min_replicas > settings.max_replicas:
        raise UserError(
            f"deploy.min_replicas {settings.min_replicas} is above deploy.max_replicas {settings.max_replicas}; raise the latter"
        )
    if settings.min_replicas == 0 and settings.mode == "Standard":
        raise UserError("deploy.min_replicas 0: Standard mode does not scale to zero; take 1, or deploy.mode Knative")
