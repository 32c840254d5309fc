"""Waits for a run on the cluster: its stages as they go, over lost connections, to its end and the reason of a failure."""

import time
from typing import Any
from urllib.parse import urlencode

import typer

from longtail.contracts.errors import UserError
from longtail.pipelines.kubeflow.api import Api, connected
from longtail.pipelines.parameters import STAGES
from longtail.system.channel import ERROR_MARK
from longtail.system.http import fetch

ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
SHOWN = {"RUNNING": "running", "SUCCEEDED": "done", "FAILED": "failed", "SKIPPED": "not run"}
PASSING = {429, 500, 502, 503, 504}  # what an API answers that restarts, or the proxy before it
TEMPLATES = ("system-container-impl", "retry-system-container-impl")  # of the pods in which a stage runs
TAIL = 15  # lines of a log


class RunFailed(RuntimeError):  # noqa: N818  (it says what happened)
    """A run on the cluster ended without success, by a fault that is not the user's."""


def follow(api: Api, run_id: str, interval_seconds: float = 5.0, patience_seconds: float = 900.0) -> bool:
    """Show the stages of a run until it has ended; whether its gate passed.

    An API that does not answer (it restarts, the port-forward broke) is asked again for ``patience_seconds``.

    Raises:
        UserError: a stage's own message where its data or settings are at fault; or the API refuses, or stays silent.
        RunFailed: the run failed otherwise, or was cancelled.
    """
    shown: dict[str, str] = {}
    with connected(api) as client:
        while True:
            run = _ask(client, api, run_id, interval_seconds, patience_seconds)
            _show(run, shown)
            if run.state in ENDED:
                break
            time.sleep(interval_seconds)
    link = api.page(f"runs/details/{run_id}")
    if run.state == "FAILED":
        raise _reason(api, run, link)
    if run.state != "SUCCEEDED":
        raise RunFailed(f"the run ended as {run.state.lower()}: {link}")
    passed = shown.get("deploy") == "done"
    if not passed:
        typer.echo("Not deployed: the gate did not pass; the report of the stage evaluate says why.")
    typer.echo(f"The run succeeded: {link}")
    return passed


def _ask(client: Any, api: Api, run_id: str, interval_seconds: float, patience_seconds: float) -> Any:
    """The run as it is now, also where the API is away for a while."""
    import kfp_server_api  # type: ignore[import-untyped]
    import urllib3

    lost: float | None = None
    while lost is None or time.monotonic() - lost <= patience_seconds:
        try:
            run = client.runs.run_service_get_run(run_id)
        except (kfp_server_api.ApiException, urllib3.exceptions.HTTPError, ConnectionError) as error:
            if isinstance(error, kfp_server_api.ApiException) and error.status not in PASSING:
                raise
            if lost is None:
                lost = time.monotonic()
                typer.echo(f"No answer from {api.host}; the run goes on, and so does the asking ...", err=True)
            time.sleep(interval_seconds)
        else:
            if lost is not None:
                typer.echo("The API answers again.", err=True)
            return run
    raise UserError(
        f"{api.host}: no answer for {patience_seconds:.0f} s; the run goes on by itself, see it again with: "
        f"longtail follow --host {api.host} --namespace {api.namespace} --run {run_id}"
    )


def _tasks(run: Any) -> list[Any]:
    return (run.run_details and run.run_details.task_details) or []


def _show(run: Any, shown: dict[str, str]) -> None:
    """One line for every stage whose state is another than before."""
    for task in _tasks(run):
        stage, state = task.display_name, SHOWN.get(task.state)
        if stage in STAGES and state and shown.get(stage) != state:
            shown[stage] = state
            ended = state in ("done", "failed") and task.start_time and task.end_time
            took = f"{(task.end_time - task.start_time).total_seconds():9.0f} s" if ended else ""
            typer.echo(f"{stage:<12} {state:<8}{took}".rstrip())


def _reason(api: Api, run: Any, link: str) -> Exception:
    """What the failed stage itself says, else the end of its log, else what the API knows."""
    failed = [task for task in _tasks(run) if task.state == "FAILED"]
    stage = next((task.display_name for task in failed if task.display_name in STAGES), "the run")
    last = ""
    for pod in _pods(failed):
        log = _log(api, pod)
        said = [line.removeprefix(ERROR_MARK) for line in log.splitlines() if line.startswith(ERROR_MARK)]
        if said:
            return UserError(f"{stage}: {said[-1]} ({link})")
        last = log or last
    if last:
        tail = "\n".join(last.splitlines()[-TAIL:])
        return RunFailed(f"{stage} failed: {link}\nThe end of its log:\n{tail}")
    known = [run.error, *(task.error for task in failed), *(status.error for status in run.state_history or [])]
    message = next((status.message for status in known if status and status.message), "the API names no reason")
    return RunFailed(
        f"{stage} failed: {message}: {link}\nIts log could not be read through {api.host}; with the cluster's own tool:\n"
        f"  kubectl -n {api.namespace} logs -c main -l pipeline/runid={run.run_id} --tail=50"
    )


def _pods(failed: list[Any]) -> list[str]:
    """Names that the pods of failed tasks may have: Argo's node id is <workflow>-<hash>, its pod <workflow>-<template>-<hash>."""
    nodes = {child.pod_name for task in failed for child in task.child_tasks or [] if child.pod_name}
    parts = [node.rpartition("-") for node in sorted(nodes)]
    return [f"{workflow}-{template}-{digest}" for workflow, _, digest in parts for template in TEMPLATES]


def _log(api: Api, pod: str) -> str:
    """The log of a pod as the UI's server hands it out; "" where it has none."""
    query = urlencode({"podname": pod, "podnamespace": api.namespace})
    try:
        log = fetch(f"{api.host.rstrip('/')}/k8s/pod/logs?{query}", headers=api.headers()).decode(errors="replace")
    except UserError:
        return ""  # not a pod of ours, or an address of the API without its UI: the caller says what then
    return "" if log.lstrip().lower().startswith(("<!doctype", "<html")) else log
