"""The Decision: may this bundle be served? Written by evaluate, and the one thing that deploy and promotion act on.

``decision.json`` lies in the Evaluation artifact, and a copy of it in a run's folder. It fails closed: what is missing, damaged, not
passed or of another bundle is never taken as a pass.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from longtail.contracts.artifacts import EVALUATION, MANIFEST, read_artifact
from longtail.contracts.errors import UserError

DECISION = "decision.json"
FORMAT, VERSION = "longtail/decision", 1

Verdict = Literal["better", "not worse", "unclear", "worse", "too few users"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Finding:
    """What one rule came to against one rival.

    segment: ``all``, ``cold``, ``tail``, ``torso``, ``head``, ``history=N`` for users who really had N events (``N+``: or more), or
    ``k=N`` for histories cut to N items. difference: student minus rival over the same ``users``, with its ``interval``; None where
    it could not be measured. margin: in the unit of the metric.
    """

    asks: Literal["better", "not worse"]
    rival: str
    segment: str
    metric: str
    users: int
    difference: float | None
    interval: tuple[float, float] | None
    margin: float
    verdict: Verdict
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Champion:
    """The bundle in service that the student was compared with.

    address: where it was read; registry: the registry that named it, where one did; version: its id there; digest: SHA-256 of its
    manifest.
    """

    address: str
    registry: str | None
    version: str
    digest: str


@dataclass(frozen=True)
class Decision:
    """All findings; passed where each of them is. bundle, prepared, settings: SHA-256 of manifests and of the settings' text.

    champion: None where there was none to compare with. skipped: rules that this data has no users or rivals for, as sentences.
    unknown_order: share of the test targets that were drawn among events of one moment; None where preprocess did not count.
    """

    passed: bool
    findings: tuple[Finding, ...]
    bundle: str
    prepared: str
    settings: str
    champion: Champion | None = None
    skipped: tuple[str, ...] = ()
    unknown_order: float | None = None

    def document(self) -> dict[str, Any]:
        """As decision.json holds it."""
        return {"format": FORMAT, "version": VERSION} | asdict(self)


def all_hold(findings: Sequence[Finding]) -> bool:
    """Whether a bundle with these findings may be served; one of which nothing was asked may not."""
    return bool(findings) and all(finding.passed for finding in findings)


def write_decision(decision: Decision, folder: Path) -> None:
    (folder / DECISION).write_text(json.dumps(decision.document(), indent=1, allow_nan=False) + "\n")


def load_decision(path: str | os.PathLike[str]) -> Decision:
    """The Decision of an Evaluation, of a run's folder, or of a file.

    Raises:
        UserError: it is not there, damaged, of another version, or contradicts itself.
    """
    place = Path(path)
    if (place / MANIFEST).is_file():
        read_artifact(place, EVALUATION)  # checks that nothing was changed since
    file = place / DECISION if place.is_dir() else place
    try:
        content = file.read_bytes()
    except OSError:
        raise UserError(f"{file}: no such file, so nothing says that the bundle may be served; evaluate it") from None
    return parse_decision(content, file)


def parse_decision(content: bytes, where: str | Path) -> Decision:
    """The Decision in a decision.json. where: what messages call it.

    Raises:
        UserError: it is damaged, of another version, or contradicts itself.
    """
    try:
        document = json.loads(content)
        kind = document.pop("format"), document.pop("version")
        if kind != (FORMAT, VERSION):
            raise ValueError(f"is {kind[0]} version {kind[1]}, but {FORMAT} version {VERSION} is needed")
        return _decision(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: is no Decision that can be read ({error}); evaluate the bundle again") from None


def measured_model(manifest: bytes) -> str:
    """The digest of the bundle that was measured: of this manifest, or of the bundle that it says it was refreshed from."""
    refreshed = json.loads(manifest)["facts"].get("refreshed")
    return str(refreshed["from"]) if refreshed else hashlib.sha256(manifest).hexdigest()


def check_about(decision: Decision, manifest: bytes, where: str | os.PathLike[str], bundle: str | Path) -> None:
    """Refuse a Decision about another bundle than that of this manifest, and than the one it was refreshed from.

    where, bundle: what the message calls them.
    """
    own = hashlib.sha256(manifest).hexdigest()
    if decision.bundle not in (own, measured_model(manifest)):
        raise UserError(
            f"{where}: decides about another bundle than {bundle} (sha256 of its manifest {decision.bundle[:12]}, not "
            f"{own[:12]}); evaluate this bundle"
        )


def check_passed(evaluation: str | os.PathLike[str], bundle: str | os.PathLike[str]) -> Decision:
    """The Decision of ``evaluation``, which lets ``bundle`` be served: that one, or one that was refreshed since.

    Raises:
        UserError: there is none, it did not pass, with its reasons, or it is of another bundle.
    """
    decision = load_decision(evaluation)
    check_about(decision, (Path(bundle) / MANIFEST).read_bytes(), evaluation, Path(bundle))
    if not decision.passed:
        raise UserError(f"{evaluation}: the gate did not pass, so {bundle} may not be served. {failures(decision)}")
    return decision


def failures(decision: Decision) -> str:
    """The sentences of the rules that do not hold."""
    return " ".join(finding.sentence for finding in decision.findings if not finding.passed)


def _decision(document: dict[str, Any]) -> Decision:
    findings = tuple(_finding(found) for found in document.pop("findings"))
    champion = document.pop("champion")
    document["skipped"] = tuple(document["skipped"])
    decision = Decision(findings=findings, champion=Champion(**champion) if champion else None, **document)
    if decision.passed is not all_hold(findings):
        raise ValueError(
            "says that it passed, but its findings do not" if decision.passed else "contradicts its findings"
        )
    return decision


def _finding(found: dict[str, Any]) -> Finding:
    interval = found.pop("interval")
    finding = Finding(interval=(interval[0], interval[1]) if interval else None, **found)
    if finding.verdict not in VERDICTS or finding.passed not in (True, False):
        raise ValueError(f"verdict {finding.verdict!r} of {finding.rival} is not one of {', '.join(VERDICTS)}")
    return finding
