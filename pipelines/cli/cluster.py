"""Commands that speak to Kubeflow Pipelines: compile, submit, follow, schedule, schedules, unschedule."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.contracts.errors import GATE_EXIT_CODE, UserError, about
from longtail.contracts.folders import check_new_file
from longtail.pipelines.cli.options import (
    Champion,
    Config,
    Format,
    Incumbent,
    Interactions,
    Items,
    MaybeInteractions,
    Seed,
    Set,
    Users,
    read_settings,
)
from longtail.pipelines.kubeflow.api import Api
from longtail.pipelines.parameters import arguments, champion_of
from longtail.pipelines.run_settings import RunSettings

Host = Annotated[
    str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address of the Kubeflow Pipelines API.", show_envvar=True)
]
Namespace = Annotated[str, typer.Option(help="Namespace of the runs.")]
Token = Annotated[
    str | None, typer.Option(envvar="KFP_TOKEN", help="Bearer token.", show_envvar=True, show_default=False)
]
Experiment = Annotated[str, typer.Option(help="Experiment that the runs belong to.")]
ServiceAccount = Annotated[str, typer.Option(help="Account of the runs' pods; '' leaves it to the installation.")]
StageResources = Annotated[
    Path | None, typer.Option(help="YAML file of the stages' cpu, memory, accelerators, node selectors, retries.")
]
RunId = Annotated[str, typer.Option("--run", help="Id of the run, the last part of its address.")]
Name = Annotated[str, typer.Option(help="Name of the schedule; there is one of each name.")]


def compile_(
    output: Annotated[Path, typer.Option(help="YAML file to write.")] = Path("activation.yaml"),
    resources: StageResources = None,
) -> None:
    """Write the pipeline as YAML for Kubeflow Pipelines."""
    from longtail.pipelines.activation import compile_pipeline
    from longtail.pipelines.resources import load_resources

    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: kfp writes YAML; give a name that ends in .yaml")
    wanted = load_resources(resources)
    with about("--output"):
        check_new_file(output)
    compile_pipeline(output, wanted)
    typer.echo(f"Wrote {output}")


def submit(
    host: Host,
    items: Items,
    interactions: MaybeInteractions = None,
    users: Users = None,
    namespace: Namespace = "kubeflow",
    experiment: Experiment = "longtail",
    service_account: ServiceAccount = "longtail-pipeline",
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
    champion: Champion = None,
    incumbent: Incumbent = None,
    resources: StageResources = None,
    wait: Annotated[bool, typer.Option("--follow", help="Wait for the end, and end as the run does.")] = False,
    token: Token = None,
    seed: Seed = None,
) -> None:
    """Start the pipeline on a cluster and print the run's address.

    Inputs are s3://, gs:// or pvc:// addresses.
    """
    from longtail.pipelines.kubeflow.follow import follow as wait_for
    from longtail.pipelines.kubeflow.submit import RunRequest
    from longtail.pipelines.kubeflow.submit import submit as start
    from longtail.pipelines.resources import load_resources

    settings = read_settings(config, overrides, format, seed)
    given = arguments(interactions, items, users, settings, _champion(champion, settings), incumbent=incumbent)
    api = Api(host, namespace, token)
    started = start(api, RunRequest(given, load_resources(resources), experiment, service_account))
    typer.echo(f"{started.version.name}: {'uploaded' if started.version.new else 'was uploaded before'}", err=True)
    typer.echo(started.link)
    _say_where_it_ends(settings)
    if wait and not wait_for(api, started.run_id):
        raise typer.Exit(GATE_EXIT_CODE)


def follow(host: Host, run: RunId, namespace: Namespace = "kubeflow", token: Token = None) -> None:
    """Wait for a run on a cluster, and end as it does.

    With 0 if its gate passed, 3 if it went well and the gate did not, 2 if data or settings are at fault, 1 otherwise.
    """
    from longtail.pipelines.kubeflow.follow import follow as wait_for

    if not wait_for(Api(host, namespace, token), run):
        raise typer.Exit(GATE_EXIT_CODE)


def schedule(
    host: Host,
    name: Name,
    interactions: Interactions,
    items: Items,
    users: Users = None,
    cron: Annotated[str | None, typer.Option(help="When, as cron writes it: '0 3 * * *'.", show_default=False)] = None,
    every: Annotated[str | None, typer.Option(help="How often: 30m, 12h, 7d.", show_default=False)] = None,
    namespace: Namespace = "kubeflow",
    experiment: Experiment = "longtail",
    service_account: ServiceAccount = "longtail-pipeline",
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
    champion: Champion = None,
    incumbent: Incumbent = None,
    resources: StageResources = None,
    token: Token = None,
    seed: Seed = None,
) -> None:
    """Run the pipeline again and again over new data.

    Makes the schedule of this name, or changes it.
    """
    from longtail.pipelines.kubeflow.schedules import schedule as settle
    from longtail.pipelines.kubeflow.submit import RunRequest
    from longtail.pipelines.resources import load_resources

    settings = read_settings(config, overrides, format, seed)
    given = arguments(interactions, items, users, settings, _champion(champion, settings), incumbent=incumbent)
    api = Api(host, namespace, token)
    made = settle(api, name, RunRequest(given, load_resources(resources), experiment, service_account), cron, every)
    typer.echo(f"Schedule {name} {made.change}: {made.when}\n{api.page(f'recurringrun/details/{made.id}')}")
    _say_where_it_ends(settings)


def schedules(host: Host, namespace: Namespace = "kubeflow", token: Token = None) -> None:
    """List the pipeline's schedules."""
    from longtail.pipelines.kubeflow.schedules import schedules as all_of

    api = Api(host, namespace, token)
    found = all_of(api)
    for one in found:
        state = "enabled" if one.enabled else "disabled"
        typer.echo(f"{one.name:<20} {one.when:<24} {state:<9} {api.page(f'recurringrun/details/{one.id}')}")
    if not found:
        typer.echo(f"No schedule in namespace {namespace}.")


def unschedule(
    host: Host,
    name: Name,
    disable: Annotated[bool, typer.Option("--disable", help="Keep it, but start no runs.")] = False,
    namespace: Namespace = "kubeflow",
    token: Token = None,
) -> None:
    """Delete a schedule, or disable it.

    `longtail schedule` enables it again.
    """
    from longtail.pipelines.kubeflow.schedules import unschedule as end

    end(Api(host, namespace, token), name, disable)
    typer.echo(f"Schedule {name} {'disabled' if disable else 'deleted'}")


def _champion(given: str | None, settings: RunSettings) -> str | None:
    uri = settings.deploy.registry_uri
    if uri and "://" not in uri:
        raise UserError(
            f"deploy.registry_uri {uri}: is a path on this machine, which the cluster cannot read; give s3://, gs://, pvc:// or "
            "model-registry://"
        )
    return champion_of(given, settings)


def _say_where_it_ends(settings: RunSettings) -> None:
    if settings.deploy.target == "local":
        typer.echo(
            "deploy.target is local: the run ends with a tested bundle and its manifests, and brings nothing into service; "
            "that takes --set deploy.target=cluster --set deploy.registry_uri=…",
            err=True,
        )
