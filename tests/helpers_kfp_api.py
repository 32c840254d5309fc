"""A server on loopback that answers as the API of Kubeflow Pipelines does (v2beta1), as far as the commands use it.

Written from the client's models (kfp_server_api) and the API server's documented answers. It is strict: an unknown path,
query, field or parameter, a wrong type, a missing token is answered as an error with gRPC's code and message.
"""

import contextlib
import email
import json
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from longtail.system.machine import free_ports

HEALTH = "/apis/v2beta1/healthz"  # the one path that asks for no identity
CODES = {3: 400, 5: 404, 6: 409, 7: 403, 13: 500, 16: 401}
TYPES = {"str": str, "int": int, "bool": bool, "datetime": str, "object": object}


class Refused(Exception):  # noqa: N818
    def __init__(self, code, message, body=None):
        super().__init__(message)
        self.status = CODES[code]
        self.body = body or {"code": code, "message": message, "details": []}


class KfpApi:
    """State and behaviour; ``start`` and ``stop`` may follow each other, on the same port with the same state."""

    def __init__(self, multi_user=False, token=None, namespaces=("kubeflow",)):
        self.multi_user, self.token, self.namespaces = multi_user, token, set(namespaces)
        self.pipelines, self.versions, self.experiments, self.runs, self.jobs = {}, {}, {}, {}, {}
        self.logs: dict[str, str] = {}  # by pod
        self.plan: list[dict | int | Callable[[], None]] = []  # what GETs of a run answer, one after the other
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self.port = free_ports(1)[0]  # no outgoing connection takes it while the server is away
        self.start()

    def start(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def allow(self, namespace):
        if not self.multi_user:
            return "kubeflow"
        if not namespace:
            raise Refused(3, "Invalid input error: a namespace cannot be empty in multi-user mode")
        if namespace not in self.namespaces:
            raise Refused(7, f"Failed to authorize with API: User is not authorized (Namespace: {namespace})")
        return namespace

    # pipelines and their versions
    def create_pipeline(self, body, query):
        document = checked("V2beta1Pipeline", body)
        namespace = self.allow(document.get("namespace"))
        name = document.get("name") or document.get("display_name")
        if any(one["name"] == name and one["namespace"] == namespace for one in self.pipelines.values()):
            raise Refused(6, f"Already exist error: The name {name} already exist. Please specify a new name")
        one = {"pipeline_id": new_id(), "display_name": name, "name": name, "namespace": namespace, "created_at": now()}
        self.pipelines[one["pipeline_id"]] = one
        return one

    def list_pipelines(self, query):
        namespace = self.allow(query.get("namespace"))
        found = [one for one in self.pipelines.values() if one["namespace"] == namespace]
        return listed("pipelines", found, query)

    def list_versions(self, query, pipeline_id):
        if pipeline_id not in self.pipelines:
            raise Refused(5, f"ResourceNotFoundError: Pipeline {pipeline_id} not found.")
        found = [one for one in self.versions.values() if one["pipeline_id"] == pipeline_id]
        return listed("pipeline_versions", [{k: v for k, v in one.items() if k != "parsed"} for one in found], query)

    def upload_version(self, package, query):
        if query.get("pipelineid") not in self.pipelines:
            raise Refused(3, "", {"error_message": "Failed to create a pipeline version", "error_details": ""})
        spec, *platforms = yaml.safe_load_all(package)
        try:
            parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
            for platform in platforms:
                json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        except json_format.ParseError as error:
            raise Refused(3, "", {"error_message": f"invalid pipeline spec: {error}", "error_details": ""}) from None
        if any(
            one["name"] == query["name"] for one in self.list_versions({}, query["pipelineid"])["pipeline_versions"]
        ):
            raise Refused(6, "", {"error_message": "Failed to create a pipeline version", "error_details": ""})
        one = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": new_id(),
            "display_name": query["name"],
            "name": query["name"],
            "created_at": now(),
            "pipeline_spec": spec,
        }
        self.versions[one["pipeline_version_id"]] = one | {"parsed": parsed}
        return one

    # experiments
    def create_experiment(self, body, query):
        document = checked("V2beta1Experiment", body)
        namespace = self.allow(document.get("namespace"))
        if any(
            (one["display_name"], one["namespace"]) == (document["display_name"], namespace)
            for one in self.experiments.values()
        ):
            raise Refused(6, f"Already exist error: The experiment {document['display_name']} already exists")
        one = {"experiment_id": new_id(), "display_name": document["display_name"], "namespace": namespace}
        one |= {"created_at": now(), "storage_state": "AVAILABLE"}
        self.experiments[one["experiment_id"]] = one
        return one

    def list_experiments(self, query):
        namespace = self.allow(query.get("namespace"))
        found = [one for one in self.experiments.values() if one["namespace"] == namespace]
        return listed("experiments", found, query)

    # runs
    def started(self, document):
        """What runs and recurring runs have in common; the version's parameters are checked."""
        experiment = self.experiments.get(document.get("experiment_id"))
        if experiment is None:
            raise Refused(5, f"ResourceNotFoundError: Experiment {document.get('experiment_id')} not found.")
        self.allow(experiment["namespace"])
        reference = document.get("pipeline_version_reference", {})
        version = self.versions.get(reference.get("pipeline_version_id"))
        if version is None or version["pipeline_id"] != reference.get("pipeline_id"):
            raise Refused(3, f"Invalid input error: there is no pipeline version {reference}")
        given = document.get("runtime_config", {}).get("parameters", {})
        declared = version["parsed"].root.input_definitions.parameters
        for name in given:
            if name not in declared:
                raise Refused(3, f"Invalid input error: parameter {name} is not an input of the pipeline")
            kind = str if declared[name].parameter_type == pipeline_spec_pb2.ParameterType.STRING else int
            if not isinstance(given[name], kind):
                raise Refused(3, f"Invalid input error: parameter {name} is of another type")
        for name, facts in declared.items():
            if name not in given and not facts.is_optional:
                raise Refused(3, f"Invalid input error: parameter {name} is required")
        return {**document, "service_account": document.get("service_account", "pipeline-runner"), "created_at": now()}

    def create_run(self, body, query):
        one = self.started(checked("V2beta1Run", body)) | {"run_id": new_id(), "state": "PENDING"}
        self.runs[one["run_id"]] = one | {"storage_state": "AVAILABLE"}
        return one

    def get_run(self, query, run_id):
        if run_id not in self.runs:
            raise Refused(5, f"ResourceNotFoundError: Run {run_id} not found.")
        step = self.plan.pop(0) if len(self.plan) > 1 else (self.plan or [{}])[0]
        if callable(step):
            step()
            raise ConnectionAbortedError
        if isinstance(step, int):
            raise Refused(step, "try again")
        return self.runs[run_id] | step

    # recurring runs
    def create_job(self, body, query):
        document = self.started(checked("V2beta1RecurringRun", body))
        if not 1 <= int(document.get("max_concurrency", 0)) <= 10:
            raise Refused(3, "Max concurrency of a recurring run must be at least 1 and at most 10.")
        cron = document["trigger"].get("cron_schedule", {}).get("cron")
        if cron is not None and not re.fullmatch(r"([-*/,?0-9A-Z]+ ){5}[-*/,?0-9A-Z]+", cron):
            raise Refused(3, "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron).")
        one = document | {"recurring_run_id": new_id(), "updated_at": now(), "namespace": "kubeflow"}
        one["status"] = "ENABLED" if one["mode"] == "ENABLE" else "DISABLED"
        self.jobs[one["recurring_run_id"]] = one
        return one

    def list_jobs(self, query):
        self.allow(query.get("namespace"))
        return listed("recurringRuns", list(self.jobs.values()), query)

    def job(self, job_id):
        if job_id not in self.jobs:
            raise Refused(5, f"ResourceNotFoundError: Job {job_id} not found.")
        return self.jobs[job_id]

    def delete_job(self, query, job_id):
        self.job(job_id)
        del self.jobs[job_id]
        return {}

    def switch_job(self, query, job_id, mode):
        self.job(job_id).update(mode=mode, status=f"{mode}D")
        return {}


