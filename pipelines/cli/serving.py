"""`longtail status`, `promote` and `rollback`: the service on a cluster, between deployments."""

import logging
from typing import Annotated

import typer

from longtail.rollout.service_settings import DeploySettings

Name = Annotated[str, typer.Option(help="Name of the InferenceService.")]
Namespace = Annotated[str, typer.Option(help="Its namespace.")]
RegistryUri = Annotated[str, typer.Option("--registry", help="Registry of the bundles (s3://, pvc://, a folder).")]
Kubeconfig = Annotated[
    str | None, typer.Option(help="Kubeconfig; else KUBECONFIG, this pod's service account, or ~/.kube/config.")
]
Context = Annotated[str | None, typer.Option(help="Context in the kubeconfig.", show_default=False)]
Gateway = Annotated[
    str | None, typer.Option("--gateway", help="Address of the gateway; none: by name, or through the API server.")
]
Seconds = Annotated[float, typer.Option(help="Seconds that pods may take to become ready.")]


def add_to(app: typer.Typer) -> None:
    for command in (status, promote, rollback):
        app.command()(command)


def _settings(name: str, namespace: str, gateway: str | None = None, seconds: float = 600.0) -> DeploySettings:
    from longtail.contracts.settings_base import parse

    logging.getLogger("longtail").setLevel(logging.INFO)
    given = {"name": name, "namespace": namespace, "gateway_url": gateway, "ready_seconds": seconds}
    return parse(DeploySettings, given, "command line")


def status(
    name: Name = "longtail",
    namespace: Namespace = "longtail",
    registry: Annotated[
        str | None, typer.Option("--registry", help="Registry of the bundles; its latest promotions are shown.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show what the cluster serves, with which share of the traffic, what is wrong, and the registry's champion."""
    from longtail.registry.opening import open_registry
    from longtail.rollout.kubernetes_api import connect
    from longtail.rollout.operations import describe

    settings = _settings(name, namespace)
    cluster = connect(settings.namespace, kubeconfig, context)
    typer.echo("\n".join(describe(cluster, open_registry(registry) if registry else None, settings.name)))


def promote(
    registry: RegistryUri,
    name: Name = "longtail",
    namespace: Namespace = "longtail",
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    gateway: Gateway = None,
    ready_seconds: Seconds = 600.0,
) -> None:
    """Give the newest bundle that the cluster serves all of the traffic, and make it the registry's champion."""
    from longtail.registry.opening import open_registry
    from longtail.rollout.kubernetes_api import connect
    from longtail.rollout.operations import promote_served

    settings = _settings(name, namespace, gateway, ready_seconds)
    cluster = connect(settings.namespace, kubeconfig, context)
    typer.echo(f"Version {promote_served(cluster, open_registry(registry), settings)} is the champion and serves")


def rollback(
    registry: RegistryUri,
    name: Name = "longtail",
    namespace: Namespace = "longtail",
    to: Annotated[str | None, typer.Option(help="Version to go back to; the champion before where left out.")] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    gateway: Gateway = None,
    ready_seconds: Seconds = 600.0,
) -> None:
    """Take a canary away; without one, serve the champion before and make it the champion again."""
    from longtail.registry.opening import open_registry
    from longtail.rollout.kubernetes_api import connect
    from longtail.rollout.operations import roll_back_served

    settings = _settings(name, namespace, gateway, ready_seconds)
    cluster = connect(settings.namespace, kubeconfig, context)
    done = roll_back_served(cluster, open_registry(registry), settings, to)
    typer.echo(f"{settings.namespace}/{settings.name}: {done}")
