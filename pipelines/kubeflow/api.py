"""The API of Kubeflow Pipelines: connecting, what it refuses, and things that are found by their names."""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from longtail.contracts.errors import UserError
from longtail.system.http import call

NOT_FOUND, CONFLICT = 404, 409
ANSWER_SECONDS = 60.0  # the longest silence within an answer
REMEDIES = {
    401: "sign in: give a valid token in KFP_TOKEN",
    403: "check --namespace, and that the token in KFP_TOKEN may work there",
    404: "check --host and --namespace",
}


class Api(NamedTuple):
    """Where the pipelines API is, and in whose name it is asked."""

    host: str
    namespace: str
    token: str | None = None

    def page(self, path: str) -> str:
        """Address of a page of its UI."""
        return f"{self.host.rstrip('/')}/#/{path}"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@contextmanager
def connected(api: Api) -> Iterator[Any]:
    """A kfp client; what the API refuses, and its silence, end in a UserError.

    Its generated parts (``client.runs``, …) are what to call for what makes something: its own methods print.
    """
    import kfp

    _check(api)
    with refusals(api):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # every client says that it is of version 2
            client = kfp.Client(
                host=api.host,
                namespace=api.namespace,
                existing_token=api.token,
                ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
            )
        _bound(client)
        # its retries, which the error that we raise says once; the client itself keeps resetting the level of "urllib3"
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        yield client


def _bound(client: Any) -> None:
    """Give every question a time limit: the client itself has none, and passes none on to most of its parts."""
    rest = client.runs.api_client.rest_client  # one for all parts
    ask = rest.request

    def request(*args: Any, **kwargs: Any) -> Any:
        limits = (ANSWER_SECONDS, ANSWER_SECONDS)  # to connect, to answer; a single float would be ignored
        return ask(*args, **kwargs | {"_request_timeout": kwargs.get("_request_timeout") or limits})

    rest.request = request


@contextmanager
def refusals(api: Api) -> Iterator[None]:
    """Errors of kfp's client become messages that name host, reason and remedy."""
    import kfp_server_api  # type: ignore[import-untyped]
    import urllib3

    try:
        yield
    except kfp_server_api.ApiException as error:
        remedy = REMEDIES.get(error.status, "check --host, --namespace and the settings")
        raise UserError(
            f"{api.host}: the pipelines API refused: {reason_of(error)} (HTTP {error.status}); {remedy}"
        ) from None
    except (urllib3.exceptions.HTTPError, ConnectionError) as error:
        cause = str(getattr(error, "reason", None) or error).rpartition(": ")[2] or type(error).__name__
        raise UserError(f"{api.host}: the pipelines API stopped answering ({cause}); try again") from None


def reason_of(error: Any) -> str:
    """The message in an ApiException's body: gRPC's ``message``, or the upload's ``error_message``."""
    try:
        document = json.loads(error.body)
        return str(document.get("message") or document.get("error_message") or document["error"])
    except (TypeError, ValueError, KeyError, AttributeError):
        return str(error.reason)


def named(name: str) -> str:
    """The filter for things with this name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def found_or_made(find: Callable[[], str | None], make: Callable[[], str]) -> tuple[str, bool]:
    """The id of what ``find`` finds, else of what ``make`` makes, and whether it was made here.

    Somebody else may make it between the two: then the API answers with a conflict, and theirs is taken.
    """
    import kfp_server_api

    found = find()
    if found is not None:
        return found, False
    try:
        return make(), True
    except kfp_server_api.ApiException as error:
        found = find() if error.status == CONFLICT else None
        if found is None:
            raise
        return found, False


def experiment_id(client: Any, name: str, namespace: str) -> str:
    """Id of the experiment with this name, which is made where there is none."""
    import kfp_server_api

    def find() -> str | None:
        found = client.list_experiments(filter=named(name), namespace=namespace).experiments
        return found[0].experiment_id if found else None

    def make() -> str:
        experiment = kfp_server_api.V2beta1Experiment(display_name=name, namespace=namespace)
        return str(client.experiments.experiment_service_create_experiment(experiment).experiment_id)

    return found_or_made(find, make)[0]


def _check(api: Api) -> None:
    """kfp's client asks five times, five seconds apart, and logs a traceback each time."""
    try:
        call(f"{api.host.rstrip('/')}/apis/v2beta1/healthz", timeout_seconds=30.0, headers=api.headers())
    except UserError as error:
        raise UserError(
            f"{error}; check --host and the token in KFP_TOKEN, "
            "or forward the API: kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80"
        ) from None
