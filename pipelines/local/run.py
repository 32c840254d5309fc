"""Runs the pipeline on this machine and leaves its results in one folder (``run_folder.py`` says how it is laid out)."""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from longtail.components.campaign.settings import CampaignSettings
from longtail.contracts.artifacts import BUNDLE, read_artifact
from longtail.contracts.errors import UserError, about
from longtail.contracts.folders import make_folder, place_of
from longtail.contracts.settings_base import places, with_places
from longtail.pipelines.local.containers import image_id, request
from longtail.pipelines.local.run_folder import adopt, check_results, publish
from longtail.pipelines.local.runner import Execution, run_pipeline
from longtail.pipelines.parameters import INPUTS, STAGES, arguments, champion_of, refuse_placeholder
from longtail.pipelines.run_settings import RunSettings
from longtail.registry.bundles import POINTER
from longtail.registry.champion import REGISTRY, bundle_of_run, bundle_today
from longtail.system import channel
from longtail.system.code_version import code_digest, content_digest, read_digest

PIPELINE = "longtail.pipelines.activation:local_pipeline"


@dataclass(frozen=True)
class RunInputs:
    """What a run reads, and the folder it fills.

    interactions: None for a shop that has none yet. champion: a bundle, a registry, or the folder of an earlier run; none takes the registry that deploy publishes to, if any.
    image: whose containers run the stages; none runs them as processes. incumbent: a table of another system's lists. override:
    why the champion may be a run whose gate did not pass.
    """

    interactions: str | None
    items: str
    users: str | None
    settings: RunSettings
    out: Path
    champion: str | None = None
    image: str | None = None
    incumbent: str | None = None
    override: str | None = None


def run_local(inputs: RunInputs, pipeline: str = PIPELINE) -> None:
    """Run the pipeline and replace the results in ``out``; a failed run leaves the former ones and only writes run.log.

    Raises:
        UserError: a fault in data, settings or environment, also one that a task reported; or another run at work in
            the same folder; or no Docker engine, or no such image.
        StageFailed: any other failure of a stage.
    """
    image = image_id(inputs.image) if inputs.image else None
    settings = _with_whole_paths(inputs.settings)
    refuse_placeholder("--out", str(inputs.out.absolute()))
    with about("--out"):
        check_results(inputs.out)
        work = make_folder(inputs.out / ".work")
    out = place_of(inputs.out)
    with _only_run(inputs.out, work) as held:
        adopt(out)
        root = work / "tasks" / f"{time.time_ns()}"
        given = _arguments(inputs, settings, work)
        execution = Execution(
            pipeline,
            given,
            STAGES,
            _image(settings, image or code_digest()),
            root,
            work / "cache",
            out / "run.log",
            channel.opened(root),  # before the folder is handed to the containers' user
            _containers(image, settings, given, root) if image else None,
            held,
        )
        outputs = run_pipeline(execution)
        publish(outputs, root, out)
        _prune(work, outputs)


@contextmanager
def _only_run(shown: Path, work: Path) -> Iterator[int]:
    """Hold the folder's lock. The worker inherits it, so that it also holds where this process alone is killed."""
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--out {shown}: another run is at work in this folder; wait for it to end, or choose another"
            ) from None
        except OSError as error:
            raise UserError(
                f"--out {shown}: the file system cannot lock files ({error.strerror}); choose a folder on another"
            ) from None
        yield lock.fileno()


def _with_whole_paths(settings: RunSettings) -> RunSettings:
    """A task may run in another folder than the command."""
    written = {named.uri for named in places(settings) if named.place.written}
    return with_places(settings, lambda uri: _place(uri) if uri in written or Path(uri).expanduser().exists() else uri)


def _arguments(inputs: RunInputs, settings: RunSettings, work: Path) -> dict[str, str | int]:
    champion = champion_of(inputs.champion, settings)
    return arguments(
        _maybe(inputs.interactions),
        _place(inputs.items),
        _maybe(inputs.users),
        settings,
        _champion(bundle_of_run(champion, inputs.override), work) if champion else None,
        str(work / "checkpoints"),
        _maybe(inputs.incumbent),
    )


def _maybe(uri: str | None) -> str | None:
    return None if uri is None else _place(uri)


def _place(uri: str) -> str:
    if not uri:
        raise UserError("an input is named by an empty text; give the path or address of the table")
    return uri if "://" in uri else os.path.abspath(os.path.expanduser(uri))  # noqa: PTH100, PTH111  (keeps globs and links)


def _champion(given: str, work: Path) -> str | None:
    """An address as it is; else a link to the champion's bundle that is named by its content, so that another content is
    another cache key. None: the registry has no champion yet."""
    if "://" in given:
        return given
    if given.startswith(REGISTRY) or (Path(given) / POINTER).is_file():
        today = bundle_today(REGISTRY + given.removeprefix(REGISTRY))
        if not today:
            return None
        given = unquote(urlsplit(today).path)
    folder = Path(given)
    read_artifact(folder, BUNDLE)
    link = work / "champions" / content_digest(folder)[:16]
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder.resolve())
    return str(link)


def _image(settings: RunSettings, code: str) -> str:
    """A name for the tasks' images that changes with what kfp's cache keys would miss: our code, the files of settings.

    A campaign is never cached, so its files, such as today's do-not-contact list, are no reason to train again.
    """
    cached = settings.model_copy(update={"campaign": CampaignSettings()})
    return f"longtail-train:{hashlib.sha256((code + read_digest(cached)).encode()).hexdigest()[:16]}"


def _containers(image: str, settings: RunSettings, given: Mapping[str, str | int], root: Path) -> dict[str, Any]:
    """Inputs, places that settings name and earlier tasks' results are read; this run's folder, the checkpoints and places
    that settings say are written are written."""
    here = [(uri, place.written) for _, uri, place in places(settings) if "://" not in uri]
    write = [root, Path(str(given["checkpoints"])), *(Path(uri) for uri, written in here if written)]
    for folder in write:
        folder.mkdir(parents=True, exist_ok=True)
    read = [str(given[name]) for name in INPUTS if given.get(name)]
    read += [uri for uri, written in here if not written]
    return request(image, [*read, str(root.parent)], [str(folder) for folder in write])


def _prune(work: Path, outputs: Mapping[str, Any]) -> None:
    """Remove the folders of runs and tasks without one of the latest results; kfp takes their cache entries as missing.

    Each goes by a rename first: of a task that is half removed, kfp would take what is left as its cached result.
    """
    tasks, removed = work / "tasks", work / "removed"
    removed.mkdir(exist_ok=True)
    latest = {above for path in outputs.values() if isinstance(path, str) for above in Path(path).resolve().parents}
    for folder in (*tasks.iterdir(), *tasks.glob("*/*/*")):  # run / pipeline / task
        if folder.is_dir() and folder.resolve() not in latest:
            folder.rename(removed / uuid.uuid4().hex)
    shutil.rmtree(removed, ignore_errors=True)
