"""Recurring runs: the pipeline again over new data, by a clock. A schedule is known by its name, of which there is one."""

import re
from typing import Any, NamedTuple

from longtail.contracts.errors import UserError
from longtail.pipelines.kubeflow.api import NOT_FOUND, Api, connected, experiment_id, named
from longtail.pipelines.kubeflow.submit import RunRequest, Version, find_pipeline, upload

UNITS = {"m": 60, "h": 3600, "d": 86400}
PASSES = 5  # of making one of many; each pass is undone only by somebody else at the same moment


class Schedule(NamedTuple):
    """A schedule as the API holds it."""

    name: str
    when: str
    enabled: bool
    id: str
    change: str = "unchanged"  # or made, updated


def schedule(
    api: Api,
    name: str,
    request: RunRequest,
    cron: str | None = None,
    every: str | None = None,
) -> Schedule:
    """Have one enabled schedule of this name, as described: made, updated, or left where it is so already.

    One run at a time, and a run that was missed is not caught up. The API cannot change a recurring run, so an update
    disables the old one, makes the new one, then deletes the old one.

    Raises:
        UserError: no clock or two, inputs out of reach, the API refuses, or somebody else sets the same schedule now.
    """
    import kfp_server_api  # type: ignore[import-untyped]

    given, trigger = request.given(), _trigger(cron, every)
    with connected(api) as client:
        version = upload(client, api.namespace, request.resources)
        wanted = kfp_server_api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=experiment_id(client, request.experiment, api.namespace),
            pipeline_version_reference=version.reference(),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=given),
            service_account=request.service_account or None,
            max_concurrency="1",
            no_catchup=True,
            trigger=trigger,
            mode="ENABLE",
        )
        return _settle(client, api, wanted, version)


def schedules(api: Api) -> list[Schedule]:
    """All schedules of the pipeline in the namespace, by name."""
    with connected(api) as client:
        pipeline_id = find_pipeline(client, api.namespace)
        found = [] if pipeline_id is None else _jobs(client, api.namespace, pipeline_id)
        return sorted(_shown(job) for job in found)


def unschedule(api: Api, name: str, disable: bool = False) -> None:
    """Delete a schedule, or only disable it. Runs that it started stay as they are.

    Raises:
        UserError: there is none of this name.
    """
    with connected(api) as client:
        pipeline_id = find_pipeline(client, api.namespace)
        jobs = [] if pipeline_id is None else _jobs(client, api.namespace, pipeline_id)
        named_so = [job for job in jobs if job.display_name == name]
        if not named_so:
            known = ", ".join(sorted({job.display_name for job in jobs})) or "there is none"
            raise UserError(f"--name {name}: no such schedule in namespace {api.namespace}; known: {known}")
        for job in named_so:
            if disable:
                client.disable_recurring_run(job.recurring_run_id)
            else:
                _delete(client, job)


def _settle(client: Any, api: Api, wanted: Any, version: Version) -> Schedule:
    """Repeat until the API holds exactly the wanted schedule, or somebody else's of the same name, which is an error."""
    made: set[str] = set()
    change = "unchanged"
    for _ in range(PASSES):
        jobs = _jobs(client, api.namespace, version.pipeline_id, wanted.display_name)
        if len(jobs) == 1 and (jobs[0].recurring_run_id in made or _is(jobs[0], wanted)):
            return _shown(jobs[0])._replace(change=change)
        if made and jobs and not any(job.recurring_run_id in made for job in jobs):
            raise UserError(
                f"--name {wanted.display_name}: somebody else set this schedule just now; look, and run again"
            )
        if made and jobs:  # two were made at once: both makers keep the same one
            newest = max(jobs, key=lambda job: (job.created_at, job.recurring_run_id))
            for job in jobs:
                if job is not newest:
                    _delete(client, job)
            continue
        change = "updated" if jobs else "made"
        made.add(_replace(client, jobs, wanted))
    raise UserError(f"--name {wanted.display_name}: others keep changing this schedule; run again when they have ended")


def _replace(client: Any, old: list[Any], wanted: Any) -> str:
    """Id of the new recurring run. The old ones are disabled first, so that never two of them start runs."""
    enabled = [job for job in old if job.mode == "ENABLE"]
    for job in enabled:
        client.disable_recurring_run(job.recurring_run_id)
    try:
        new = client.recurring_runs.recurring_run_service_create_recurring_run(wanted)
    except BaseException:
        for job in enabled:
            client.enable_recurring_run(job.recurring_run_id)
        raise
    for job in old:
        _delete(client, job)
    return str(new.recurring_run_id)


def _delete(client: Any, job: Any) -> None:
    """Delete; gone already is well too."""
    import kfp_server_api

    try:
        client.delete_recurring_run(job.recurring_run_id)
    except kfp_server_api.ApiException as error:
        if error.status != NOT_FOUND:
            raise


def _jobs(client: Any, namespace: str, pipeline_id: str, name: str | None = None) -> list[Any]:
    """The pipeline's recurring runs, all pages of them."""
    jobs: list[Any] = []
    page = ""
    while True:
        answer = client.list_recurring_runs(
            page_token=page, page_size=100, namespace=namespace, filter=named(name) if name else None
        )
        jobs += answer.recurring_runs or []
        page = answer.next_page_token
        if not page:
            break
    return [job for job in jobs if job.pipeline_version_reference.pipeline_id == pipeline_id]


def _is(job: Any, wanted: Any) -> bool:
    """Whether a recurring run does what is wanted."""
    return all(
        (
            job.mode == wanted.mode,
            _when(job.trigger) == _when(wanted.trigger),
            job.pipeline_version_reference == wanted.pipeline_version_reference,
            job.runtime_config.parameters == wanted.runtime_config.parameters,
            wanted.service_account in (None, job.service_account),  # None: the API's own, which it names
            job.experiment_id == wanted.experiment_id,
            (str(job.max_concurrency), job.no_catchup) == (wanted.max_concurrency, wanted.no_catchup),
        )
    )


def _shown(job: Any) -> Schedule:
    return Schedule(job.display_name, _when(job.trigger), job.mode == "ENABLE", job.recurring_run_id)


def _when(trigger: Any) -> str:
    if trigger.cron_schedule:
        return f"cron {trigger.cron_schedule.cron}"
    return f"every {trigger.periodic_schedule.interval_second} s"


def _trigger(cron: str | None, every: str | None) -> Any:
    """KFP's trigger of a cron expression, or of an interval such as 12h."""
    import kfp_server_api

    if (cron is None) == (every is None):
        raise UserError("--cron or --every: give one of the two, for example --cron '0 3 * * *' or --every 12h")
    if cron is not None:
        fields = cron.split()
        if len(fields) not in (5, 6):
            raise UserError(
                f"--cron {cron!r}: has {len(fields)} fields; give minute, hour, day of month, month, day of week "
                "(with seconds before them, if wanted), for example '0 3 * * *'"
            )
        expression = " ".join(["0", *fields] if len(fields) == 5 else fields)  # KFP's has seconds
        return kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=expression))
    matched = re.fullmatch(r"([1-9][0-9]*)([mhd])", every or "")
    if not matched:
        raise UserError(f"--every {every}: is no interval; give a number and m, h or d, for example 30m, 12h or 7d")
    seconds = int(matched[1]) * UNITS[matched[2]]
    periodic = kfp_server_api.V2beta1PeriodicSchedule(interval_second=str(seconds))
    return kfp_server_api.V2beta1Trigger(periodic_schedule=periodic)
