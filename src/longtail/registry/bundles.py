"""The registry that needs nothing but a place for files.

versions/<id>/       a Student bundle: the files that its manifest.json names, with their checksums, and the manifest last,
                     so that a version is whole as soon as it can be seen
decisions/<id>.json  the Decision that it was published with last: a bundle may be evaluated again
golden/<id>.json     evaluated users with its answers, as it was published with them last
champion.json        the champion and every promotion, moved by compare-and-swap
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longtail.contracts.artifacts import BUNDLE, MANIFEST, file_inside, read_artifact, sha256
from longtail.contracts.decision import Decision, check_about, parse_decision
from longtail.contracts.errors import UserError
from longtail.contracts.folders import new_folder
from longtail.registry.interface import Golden, Promotion, Version
from longtail.registry.stores import Store

POINTER = "champion.json"
POINTER_FORMAT = "longtail/champion"
ID_LENGTH = 16


def bundle_id(manifest: bytes) -> str:
    """The id of a bundle: the manifest holds the checksums of its files, so it stands for all of them."""
    return hashlib.sha256(manifest).hexdigest()[:ID_LENGTH]


def copy_bundle(store: Store, key: str, manifest: bytes, folder: Path) -> Path:
    """The bundle whose files' keys start with ``key``, checked, in a folder named by its id below ``folder``."""
    target = folder / bundle_id(manifest)
    try:
        with new_folder(target) as fresh:
            for name, checksum in json.loads(manifest)["files"].items():
                copy = file_inside(fresh, name, f"{store.uri}/{key}{MANIFEST}")
                copy.parent.mkdir(parents=True, exist_ok=True)
                store.download(key + name, copy)
                if sha256(copy) != checksum:
                    raise UserError(
                        f"{store.uri}/{key}{name}: differs from its checksum, so it was damaged or changed; remove it and "
                        "publish the bundle again"
                    )
            (fresh / MANIFEST).write_bytes(manifest)
            read_artifact(fresh, BUNDLE)
    except OSError as error:
        raise UserError(
            f"{folder}: the bundle cannot be written there ({error.strerror}); give another folder"
        ) from None
    return target


