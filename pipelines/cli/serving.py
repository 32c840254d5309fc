"""Commands that serve a bundle, here or on a cluster, and that look after a service between deployments."""

import enum
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from longtail.components.predict.options import MAX_BODY, MAX_K
from longtail.contracts.errors import UserError
from longtail.pipelines.cli.options import (
    Bundle,
    Config,
    Evaluation,
    Format,
    Interactions,
    Output,
    Override,
    Set,
    as_in_training,
    begin_stage,
    read_settings,
)
from longtail.pipelines.outputs import check_output
from longtail.rollout.service_settings import ServiceSettings
from longtail.system.preflight import set_threads

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


class Scopes(enum.StrEnum):
    """What a token lets do."""

    ask = enum.auto()
    operate = enum.auto()


def serve(
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder of a Student bundle; beside --follow: served where the champion cannot be."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model in addresses.")] = "longtail",
    http_port: Annotated[int, typer.Option(help="Port of V1 and V2 over HTTP; 0 chooses a free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(help="Port of V2 over gRPC; 0 chooses a free one.")] = 0,
    max_k: Annotated[int, typer.Option(help="Items that may be asked for one user.")] = MAX_K,
    max_body: Annotated[int, typer.Option(help="Bytes that a request may have.")] = MAX_BODY,
    availability: Annotated[
        str | None,
        typer.Option(
            help="YAML file (s3://, gs://) of the items that may not be given just now; followed while serving."
        ),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help="YAML file (s3://, gs://) of the shop's rules; followed while serving.")
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(help="YAML file of who may ask (longtail token); followed while serving. None: all may."),
    ] = None,
    log_key: Annotated[
        Path | None, typer.Option(help="File of the key of hashes in the log; else LONGTAIL_LOG_KEY, or a random one.")
    ] = None,
    follow: Annotated[
        str | None,
        typer.Option(
            metavar="REGISTRY", help="Serve this registry's champion, and without a restart what takes its place."
        ),
    ] = None,
) -> None:
    """Serve a bundle with KServe's model server until Ctrl+C."""
    if bundle is None and follow is None:
        raise UserError("give --bundle FOLDER, or --follow REGISTRY to serve the registry's champion")
    options = ["--name", name, "--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    options += ["--max-k", str(max_k), "--max-body", str(max_body)]
    given = {"--bundle": bundle, "--follow": follow, "--availability": availability, "--rules": rules}
    given |= {"--tokens": tokens, "--log-key": log_key}
    options += [word for option, value in given.items() if value is not None for word in (option, str(value))]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "longtail.components.predict.server", *options])  # noqa: S606


def token(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    scope: Annotated[
        list[Scopes] | None, typer.Option(help="What it may: ask, operate; may be repeated.", show_default="ask")
    ] = None,
    per_second: Annotated[
        float | None, typer.Option(help="Requests a second that each replica answers.", show_default=False)
    ] = None,
) -> None:
    """Make a token for the model server.

    It is shown once, and kept nowhere; what goes into the file of --tokens is its hash.
    """
    from longtail.components.predict.access import Tokens, new_token

    made, hash = new_token()
    entry: dict[str, Any] = {"name": name, "sha256": hash, "scopes": [str(one.value) for one in scope or [Scopes.ask]]}
    entry |= {} if per_second is None else {"per_second": per_second}
    shown = json.dumps(entry, ensure_ascii=False)  # JSON is YAML
    Tokens.parse(f'{{"tokens": [{shown}]}}', "longtail token")
    typer.echo(f"Token, shown this once: {made}")
    typer.echo(f"Entry for the file of --tokens, below its key tokens:\n  - {shown}")


def deploy(
    bundle: Bundle,
    evaluation: Evaluation,
    output: Output,
    config: Config = None,
    overrides: Set = None,
    override: Override = None,
) -> None:
    """Stage 6: write the InferenceService, and test what is served.

    It is compared with what was evaluated. With deploy.target=cluster it is rolled out there. A bundle whose Decision did not pass,
    or that was not compared with the champion that it would replace, is refused.
    """
    settings = read_settings(config, overrides).deploy
    begin_stage(output)
    from longtail.components.deploy.deploy import deploy as stage

    stage(str(bundle), str(evaluation), str(output), settings, override)
    typer.echo(f"Wrote {output}")


