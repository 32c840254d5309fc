"""Decisions about bundles, as evaluate writes them beside what it measured."""

import json
from dataclasses import replace
from pathlib import Path

from helpers_evaluation import decision

from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.decision import DECISION, Champion, write_decision
from longtail.registry.interface import Registry, Version

NOBODY = "0" * 16  # the version of a champion that no registry has


def write_decision_of(bundle: Path, folder: Path, passed: bool = True, compared: str | None = None) -> Path:
    """A decision.json about the bundle in ``folder``. compared: the champion's version, where there was one."""
    champion = Champion("s3://shop", "s3://shop", compared, "c" * 64) if compared else None
    folder.mkdir(parents=True, exist_ok=True)
    write_decision(replace(decision(passed), bundle=manifest_digest(bundle), champion=champion), folder)
    return folder / DECISION


def publish_decided(registry: Registry, bundle: Path, passed: bool = True, compared: str | None = None) -> Version:
    """The bundle, published with a Decision about it."""
    written = write_decision_of(bundle, bundle.with_name(f"{bundle.name}.decided"), passed, compared)
    return registry.publish(bundle, written)


def publish_rivals(registry: Registry, one: Path, other: Path) -> tuple[Version, Version]:
    """Two bundles that passed, each compared with the other, so that either may replace it."""
    first = registry.publish(one)
    second = publish_decided(registry, other, compared=first.id)
    return publish_decided(registry, one, compared=second.id), second


def refresh(bundle: Path, measured: str) -> None:
    """Say in the bundle's manifest that it was refreshed from the measured bundle of this digest."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["facts"]["refreshed"] = {"from": measured}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