class BundleRegistry:
    """Versions and the champion in a ``Store``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def uri(self) -> str:
        return self._store.uri

    def publish(self, bundle: Path, decision: Path | None = None, golden: Sequence[Golden] = ()) -> Version:
        read_artifact(bundle, BUNDLE)
        manifest = (bundle / MANIFEST).read_bytes()
        version = self._place(bundle_id(manifest))
        folder = f"versions/{version.id}/"
        there = self._store.sizes(folder)
        for name in json.loads(manifest)["files"]:
            if there.get(folder + name) != (bundle / name).stat().st_size:
                self._store.put(folder + name, bundle / name)
        if decision is not None:
            self._store.put(_decision_of(version), decision)
        if golden:
            with tempfile.TemporaryDirectory(prefix="longtail-golden-") as scratch:
                written = Path(scratch) / "golden.json"
                written.write_text(json.dumps(golden, ensure_ascii=False))
                self._store.put(_golden_of(version), written)
        self._store.write_if(folder + MANIFEST, manifest, None)
        return version

    def version(self, id: str) -> Version:
        self._manifest(id)
        return self._place(id)

    def manifest(self, version: Version) -> bytes:
        return self._manifest(version.id)

    def decision(self, version: Version) -> Decision | None:
        found = self._store.read(_decision_of(version))
        if found is None:
            return None
        where = f"{self.uri}/{_decision_of(version)}"
        decision = parse_decision(found[0], where)
        check_about(decision, self.manifest(version), where, version.uri)
        return decision

    def golden(self, version: Version) -> list[Golden]:
        key = _golden_of(version)
        found = self._store.read(key)
        try:
            answers: list[Golden] = [dict(one) for one in json.loads(found[0])] if found else []
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.uri}/{key}: is damaged ({error}); publish the bundle again") from None
        return answers

    def champion(self) -> Version | None:
        moves = self._pointer()[0]
        return self._place(moves[-1].version) if moves else None

    def promotions(self) -> list[Promotion]:
        return self._pointer()[0]

    def promote(self, version: Version, expected: Version | None, reason: str, override: str | None = None) -> None:
        self._check_conditions(version)
        moves, tag = self._pointer()
        previous = moves[-1].version if moves else None
        if previous == (expected.id if expected else None):
            moved = [*moves, Promotion(version.id, datetime.now(UTC), previous, reason, override)]
            content = _pointer_document(moved)
            if self._store.write_if(POINTER, content, tag):
                return
            found = self._store.read(POINTER)
            if found and found[0] == content:  # the answer to our write was lost, and its repetition refused
                return
            previous = "another version"
        raise UserError(
            f"{self.uri}: the champion is {previous or 'not set'}, not {expected.id if expected else 'unset'} as expected: "
            f"somebody else moved it, so {version.id} was not promoted; look at the promotions, and promote again if right"
        )

    def fetch(self, version: Version, folder: Path) -> Path:
        return copy_bundle(self._store, f"versions/{version.id}/", self._manifest(version.id), folder)

    def _place(self, id: str) -> Version:
        return Version(id, f"{self.uri}/versions/{id}")

    def _manifest(self, id: str) -> bytes:
        """The manifest of a version, which its id proves right."""
        if not re.fullmatch(rf"[0-9a-f]{{{ID_LENGTH}}}", id):
            raise UserError(f"{self.uri}: {id!r} is no version; an id is {ID_LENGTH} digits and letters from a to f")
        uri = f"{self.uri}/versions/{id}/{MANIFEST}"
        found = self._store.read(f"versions/{id}/{MANIFEST}")
        if found is None:
            raise UserError(
                f"{uri}: no such version in this registry; publish the bundle (an upload may have been cut off)"
            )
        if bundle_id(found[0]) != id:
            raise UserError(f"{uri}: is not the manifest that was published; remove it and publish the bundle again")
        return found[0]

    def _pointer(self) -> tuple[list[Promotion], str | None]:
        found = self._store.read(POINTER)
        if found is None:
            return [], None
        try:
            document = json.loads(found[0])
            if document["format"] != POINTER_FORMAT or document["version"] != 1:
                raise ValueError(f"format {document['format']} version {document['version']}")
            moves = [_promotion(entry) for entry in document["promotions"]]
            if document["champion"] != (moves[-1].version if moves else None):
                raise ValueError("its champion is not that of the last promotion")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.uri}/{POINTER}: is damaged ({error}); put an earlier copy back") from None
        return moves, found[1]

    def _check_conditions(self, version: Version) -> None:
        """Refuse a store that ignores conditions of writes: there the second of two promotions would undo the first."""
        manifest = self._manifest(version.id)
        if self._store.write_if(
            f"versions/{version.id}/{MANIFEST}", manifest, None
        ):  # it exists, so it must be refused
            raise UserError(
                f"{self.uri}: this storage ignores conditional writes, so two promotions at once could undo each other; "
                "use one that honours If-None-Match and If-Match"
            )


def _golden_of(version: Version) -> str:
    return f"golden/{version.id}.json"


def _decision_of(version: Version) -> str:
    return f"decisions/{version.id}.json"


def _promotion(entry: dict[str, Any]) -> Promotion:
    move = Promotion(**entry)
    return replace(move, at=datetime.fromisoformat(entry["at"]))


def _entry(move: Promotion) -> dict[str, Any]:
    """Without ``override`` where there is none, as earlier releases read it."""
    return {key: value for key, value in vars(move).items() if key != "override" or value} | {"at": move.at.isoformat()}


def _pointer_document(moves: list[Promotion]) -> bytes:
    document = {
        "format": POINTER_FORMAT,
        "version": 1,
        "champion": moves[-1].version,
        "promotions": [_entry(move) for move in moves],
    }
    return (json.dumps(document, indent=1) + "\n").encode()
