"""The Decision of an evaluation: what the rules came to, about exactly which bundle, data, settings and champion."""

import hashlib
from pathlib import Path

from longtail.components.evaluate.gate import judge
from longtail.components.evaluate.measure import Measured, Revealed
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.artifacts import MANIFEST, manifest_digest
from longtail.contracts.decision import Champion, Decision, all_hold
from longtail.registry.bundles import bundle_id


def decide(
    test: Measured, revealed: Revealed, bundle: str | Path, settings: EvaluateSettings, champion: Champion | None
) -> Decision:
    """Judge every rule; passed where all of them hold."""
    has_attributes = any(test.data.user_attributes) or any(test.targets.contexts)
    reach = test.incumbent.reach if test.incumbent else None
    findings, skipped = judge(test.columns | revealed.columns, settings, has_attributes, reach)
    return Decision(
        passed=all_hold(findings),
        findings=findings,
        bundle=manifest_digest(bundle),
        prepared=manifest_digest(test.data.artifact.path),
        settings=hashlib.sha256(settings.canonical().encode()).hexdigest(),
        champion=champion,
        skipped=skipped,
        unknown_order=unknown_order(test),
    )


def champion_of(address: str, folder: Path | None) -> Champion | None:
    """Who is compared with. address: as ``registry.champion.bundle_today`` gives it; folder: the bundle on this disk."""
    if folder is None:
        return None
    place = address.rpartition("#")[0] or Path(address).resolve().as_uri()  # a run links to its champion
    version = bundle_id((folder / MANIFEST).read_bytes())
    registry = place.removesuffix(f"/versions/{version}")
    return Champion(place, registry if registry != place else None, version, manifest_digest(folder))


def unknown_order(test: Measured) -> float | None:
    """Share of the test targets that chance drew among events of one moment; None where preprocess did not count them."""
    ties = test.data.facts.get("ties", {}).get("test")
    return ties["drawn"] / ties["targets"] if ties and ties["targets"] else None
