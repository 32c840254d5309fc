"""Submits the pipeline to Kubeflow Pipelines."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

from longtail.contracts.errors import UserError
from longtail.contracts.http import call
from longtail.pipelines.activation import compile_pipeline
from longtail.pipelines.resources import Resources


def submit(
    host: str,
    namespace: str,
    arguments: Mapping[str, str | int],
    resources: Resources | None = None,
    experiment: str = "longtail",
    token: str | None = None,
) -> str:
    """Start a run and return the address of its page.

    Raises:
        UserError: the inputs are out of the cluster's reach, or its API cannot be reached or refuses.
    """
    import kfp
    import kfp_server_api  # type: ignore[import-untyped]
    import urllib3

    _check_reachable(arguments)
    _check_api(host, token)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; the error that we raise says it once
    with tempfile.TemporaryDirectory(prefix="longtail-submit-") as folder:
        package = Path(folder) / "activation.yaml"
        compile_pipeline(package, resources)
        try:
            client = kfp.Client(host=host, namespace=namespace, existing_token=token)
            run = client.create_run_from_pipeline_package(
                str(package), arguments=dict(arguments), experiment_name=experiment, namespace=namespace
            )
        except kfp_server_api.ApiException as error:
            raise UserError(
                f"{host}: the pipelines API refused ({error.status} {error.reason}); "
                "check --host, --namespace, and the token in KFP_TOKEN"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UserError(f"{host}: the pipelines API stopped answering ({_cause(error)}); try again") from None
    return f"{host.rstrip('/')}/#/runs/details/{run.run_id}"


def _check_reachable(arguments: Mapping[str, str | int]) -> None:
    for name in ("interactions", "items", "users", "champion"):
        uri = str(arguments[name])
        if uri and "://" not in uri:
            raise UserError(
                f"--{name} {uri}: is a path on this machine, which the cluster cannot read; upload it and give s3:// or gs://"
            )


def _check_api(host: str, token: str | None) -> None:
    """kfp's client asks five times, five seconds apart, and logs a traceback each time."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        call(f"{host.rstrip('/')}/apis/v2beta1/healthz", timeout_seconds=30.0, headers=headers)
    except UserError as error:
        raise UserError(
            f"{error}; check --host and the token in KFP_TOKEN, "
            "or forward the API: kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80"
        ) from None


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2] or type(error).__name__