def refresh(
    bundle: Bundle,
    interactions: Interactions,
    output: Output,
    items: Annotated[str | None, typer.Option(help="Items, of which those that are new come in by their text.")] = None,
    config: Config = None,
    overrides: Set = None,
    format: Format = None,
) -> None:
    """Let a bundle count all events up to now, without training.

    The table has grown since the training: it holds the earlier interactions too. It is read with the settings of the training,
    which the bundle keeps, or with those that are given.
    """
    check_output(output)
    set_threads()
    from longtail.components.preprocess.later_events import read_events
    from longtail.components.preprocess.later_items import read_new_items
    from longtail.neighbours.new_items import add_items
    from longtail.neighbours.recounting import check_grown, measured_digest, mixture_of, write_recounted
    from longtail.scoring.bundle import load_bundle

    loaded = load_bundle(bundle)
    mixture_of(loaded)  # before any table is read
    settings = as_in_training(loaded, config, overrides, format)
    with tempfile.TemporaryDirectory(prefix="longtail-refresh-") as folder:
        work, taken_in = Path(folder), 0
        ids, source = loaded.item_ids, bundle
        if items is not None and (new := read_new_items(items, settings, set(ids))).num_rows:
            source, taken_in = work / "bundle", new.num_rows
            add_items(bundle, new, source)
            ids = [*ids, *new["item_id"].to_pylist()]
        data = read_events(interactions, ids, settings, work)
        check_grown(loaded, data, interactions)
        events = write_recounted(source, data, output, measured_digest(loaded))
    if unknown := data.facts["rejected"].get("unknown item"):
        typer.echo(f"Left out: {unknown:,} interactions with items that the bundle does not know; give --items")
    typer.echo(f"Counted {events:,} interactions; {taken_in:,} new items came in by their text. Wrote {output}")


def _settings(name: str, namespace: str, gateway: str | None = None, seconds: float = 600.0) -> ServiceSettings:
    from longtail.contracts.settings_base import parse

    logging.getLogger("longtail").setLevel(logging.INFO)
    given = {"name": name, "namespace": namespace, "gateway_url": gateway, "ready_seconds": seconds}
    return parse(ServiceSettings, given, "command line")


def status(
    name: Name = "longtail",
    namespace: Namespace = "longtail",
    registry: Annotated[
        str | None, typer.Option("--registry", help="Registry of the bundles; its latest promotions are shown.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show what the cluster serves, and what is wrong.

    Also the shares of the traffic, and the registry's champion.
    """
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
    override: Override = None,
) -> None:
    """Give the newest bundle all of the traffic.

    Of those that the cluster serves; it becomes the registry's champion. A bundle whose Decision did not pass, or that was not
    compared with the champion that it would replace, is refused.
    """
    from longtail.registry.opening import open_registry
    from longtail.rollout.kubernetes_api import connect
    from longtail.rollout.operations import promote_served

    settings = _settings(name, namespace, gateway, ready_seconds)
    cluster = connect(settings.namespace, kubeconfig, context)
    version = promote_served(cluster, open_registry(registry), settings, override)
    typer.echo(f"Version {version} is the champion and serves")


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
    """Take a canary away, or serve the champion before.

    The latter where there is no canary; it is made the champion again.
    """
    from longtail.registry.opening import open_registry
    from longtail.rollout.kubernetes_api import connect
    from longtail.rollout.operations import roll_back_served

    settings = _settings(name, namespace, gateway, ready_seconds)
    cluster = connect(settings.namespace, kubeconfig, context)
    done = roll_back_served(cluster, open_registry(registry), settings, to)
    typer.echo(f"{settings.namespace}/{settings.name}: {done}")
