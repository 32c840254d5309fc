"""Submits the pipeline to Kubeflow Pipelines: a version of one named pipeline, and a run of it."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from longtail.contracts.errors import UserError
from longtail.pipelines.activation import PIPELINE, compile_pipeline
from longtail.pipelines.kubeflow.api import Api, connected, experiment_id, found_or_made, named
from longtail.pipelines.parameters import INPUTS
from longtail.pipelines.resources import Resources, check_claims
from longtail.system.code_version import source_digest


class RunRequest(NamedTuple):
    """What a run on the cluster is asked to be."""

    arguments: Mapping[str, str | int]
    resources: Resources | None = None
    experiment: str = "longtail"
    service_account: str | None = None

    def given(self) -> dict[str, str | int]:
        """The arguments that are given; the compiled pipeline has the defaults of the others.

        Raises:
            UserError: an input is a path on this machine, or in a claim that ``resources`` do not mount.
        """
        for name in INPUTS:
            uri = str(self.arguments[name])
            if uri and "://" not in uri:
                raise UserError(
                    f"--{name} {uri}: is a path on this machine, which the cluster cannot read; upload it and "
                    "give s3://, gs:// or pvc://"
                )
        check_claims(self.arguments, self.resources or Resources())
        return {name: value for name, value in self.arguments.items() if value != ""}


class Version(NamedTuple):
    """A version of the pipeline that the API holds."""

    pipeline_id: str
    version_id: str
    name: str
    new: bool  # uploaded just now

    def reference(self) -> Any:
        """As runs name it."""
        import kfp_server_api  # type: ignore[import-untyped]

        return kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=self.pipeline_id, pipeline_version_id=self.version_id
        )


class Submission(NamedTuple):
    """A run that was started."""

    run_id: str
    link: str
    version: Version


def submit(api: Api, request: RunRequest) -> Submission:
    """Upload the pipeline, if the API does not hold this version of it, and start a run.

    Raises:
        UserError: the inputs are out of the cluster's reach, or its API cannot be reached or refuses.
    """
    import kfp_server_api

    given = request.given()
    with connected(api) as client:
        version = upload(client, api.namespace, request.resources)
        run = client.runs.run_service_create_run(
            kfp_server_api.V2beta1Run(
                display_name=f"{PIPELINE} {datetime.now():%Y-%m-%d %H-%M-%S}",
                experiment_id=experiment_id(client, request.experiment, api.namespace),
                pipeline_version_reference=version.reference(),
                runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=given),
                service_account=request.service_account or None,
            )
        )
    return Submission(run.run_id, api.page(f"runs/details/{run.run_id}"), version)


def upload(client: Any, namespace: str, resources: Resources | None) -> Version:
    """The version of the named pipeline that stands for this code and these resources.

    Raises:
        UserError: nobody has said which image the pods shall run.
    """
    import kfp_server_api

    if not os.environ.get("LONGTAIL_TRAIN_IMAGE"):
        raise UserError(
            "LONGTAIL_TRAIN_IMAGE: is not set, and without it pods would wait for an image that no registry has; "
            "build and push one (make images prints its name) and export that name"
        )
    pipeline_id = find_pipeline(client, namespace)
    if pipeline_id is None:
        empty = kfp_server_api.V2beta1Pipeline(display_name=PIPELINE, name=PIPELINE, namespace=namespace)
        pipeline_id, _ = found_or_made(
            lambda: find_pipeline(client, namespace),
            lambda: str(client.pipelines.pipeline_service_create_pipeline(empty).pipeline_id),
        )
    with tempfile.TemporaryDirectory(prefix="longtail-submit-") as folder:
        package = Path(folder) / f"{PIPELINE}.yaml"
        compile_pipeline(package, resources)
        name = f"{PIPELINE}-{version_digest(package)[:12]}"

        def find() -> str | None:
            found = client.list_pipeline_versions(pipeline_id, filter=named(name)).pipeline_versions
            return found[0].pipeline_version_id if found else None

        def make() -> str:
            made = client.pipeline_uploads.upload_pipeline_version(str(package), name=name, pipelineid=pipeline_id)
            return str(made.pipeline_version_id)

        version_id, new = found_or_made(find, make)
    return Version(pipeline_id, version_id, name, new)


def find_pipeline(client: Any, namespace: str) -> str | None:
    """Id of the pipeline in this namespace; None where nobody has uploaded it."""
    found = client.list_pipelines(filter=named(PIPELINE), namespace=namespace).pipelines
    return found[0].pipeline_id if found else None


def version_digest(package: Path) -> str:
    """SHA-256 over the stages' sources and the compiled pipeline, which holds images and resources."""
    return hashlib.sha256(source_digest().encode() + package.read_bytes()).hexdigest()