ROUTES = [
    (
        "GET",
        r"/apis/v2beta1/pipelines",
        "list_pipelines",
        {"namespace", "filter", "page_token", "page_size", "sort_by"},
    ),
    ("POST", r"/apis/v2beta1/pipelines", "create_pipeline", set()),
    (
        "GET",
        r"/apis/v2beta1/pipelines/([^/]+)/versions",
        "list_versions",
        {"filter", "page_token", "page_size", "sort_by"},
    ),
    ("POST", r"/apis/v2beta1/pipelines/upload_version", "upload_version", {"name", "pipelineid"}),
    (
        "GET",
        r"/apis/v2beta1/experiments",
        "list_experiments",
        {"namespace", "filter", "page_token", "page_size", "sort_by"},
    ),
    ("POST", r"/apis/v2beta1/experiments", "create_experiment", set()),
    ("POST", r"/apis/v2beta1/runs", "create_run", set()),
    ("GET", r"/apis/v2beta1/runs/([^/:]+)", "get_run", set()),
    ("POST", r"/apis/v2beta1/recurringruns", "create_job", set()),
    ("GET", r"/apis/v2beta1/recurringruns", "list_jobs", {"namespace", "filter", "page_token", "page_size", "sort_by"}),
    ("DELETE", r"/apis/v2beta1/recurringruns/([^/:]+)", "delete_job", set()),
    ("POST", r"/apis/v2beta1/recurringruns/([^/:]+):(enable|disable)", "switch_job", set()),
]


def checked(model, document):
    """The document, if it is one of this model of the API, field by field."""
    kind = getattr(kfp_server_api, model)
    if not isinstance(document, dict):
        raise Refused(3, f"proto: syntax error: unexpected token {document!r}")
    types = {kind.attribute_map[name]: type_ for name, type_ in kind.openapi_types.items()}
    for key, value in document.items():
        if key not in types:
            raise Refused(3, f'proto: (line 1:2): unknown field "{key}"')
        if types[key] in TYPES:
            if not isinstance(value, TYPES[types[key]]):
                raise Refused(3, f"proto: (line 1:2): invalid value for {types[key]} field {key}: {value!r}")
        elif hasattr(getattr(kfp_server_api, types[key], None), "allowable_values"):
            if value not in getattr(kfp_server_api, types[key]).allowable_values:
                raise Refused(3, f"proto: (line 1:2): invalid value for enum field {key}: {value!r}")
        elif hasattr(kfp_server_api, types[key]):
            checked(types[key], value)
    return document


def listed(key, found, query):
    """One page of those that the filter leaves."""
    if query.get("filter"):
        for predicate in json.loads(query["filter"])["predicates"]:
            if set(predicate) != {"operation", "key", "stringValue"} or predicate["operation"] != "EQUALS":
                raise Refused(3, f"Invalid input error: a filter that this server does not know: {predicate}")
            found = [one for one in found if one[predicate["key"]] == predicate["stringValue"]]
    begin, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
    page = {key: found[begin : begin + size], "total_size": len(found)}
    return page | ({"next_page_token": str(begin + size)} if begin + size < len(found) else {})


def new_id():
    return str(uuid.uuid4())


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # the API keeps whole seconds


def tasks(workflow="longtail-activation-x7k2p", **states):
    """Task details as the API makes them from Argo's nodes: a stage, its driver, and the node of its pod."""
    details = []
    for number, (stage, state) in enumerate(states.items()):
        times = {"create_time": "2026-11-24T10:00:00Z", "start_time": f"2026-11-24T10:{number:02}:00Z"}
        times["end_time"] = f"2026-11-24T10:{number:02}:42Z"
        node = f"{workflow}-{1000 + number}"
        details += [
            {"task_id": new_id(), "display_name": f"{stage}-driver", "state": "SUCCEEDED", **times},
            {"task_id": new_id(), "display_name": stage, "state": state, "child_tasks": [{"pod_name": node}], **times},
            {"task_id": new_id(), "display_name": "executor", "state": state, **times},
        ]
    return {"run_details": {"task_details": details}}


def _handler(api):
    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.asked.append((self.command, parts.path))
            api.before(self.command, parts.path)
            try:
                if api.token and parts.path != HEALTH and self.headers["Authorization"] != f"Bearer {api.token}":
                    raise Refused(16, "Unauthenticated: Request header error: there is no user identity header.")
                with api.lock:
                    kind, answer = self.answer(parts.path, query, body)
            except ConnectionAbortedError:
                return
            except Refused as refused:
                kind, answer = "application/json", json.dumps(refused.body)
                self.send_response(refused.status)
            else:
                self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer.encode())))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may have gone
                self.end_headers()
                self.wfile.write(answer.encode())

        def answer(self, path, query, body):
            if (self.command, path) == ("GET", HEALTH):
                return "application/json", json.dumps({"multi_user": api.multi_user, "pipeline_store": "database"})
            if (self.command, path) == ("GET", "/k8s/pod/logs"):
                if set(query) != {"podname", "podnamespace"} or query["podname"] not in api.logs:
                    raise Refused(13, "Could not get main container logs: pod not found")
                return "text/plain", api.logs[query["podname"]]
            for method, pattern, name, allowed in ROUTES:
                matched = re.fullmatch(pattern, path)
                if not matched or method != self.command:
                    continue
                if not set(query) <= allowed:
                    raise Refused(3, f"unknown query {sorted(set(query) - allowed)}")
                arguments = list(matched.groups())
                if name == "switch_job":
                    arguments[1] = arguments[1].upper()
                given = [self.package(body)] if name == "upload_version" else [json.loads(body)] if body else []
                return "application/json", json.dumps(getattr(api, name)(*given, query, *arguments))
            raise Refused(5, "Not Found")

        def package(self, body):
            message = email.message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body)
            (part,) = message.get_payload()
            named = part.get_param("name", header="Content-Disposition")
            if named != "uploadfile" or not part.get_filename().endswith(".yaml"):
                raise Refused(3, "", {"error_message": "Failed to create a pipeline version", "error_details": ""})
            return part.get_payload(decode=True).decode()

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler
